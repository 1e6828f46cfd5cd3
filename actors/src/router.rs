//! The router actor: which services this node offers, and which routes its callers use. It is the control plane:
//! messages do not pass through it, they follow the routes that it keeps.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use actix::{Actor, Addr, Context, Handler, Message, MessageResult, ResponseFuture};
use meshzero_proto::directory::Filter;
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::id::InstanceId;
use tokio::sync::oneshot;

use crate::discovery::{Discovery, Seek, Watch, Withdraw};
use crate::ending::Ending;
use crate::keeper::Keeper;
use crate::own::Own;
use crate::route::{Route, Target};
use crate::service::{Service, ServiceEnd};
use crate::traffic::Carrying;

/// One per node.
pub struct Router {
    hello: Hello,
    discovery: Addr<Discovery>,
    carrying: Carrying,
    own: Arc<Own>,
    ending: Arc<Ending>,
    offered: HashMap<InstanceId, Offered>,
    routes: HashMap<Target, Weak<Route>>,
}

struct Offered {
    service: Arc<Service>,
    /// Told when the endpoint is to close.
    close: oneshot::Sender<()>,
    /// Ends when the endpoint has closed.
    closed: oneshot::Receiver<()>,
}

impl Router {
    /// A router without services and routes. `hello` is what the node's links say first, `own` the table that it keeps of
    /// the node's services; with the `ending` of the node all routes end.
    pub fn new(
        hello: Hello,
        discovery: Addr<Discovery>,
        carrying: Carrying,
        own: Arc<Own>,
        ending: Arc<Ending>,
    ) -> Self {
        let hello = Hello { purpose: Purpose::Requests, ..hello };
        Self { hello, discovery, carrying, own, ending, offered: HashMap::new(), routes: HashMap::new() }
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

/// A service of this node takes messages from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Enlist {
    /// The service.
    pub service: Arc<Service>,
    /// Where its endpoint listens.
    pub bound: SocketAddr,
    /// Told, or dropped, when the endpoint is to close.
    pub close: oneshot::Sender<()>,
    /// Told, or dropped, when it has closed.
    pub closed: oneshot::Receiver<()>,
}

impl Handler<Enlist> for Router {
    type Result = ();

    fn handle(&mut self, Enlist { service, bound, close, closed }: Enlist, _: &mut Context<Self>) {
        self.own.add(&service, bound);
        self.offered.insert(service.identity.instance, Offered { service, close, closed });
    }
}

/// A service of this node is withdrawn. The reply comes when its endpoint has closed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Delist {
    /// Which one.
    pub instance: InstanceId,
    /// Why, if the program is the first to say so.
    pub end: ServiceEnd,
}

impl Handler<Delist> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Delist { instance, end }: Delist, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.own.remove(instance);
        let offered = self.offered.remove(&instance);
        if let Some(offered) = &offered {
            offered.service.note_end(end);
        }
        let discovery = self.discovery.clone();
        Box::pin(async move {
            if let Some(offered) = offered {
                close(offered, &discovery).await;
            }
        })
    }
}

/// Withdraws all services of this node. The reply comes when their endpoints have closed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close;

impl Handler<Close> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Close: Close, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.offered.keys().for_each(|instance| self.own.remove(*instance));
        let all: Vec<_> = self.offered.drain().map(|(_, offered)| offered).collect();
        all.iter().for_each(|offered| offered.service.note_end(ServiceEnd::Closed));
        let discovery = self.discovery.clone();
        Box::pin(async move {
            let mut closing = tokio::task::JoinSet::new();
            for offered in all {
                let discovery = discovery.clone();
                closing.spawn_local(async move { close(offered, &discovery).await });
            }
            closing.join_all().await;
        })
    }
}

/// The endpoint closes before the goodbye, so that whoever checks the goodbye finds nobody there.
async fn close(offered: Offered, discovery: &Addr<Discovery>) {
    let instance = offered.service.identity.instance;
    drop(offered.close);
    // Told or dropped, both mean that it has closed.
    let _ = offered.closed.await;
    if offered.service.identity.name.is_some() {
        // Without a discovery actor nothing is announced any more.
        let _ = discovery.send(Withdraw(instance)).await;
    }
}

/// Asks for the route to a target, which is kept connected as long as somebody holds it.
#[derive(Message)]
#[rtype(result = "Arc<Route>")]
pub struct Follow(pub Target);

impl Handler<Follow> for Router {
    type Result = MessageResult<Follow>;

    fn handle(&mut self, Follow(target): Follow, _: &mut Context<Self>) -> MessageResult<Follow> {
        if let Some(route) = self.routes.get(&target).and_then(Weak::upgrade) {
            return MessageResult(route);
        }
        self.routes.retain(|_, route| route.strong_count() > 0);
        let route = Arc::new(Route::new(target.clone()));
        self.routes.insert(target.clone(), Arc::downgrade(&route));
        let keeper = Keeper {
            route: Arc::downgrade(&route),
            own: Arc::clone(&self.own),
            ending: Arc::clone(&self.ending),
            discovery: self.discovery.clone(),
            hello: self.hello.clone(),
            carrying: self.carrying.clone(),
        };
        match target {
            Target::Name(name) => {
                let discovery = self.discovery.clone();
                actix::spawn(keeper.clone().until_left(async move {
                    discovery.do_send(Seek { name: name.clone() });
                    match discovery.send(Watch { filter: Filter::Name(name) }).await {
                        Ok(events) => keeper.keep_name(events).await,
                        Err(error) => tracing::debug!(%error, "the discovery actor is gone"),
                    }
                }));
            }
            Target::Address(address) => {
                drop(actix::spawn(keeper.clone().until_left(keeper.keep_address(address))))
            }
        }
        MessageResult(route)
    }
}
