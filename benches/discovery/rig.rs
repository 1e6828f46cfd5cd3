//! The operations of a mesh that the bench needs, as blocking calls.

use std::time::Duration;

use actix::{Actor, Context};
use meshzero::{Mesh, Service, Watch, WatchEvent, block_on};

use crate::PATIENCE;

/// A service that does nothing and is only discovered.
pub(crate) struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

/// An event of a watch: the name of a service that came or went.
pub(crate) enum Event {
    Up(String),
    Down(String),
}

pub(crate) struct Rig {
    mesh: Mesh,
}

pub(crate) struct Watching {
    watch: Watch,
}

impl Rig {
    pub(crate) fn join(mesh: &str) -> Self {
        let interfaces = std::env::var("DISCOVERY_BENCH_INTERFACES").unwrap_or_else(|_| "lo".into());
        let join = Mesh::join().mesh(mesh).interfaces(&interfaces);
        Self { mesh: block_on(join.into_future()).expect("joined") }
    }

    pub(crate) fn advertise(&self, name: &str) -> Service<Idle> {
        block_on(self.mesh.advertise(name, || Idle).into_future()).expect("advertised")
    }

    pub(crate) fn watch(&self) -> Watching {
        Watching { watch: self.mesh.watch("") }
    }

    pub(crate) fn discover(&self, name: &str) {
        block_on(self.mesh.discover(name).within(PATIENCE).into_future()).expect("found");
    }

    pub(crate) fn detects_loss_of(&self, name: &str) -> bool {
        block_on(self.mesh.discover(name).within(Duration::from_millis(50)).into_future()).is_err()
    }

    pub(crate) fn leave(&self) {
        block_on(self.mesh.close());
    }
}

impl Watching {
    pub(crate) fn next(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = match block_on(self.watch.next()).expect("the node lives") {
                WatchEvent::Up(instance) => Event::Up(instance.service.to_string()),
                WatchEvent::Down { instance, .. } => Event::Down(instance.service.to_string()),
                WatchEvent::Moved(_) => continue,
            };
            if wanted(&event) {
                return event;
            }
        }
    }
}
