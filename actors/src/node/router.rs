//! The router actor: which services this node offers, and which routes its callers use. It is the control plane:
//! messages do not pass through it, they follow the routes that it keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::{
    Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture, Supervised,
};
use meshzero_proto::id::InstanceId;
use tokio::sync::{oneshot, watch};
use tokio::time::{self, Instant};

use crate::client::route::Route;
use crate::client::route::connector::RouteConnector;
use crate::client::route::target::Target;
use crate::context::NodeContext;
use crate::discovery::{Discovery, GetDiscoveryStats, Withdraw};
use crate::net::bound_addresses::BoundAddresses;
use crate::server::actor::entry::ServiceEnd;
use crate::server::drain_report::DrainReport;
use crate::server::service::Service;
use crate::telemetry::stats::{DiscoveryStats, GetStats, Stats};

/// The time that the closing of an endpoint may take beyond its work.
const CLOSING: Duration = Duration::from_millis(300);

/// One per node.
pub struct Router {
    premises: Arc<NodeContext>,
    offered: BTreeMap<InstanceId, RegisteredService>,
    /// Those that are being closed.
    closing: BTreeMap<InstanceId, ClosingService>,
    /// The node leaves: nothing is offered any more.
    is_closing: bool,
    routes: HashMap<Target, Weak<Route>>,
}

struct RegisteredService {
    service: Arc<Service>,
    /// Told when the endpoint is to close.
    close: oneshot::Sender<Duration>,
    /// Ends when the endpoint has closed.
    closed: oneshot::Receiver<Option<DrainReport>>,
}

/// Holds what was abandoned, and not more than nothing, when the endpoint has closed.
type ClosingService = watch::Receiver<Option<Option<DrainReport>>>;

impl Router {
    /// A router without services and routes. It keeps the node's table of services.
    pub(crate) fn new(premises: Arc<NodeContext>) -> Self {
        Self {
            premises,
            offered: BTreeMap::new(),
            closing: BTreeMap::new(),
            is_closing: false,
            routes: HashMap::new(),
        }
    }

    /// Begins to close a service, if it is offered, within what the limits say or less. Also one that is being closed
    /// already can be waited for.
    fn begin_to_close(
        &mut self,
        instance: InstanceId,
        end: ServiceEnd,
        within: Option<Duration>,
    ) -> Option<ClosingService> {
        self.premises.own.remove(instance);
        self.closing.retain(|_, closing| closing.borrow().is_none());
        if let Some(offered) = self.offered.remove(&instance) {
            tracing::debug!(service = offered.service.identity.title(), %instance, "a service is withdrawn");
            offered.service.note_end(end);
            let (tell, told) = watch::channel(None);
            let discovery = self.premises.discovery.clone();
            actix::spawn(async move { tell.send_replace(Some(close(offered, &discovery, within).await)) });
            self.closing.insert(instance, told);
        }
        self.closing.get(&instance).cloned()
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

impl Supervised for Router {}

/// A service of this node takes messages from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Register {
    /// The service.
    pub service: Arc<Service>,
    /// The addresses at which its endpoint listens.
    pub bound: BoundAddresses,
    /// Told, or dropped, when the endpoint is to close: told how long that may take; dropped, it is as long as the limits say.
    pub close: oneshot::Sender<Duration>,
    /// Told, or dropped, when it has closed, with what it had not finished.
    pub closed: oneshot::Receiver<Option<DrainReport>>,
}

impl Handler<Register> for Router {
    type Result = ();

    fn handle(&mut self, Register { service, bound, close, closed }: Register, _: &mut Context<Self>) {
        let instance = service.identity.instance;
        tracing::debug!(service = service.identity.title(), %instance, "a service is offered");
        self.premises.own.add(&service, bound);
        self.offered.insert(instance, RegisteredService { service, close, closed });
        if self.is_closing {
            self.begin_to_close(instance, ServiceEnd::Closed, Some(Duration::ZERO));
        }
    }
}

/// A service of this node is withdrawn. The reply comes when its endpoint has closed, and says what it had not finished.
#[derive(Message)]
#[rtype(result = "Option<DrainReport>")]
pub(crate) struct Unregister {
    /// The instance.
    pub instance: InstanceId,
    /// The reason, if the program is the first to give one.
    pub end: ServiceEnd,
}

impl Handler<Unregister> for Router {
    type Result = ResponseFuture<Option<DrainReport>>;

