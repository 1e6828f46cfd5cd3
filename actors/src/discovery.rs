//! Discovery within one process, until the network's has landed.

use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler, Message, MessageResult};
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{Directory, DirectoryEvent, Filter, Instance, Source};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::ServiceName;
use tokio::sync::mpsc;

use crate::endpoint::PeerArrived;
use crate::node::Config;

/// One per node.
pub struct Discovery {
    directory: Directory,
    watchers: Vec<(Filter, mpsc::Sender<DirectoryEvent>)>,
}

impl Discovery {
    /// Starts it on the current arbiter.
    pub fn start_for(config: &Config, id: NodeId) -> std::io::Result<Addr<Self>> {
        let directory = Directory::new(config.mesh.clone(), id, &config.limits);
        Ok(Self { directory, watchers: Vec::new() }.start())
    }

    fn tell(&mut self, events: Vec<DirectoryEvent>) {
        for event in events {
            self.watchers.retain(|(filter, watcher)| {
                !filter.includes(&event.instance().service) || watcher.try_send(event.clone()).is_ok()
            });
        }
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;
}

macro_rules! message {
    ($name:ident $fields:tt -> $reply:ty, |$self:ident, $message:ident| $body:expr) => {
        impl Message for $name { type Result = $reply; }
        #[allow(missing_docs)]
        pub struct $name $fields
        impl Handler<$name> for Discovery {
            type Result = MessageResult<$name>;
            fn handle(&mut $self, $message: $name, _: &mut Context<Self>) -> MessageResult<$name> {
                MessageResult($body)
            }
        }
    };
}

message!(Watch { pub filter: Filter } -> mpsc::Receiver<DirectoryEvent>, |self, watch| {
    let (tell, told) = mpsc::channel(4096);
    for instance in self.directory.select(&watch.filter) {
        let _ = tell.try_send(DirectoryEvent::Up(instance));
    }
    self.watchers.push((watch.filter, tell));
    told
});
message!(Seek { pub name: ServiceName } -> (), |self, _seek| ());
message!(List { pub filter: Filter, pub within: Duration } -> Vec<Instance>, |self, list| self.directory.select(&list.filter));
message!(Leave; -> (), |self, _leave| ());
message!(Ask; -> Report, |self, _ask| Report { heard: self.directory.all().iter().map(|i| i.service.to_string()).collect(), ..Report::default() });

/// What was heard.
#[derive(Debug, Default)]
pub struct Report {
    /// Names.
    pub heard: Vec<String>,
    /// Other meshes.
    pub other_meshes: Vec<String>,
    /// Interfaces.
    pub interfaces: Vec<String>,
}

/// A service of this node.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Announce(pub Advert);
impl Handler<Announce> for Discovery {
    type Result = ();
    fn handle(&mut self, Announce(advert): Announce, _: &mut Context<Self>) {
        let changes = self.directory.hear(advert, Source::Local, Instant::now());
        self.tell(changes.events);
    }
}

/// No more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Withdraw(pub InstanceId);
impl Handler<Withdraw> for Discovery {
    type Result = ();
    fn handle(&mut self, Withdraw(id): Withdraw, _: &mut Context<Self>) {
        let changes = self.directory.unheard(id, Source::Local, Instant::now());
        self.tell(changes.events);
    }
}
impl Handler<PeerArrived> for Discovery {
    type Result = ();
    fn handle(&mut self, _: PeerArrived, _: &mut Context<Self>) {}
}
