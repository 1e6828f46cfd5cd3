//! Two nodes of one mesh in this process, connected over real TCP on loopback.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use meshzero::{Join, Limits, Mesh, NodeId, ServiceRef};
use meshzero_proto::name::MeshName;
use meshzero_proto::wire::hello::{Hello, Purpose};

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
        Self::join_as([here, there], |used, join| join.unix_sockets(used)).await
    }

    pub async fn join_with(limits: Limits) -> Self {
        Self::join_as([(); 2], |(), join| join.limits(limits.clone())).await
    }

    /// A mesh whose nodes are set up with `set`, each with its own choice.
    async fn join_as<T>(choices: [T; 2], set: impl Fn(T, Join) -> Join) -> Self {
        let name = format!("test-{:032x}", fastrand::u128(..));
        let [here, there] = choices.map(|choice| set(choice, Mesh::join().mesh(&name).interfaces("lo")));
        Self {
            here: here.await.expect("the first node joins"),
            there: there.await.expect("the second node joins"),
        }
    }

    /// Returns the hello of a client that is none of the nodes: for tests that speak the protocol themselves.
    pub fn stranger_hello(&self, purpose: Purpose) -> Hello {
        Hello {
            mesh: MeshName::new(self.here.name()).expect("a name"),
            node: NodeId::from_random([7; 16]),
            instance: None,
            purpose,
            message_bytes: 1 << 20,
            resume: None,
            pieces: true,
            standby: None,
        }
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

/// Polls a future once, without a task that it could wake.
pub fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