    fn handle(&mut self, Unregister { instance, end }: Unregister, _: &mut Context<Self>) -> Self::Result {
        let closing = self.begin_to_close(instance, end, None);
        Box::pin(async move { closed(closing?).await })
    }
}

/// Withdraws all services of this node. The reply comes when their endpoints have closed, also of those that were
/// withdrawn before, and says what they had not finished.
#[derive(Message)]
#[rtype(result = "Vec<DrainReport>")]
pub(crate) struct CloseServices {
    /// The time that accepted work may take to finish.
    pub within: Duration,
}

impl Handler<CloseServices> for Router {
    type Result = ResponseFuture<Vec<DrainReport>>;

    fn handle(&mut self, CloseServices { within }: CloseServices, _: &mut Context<Self>) -> Self::Result {
        self.is_closing = true;
        for instance in self.offered.keys().copied().collect::<Vec<_>>() {
            self.begin_to_close(instance, ServiceEnd::Closed, Some(within));
        }
        let closing: Vec<_> = self.closing.values().cloned().collect();
        let deadline = Instant::now().checked_add(within.saturating_add(CLOSING));
        Box::pin(async move {
            let mut abandoned = Vec::new();
            for closing in closing {
                let closed = closed(closing);
                let closed = match deadline {
                    // One that was withdrawn before may take longer than this may.
                    Some(deadline) => time::timeout_at(deadline, closed).await.unwrap_or(None),
                    None => closed.await,
                };
                abandoned.extend(closed);
            }
            abandoned
        })
    }
}

/// Waits until an endpoint has closed.
async fn closed(mut closing: ClosingService) -> Option<DrainReport> {
    let closed = closing.wait_for(Option::is_some).await;
    // Where the thread of the endpoint has ended nobody knows.
    closed.ok().and_then(|abandoned| abandoned.clone().flatten())
}

/// New messages are refused before the goodbye is said, so that whoever checks the goodbye is told as well, and accepted
/// ones are finished after it, while new callers already go elsewhere.
async fn close(
    offered: RegisteredService,
    discovery: &Addr<Discovery>,
    within: Option<Duration>,
) -> Option<DrainReport> {
    let RegisteredService { service, close, closed } = offered;
    service.drain();
    if service.identity.name.is_some() {
        // Without a discovery actor nothing is announced any more.
        let _ = discovery.send(Withdraw(service.identity.instance)).await;
    }
    match within {
        // An endpoint that has ended needs not be told.
        Some(within) => drop(close.send(within)),
        None => drop(close),
    }
    // Told or dropped, both mean that it has closed.
    closed.await.ok().flatten()
}

impl Handler<GetStats> for Router {
    type Result = ResponseFuture<Stats>;

    fn handle(&mut self, GetStats: GetStats, _: &mut Context<Self>) -> Self::Result {
        let routes = self.routes.values().filter_map(Weak::upgrade).map(|route| route.stats());
        let mut routes: Vec<_> = routes.collect();
        routes.sort_by(|one, other| one.service.cmp(&other.service));
        let stats = Stats {
            mesh: self.premises.hello.mesh.clone(),
            node: self.premises.hello.node,
            traffic: self.premises.carrying.meter.traffic(),
            discovery: DiscoveryStats::default(),
            services: self.premises.own.stats(),
            routes,
            subscriptions: self.premises.subscriptions.stats(),
        };
        let discovery = self.premises.discovery.send(GetDiscoveryStats);
        Box::pin(async move {
            // It is gone when the node has left, and then there is nothing to discover.
            let discovery = discovery.await.unwrap_or_default();
            Stats { discovery, ..stats }
        })
    }
}

/// Asks for the route to a target, which is kept connected as long as somebody holds it.
#[derive(Message)]
#[rtype(result = "Arc<Route>")]
pub struct GetRoute(pub Target);

impl Handler<GetRoute> for Router {
    type Result = MessageResult<GetRoute>;

    fn handle(&mut self, GetRoute(target): GetRoute, context: &mut Context<Self>) -> MessageResult<GetRoute> {
        if let Some(route) = self.routes.get(&target).and_then(Weak::upgrade) {
            return MessageResult(route);
        }
        self.routes.retain(|_, route| route.strong_count() > 0);
        let route = Arc::new(Route::new(target.clone()));
        self.routes.insert(target.clone(), Arc::downgrade(&route));
        let keeper = RouteConnector {
            route: Arc::downgrade(&route),
            premises: Arc::clone(&self.premises),
            node_stats: context.address().recipient().downgrade(),
        };
        let kept = keeper.clone();
        match target {
            Target::Name(name) => actix::spawn(keeper.until_left(kept.keep_name(name))),
            Target::Address(address) => actix::spawn(keeper.until_left(kept.keep_address(address))),
        };
        MessageResult(route)
    }
}
