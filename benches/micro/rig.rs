//! Two nodes of a mesh of their own, on this thread, connected over TCP on loopback.

use std::time::Duration;

use actix::{System, SystemRunner};
use meshzero::{Mesh, ServiceRef};

use crate::message::{Echo, Echoes};

/// Nothing in the benches takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The two nodes, which leave when this is dropped.
pub(crate) struct Rig {
    system: SystemRunner,
    /// The name of the mesh, which no other bench has.
    pub(crate) name: String,
    /// The node that offers services.
    pub(crate) here: Mesh,
    /// The node that calls them.
    pub(crate) there: Mesh,
}

impl Rig {
    pub(crate) fn join() -> Self {
        let system = System::new();
        let name = format!("bench-{:032x}", fastrand::u128(..));
        let join = || {
            let joined = system.block_on(Mesh::join().mesh(&name).interfaces("lo").into_future());
            joined.expect("joined")
        };
        let (here, there) = (join(), join());
        Self { system, name, here, there }
    }

    /// Runs `task` as the code of an actor is run: as one of this thread's tasks.
    pub(crate) fn run<F>(&self, task: F) -> F::Output
    where
        F: Future<Output: 'static> + 'static,
    {
        let ended = self.system.block_on(async { actix::spawn(actix::clock::timeout(PATIENCE, task)).await });
        ended.expect("the task does not panic").expect("the task ends in time")
    }

    /// Offers echoes under `name`, which are withdrawn when the service is dropped.
    pub(crate) fn offer(&self, name: &str) -> meshzero::Service<Echoes> {
        let offering = self.here.advertise(name, || Echoes).handles::<Echo>().into_future();
        self.run(offering).expect("advertised")
    }

    /// The service `at` a name or an address, as `mesh` has it.
    pub(crate) fn reach(&self, mesh: &Mesh, at: &str) -> ServiceRef {
        self.run(mesh.discover(at).within(PATIENCE).into_future()).expect("found")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.system.block_on(async {
            self.there.close().await;
            self.here.close().await;
        });
    }
}
