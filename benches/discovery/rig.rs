//! What the bench asks of a mesh, in blocking calls.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context};
use meshzero_actors::config::Config;
use meshzero_actors::discovery::{Watch, Watcher};
use meshzero_actors::hosted::Factory;
use meshzero_actors::interfaces::Interfaces;
use meshzero_actors::node::Node;
use meshzero_actors::offer::{self, Offer, Offered, Only, Source};
use meshzero_actors::place::Place;
use meshzero_actors::route::Target;
use meshzero_actors::router::Follow;
use meshzero_proto::directory::{DirectoryEvent, Filter};
use meshzero_proto::name::{MeshName, ServiceName};

use crate::PATIENCE;

pub(crate) struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

pub(crate) enum Event {
    Up(String),
    Down(String),
}

pub(crate) struct Rig {
    node: Arc<Node>,
    runtime: tokio::runtime::Runtime,
}

pub(crate) struct Watching<'a> {
    watcher: Watcher,
    rig: &'a Rig,
}

impl Rig {
    pub(crate) fn join(mesh: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = Config {
            mesh: MeshName::new(mesh).expect("a name"),
            interfaces: Interfaces::loopback(),
            ..Config::default()
        };
        let node = runtime.block_on(Node::start(config)).expect("joined");
        Self { node, runtime }
    }

    pub(crate) fn advertise(&self, name: &str) -> Offered<Idle> {
        let offer = Offer {
            name: Some(ServiceName::new(name).expect("a name")),
            source: Source::Factory(Box::new(|_| Box::new(|| Idle) as Factory<Idle>)),
            handlers: Vec::new(),
            place: Place::default(),
            only: Only::OneOfMany,
            topics: Vec::new(),
        };
        self.runtime.block_on(offer::offer(&self.node, offer)).expect("offered")
    }

    pub(crate) fn watch(&self) -> Watching<'_> {
        let watch = self.node.discovery().send(Watch { filter: Filter::everything() });
        Watching { watcher: self.runtime.block_on(watch).expect("the node lives"), rig: self }
    }

    pub(crate) fn discover(&self, name: &str) {
        assert!(self.connects(name, PATIENCE), "{name} is not found");
    }

    pub(crate) fn misses(&self, name: &str) -> bool {
        !self.connects(name, Duration::from_millis(100))
    }

    fn connects(&self, name: &str, within: Duration) -> bool {
        let name = ServiceName::new(name).expect("a name");
        self.runtime.block_on(async {
            let route = self.node.router().send(Follow(Target::Name(name))).await.expect("the node lives");
            tokio::time::timeout(within, route.ready()).await.is_ok()
        })
    }

    pub(crate) fn leave(&self) {
        self.runtime.block_on(self.node.leave());
    }
}

impl Watching<'_> {
    pub(crate) fn next(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let search = async {
            loop {
                let event = match self.watcher.recv().await.expect("the node lives") {
                    DirectoryEvent::Up(instance) => Event::Up(instance.service.to_string()),
                    DirectoryEvent::Down { instance, .. } => Event::Down(instance.service.to_string()),
                    DirectoryEvent::Moved(_) => continue,
                };
                if wanted(&event) {
                    return event;
                }
            }
        };
        let bounded = async { tokio::time::timeout(PATIENCE * 4, search).await };
        self.rig.runtime.block_on(bounded).expect("an event in time")
    }
}
