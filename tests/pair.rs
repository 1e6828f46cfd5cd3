//! Two nodes of one mesh in this process, connected over real TCP on loopback.

use std::time::Duration;

use meshzero::{Limits, Mesh, ServiceRef};

/// Generous, because the machine may be busy. Nothing in the tests takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A mesh of its own, with a name that no other test has.
pub struct Pair {
    /// The node that offers services.
    pub here: Mesh,
    /// The node that calls them.
    pub there: Mesh,
}

impl Pair {
    pub async fn join() -> Self {
        Self::join_with(Limits::default()).await
    }

    /// A mesh whose nodes use Unix sockets or not.
    pub async fn join_over(here: bool, there: bool) -> Self {
        let name = format!("test-{:032x}", fastrand::u128(..));
        let join = |used| Mesh::join().mesh(&name).interfaces("lo").unix_sockets(used);
        Self { here: join(here).await.expect("it joins"), there: join(there).await.expect("it joins") }
    }

    pub async fn join_with(limits: Limits) -> Self {
        let name = format!("test-{:032x}", fastrand::u128(..));
        let join = || Mesh::join().mesh(&name).interfaces("lo").limits(limits.clone());
        let here = join().await.expect("the first node joins");
        let there = join().await.expect("the second node joins");
        Self { here, there }
    }

    /// The service at the address of `service`, as the other node has it.
    pub async fn reach<A>(&self, service: &meshzero::Service<A>) -> ServiceRef
    where
        A: actix::Actor<Context = actix::Context<A>>,
    {
        let found = self.there.discover(service.address().to_string()).within(PATIENCE).await;
        found.expect("the service answers at its address")
    }
}

/// Waits for a condition that other tasks bring about.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("waited {PATIENCE:?} in vain: {what}");
    }
}
