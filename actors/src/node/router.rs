//! The router actor: the services that this node offers, and the routes of its callers. It is the control plane:
//! messages do not pass through it, they follow the routes that it manages.

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

/// The time that closing an endpoint may take beyond draining.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// The router actor, one per node.
pub struct Router {
    context: Arc<NodeContext>,
    services: BTreeMap<InstanceId, RegisteredService>,
    /// The services that are being closed.
    closing: BTreeMap<InstanceId, ClosingService>,
    /// Set when the node leaves: nothing is offered any more.
    is_closing: bool,
    routes: HashMap<Target, Weak<Route>>,
}

struct RegisteredService {
    service: Arc<Service>,
    /// Receives the drain timeout when the endpoint is to close.
    close: oneshot::Sender<Duration>,
    /// Completes when the endpoint has closed.
    closed: oneshot::Receiver<Option<DrainReport>>,
}

/// The result of closing an endpoint, once it has closed: the report of unfinished work, if there is any.
type ClosingService = watch::Receiver<Option<Option<DrainReport>>>;

impl Router {
    /// A router without services and routes. It maintains the node's service registry.
    pub(crate) fn new(context: Arc<NodeContext>) -> Self {
        Self {
            context,
            services: BTreeMap::new(),
            closing: BTreeMap::new(),
            is_closing: false,
            routes: HashMap::new(),
        }
    }

    /// Begins to close a service, if it is offered, within the given time or the limits' drain timeout. Returns the
    /// receiver of the result, also for a service that is being closed already.
    fn start_closing(
        &mut self,
        instance: InstanceId,
        end: ServiceEnd,
        within: Option<Duration>,
    ) -> Option<ClosingService> {
        self.context.services.remove(instance);
        self.closing.retain(|_, closing| closing.borrow().is_none());
        if let Some(registered) = self.services.remove(&instance) {
            tracing::debug!(service = registered.service.identity.title(), %instance, "a service is withdrawn");
            registered.service.set_end(end);
            let (tx, rx) = watch::channel(None);
            let discovery = self.context.discovery.clone();
            actix::spawn(async move { tx.send_replace(Some(close(registered, &discovery, within).await)) });
            self.closing.insert(instance, rx);
        }
        self.closing.get(&instance).cloned()
    }
}

impl Actor for Router {
    type Context = Context<Self>;
}

impl Supervised for Router {}

/// Registers a service of this node, which accepts messages from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Register {
    /// The service.
    pub service: Arc<Service>,
    /// The addresses at which its endpoint listens.
    pub bound: BoundAddresses,
    /// Closes the endpoint, with the drain timeout; dropped, the timeout of the limits applies.
    pub close: oneshot::Sender<Duration>,
    /// Completes, or is dropped, when the endpoint has closed, with the report of unfinished work.
    pub closed: oneshot::Receiver<Option<DrainReport>>,
}

impl Handler<Register> for Router {
    type Result = ();

    fn handle(&mut self, Register { service, bound, close, closed }: Register, _: &mut Context<Self>) {
        let instance = service.identity.instance;
        tracing::debug!(service = service.identity.title(), %instance, "a service is offered");
        self.context.services.add(&service, bound);
        self.services.insert(instance, RegisteredService { service, close, closed });
        if self.is_closing {
            self.start_closing(instance, ServiceEnd::Closed, Some(Duration::ZERO));
        }
    }
}

/// Withdraws a service of this node. The reply comes when its endpoint has closed, with the report of unfinished work.
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
        let closing = self.start_closing(instance, end, None);
        Box::pin(async move { closed(closing?).await })
    }
}

/// Withdraws all services of this node. The reply comes when their endpoints have closed, also those withdrawn before,
/// with the reports of unfinished work.
#[derive(Message)]
#[rtype(result = "Vec<DrainReport>")]
pub(crate) struct CloseServices {
    /// The drain timeout.
    pub within: Duration,
}

impl Handler<CloseServices> for Router {
    type Result = ResponseFuture<Vec<DrainReport>>;

    fn handle(&mut self, CloseServices { within }: CloseServices, _: &mut Context<Self>) -> Self::Result {
        self.is_closing = true;
        for instance in self.services.keys().copied().collect::<Vec<_>>() {
            self.start_closing(instance, ServiceEnd::Closed, Some(within));
        }
        let closing: Vec<_> = self.closing.values().cloned().collect();
        let deadline = Instant::now().checked_add(within.saturating_add(CLOSE_TIMEOUT));
        Box::pin(async move {
            let mut reports = Vec::new();
            for closing in closing {
                let closed = closed(closing);
                let report = match deadline {
                    // A service that was withdrawn before may have a longer timeout.
                    Some(deadline) => time::timeout_at(deadline, closed).await.unwrap_or(None),
                    None => closed.await,
                };
                reports.extend(report);
            }
            reports
        })
    }
}

/// Waits until an endpoint has closed.
async fn closed(mut closing: ClosingService) -> Option<DrainReport> {
    let closed = closing.wait_for(Option::is_some).await;
    // If the endpoint's thread has ended, the report is lost.
    closed.ok().and_then(|report| report.clone().flatten())
}

/// Closes an endpoint: new messages are refused before the withdrawal is announced, so that peers that verify it are
/// refused too, and accepted ones are finished after it, while new callers already go elsewhere.
async fn close(
    registered: RegisteredService,
    discovery: &Addr<Discovery>,
    within: Option<Duration>,
) -> Option<DrainReport> {
    let RegisteredService { service, close, closed } = registered;
    service.drain();
    if service.identity.name.is_some() {
        // Without a discovery actor nothing is announced any more.
        let _ = discovery.send(Withdraw(service.identity.instance)).await;
    }
    match within {
        // Fails if the endpoint has ended.
        Some(within) => drop(close.send(within)),
        None => drop(close),
    }
    // Completed or dropped: both mean that it has closed.
    closed.await.ok().flatten()
}

impl Handler<GetStats> for Router {
    type Result = ResponseFuture<Stats>;

    fn handle(&mut self, GetStats: GetStats, _: &mut Context<Self>) -> Self::Result {
        let routes = self.routes.values().filter_map(Weak::upgrade).map(|route| route.stats());
        let mut routes: Vec<_> = routes.collect();
        routes.sort_by(|one, other| one.service.cmp(&other.service));
        let stats = Stats {
            mesh: self.context.hello.mesh.clone(),
            node: self.context.hello.node,
            traffic: self.context.link_config.traffic.traffic(),
            discovery: DiscoveryStats::default(),
            services: self.context.services.stats(),
            routes,
            subscriptions: self.context.subscriptions.stats(),
        };
        let discovery = self.context.discovery.send(GetDiscoveryStats);
        Box::pin(async move {
            // Fails if the node has left, and then there are no discovery statistics.
            let discovery = discovery.await.unwrap_or_default();
            Stats { discovery, ..stats }
        })
    }
}

/// Requests the route to a target. It is kept connected while any caller holds it.
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
        let connector = RouteConnector {
            route: Arc::downgrade(&route),
            context: Arc::clone(&self.context),
            node_stats: context.address().recipient().downgrade(),
        };
        let connecting = connector.clone();
        match target {
            Target::Name(name) => actix::spawn(connector.run_until_shutdown(connecting.connect_name(name))),
            Target::Address(address) => {
                actix::spawn(connector.run_until_shutdown(connecting.connect_address(address)))
            }
        };
        MessageResult(route)
    }
}
