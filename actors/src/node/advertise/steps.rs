//! The steps of advertising that do not depend on the actor's type, compiled once for all types.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix::ArbiterHandle;
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::ServiceName;
use tokio::sync::oneshot;

use super::{
    ARBITER_TIMEOUT, AdvertiseError, DeclaredTopic, Uniqueness, WithdrawOnDrop, check_name, ensure_unique,
};
use crate::discovery::{Announce, EndpointMoved, FollowAddresses};
use crate::link::config::resume_window;
use crate::net::bind::{BindAddress, BoundListener};
use crate::net::bound_addresses::BoundAddresses;
use crate::net::listeners::Listeners;
use crate::net::zone::ZonedAddress;
use crate::node::router::Register;
use crate::node::{Node, StartError};
use crate::runtime::clock;
use crate::runtime::executor::Executor;
use crate::server::endpoint;
use crate::server::publisher::Publisher;
use crate::server::service::environment::Environment;
use crate::server::service::identity::Identity;
use crate::server::service::{CloseServiceOnDrop, Service};

/// Checks that `name` may be advertised, and returns the executor of the service. Boxed like each [`Step`], but runs on the
/// caller's thread.
pub(super) fn check_and_choose_executor<'a>(
    node: &'a Node,
    name: Option<&'a ServiceName>,
    uniqueness: Uniqueness,
    arbiter: Option<&'a ArbiterHandle>,
) -> Pin<Box<dyn Future<Output = Result<Executor, AdvertiseError>> + Send + 'a>> {
    Box::pin(async move {
        if let Some(name) = name {
            check_name(name)?;
            if uniqueness == Uniqueness::One {
                ensure_unique(node, name).await?;
            }
        }
        let Some(arbiter) = arbiter else { return Ok(node.executor().clone()) };
        tokio::select! {
            biased;
            executor = Executor::on(arbiter.clone()) => Ok(executor?),
            () = node.timers().sleep_until(Some(clock::now() + ARBITER_TIMEOUT)) => Err(AdvertiseError::IdleArbiter),
        }
    })
}

/// A service before it has an actor.
pub(super) struct PreparedService {
    pub(super) environment: Environment,
    pub(super) identity: Identity,
    pub(super) publisher: Publisher,
    pub(super) endpoint: Endpoint,
}

/// The addresses at which a service listens.
pub(super) struct Endpoint {
    listeners: Listeners,
    pub(super) bound: BoundAddresses,
    pub(super) address: SocketAddr,
}

impl Endpoint {
    /// Returns the name of the service, or else its address.
    pub(super) fn display_name(&self, identity: &Identity) -> ServiceName {
        identity.name.clone().unwrap_or_else(|| ZonedAddress(self.address).into())
    }
}

/// A step of advertising. Boxed, because a future is otherwise compiled again into each generic function that awaits it.
type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, AdvertiseError>> + 'a>>;

/// Listens, and declares the topics.
pub(super) fn prepare<'a>(
    node: &'a Node,
    executor: Executor,
    name: Option<ServiceName>,
    bind: BindAddress,
    topics: Vec<DeclaredTopic>,
) -> Step<'a, PreparedService> {
    Box::pin(async move {
        let config = node.config();
        let limit = node.limits().instances_per_node;
        if name.is_some() && node.context().services.listed() >= limit {
            return Err(AdvertiseError::TooManyServices(limit));
        }
        if name.is_some() && node.context().services.listed() == Limits::default().instances_per_node {
            tracing::warn!(
                services = node.context().services.listed() + 1,
                limit = "instances_per_node",
                "this node offers more services than others list of one node by default; unless they raise the limit, the rest \
                 are found by their exact names only"
            );
        }
        let BoundListener { mut listeners, bound, address } =
            bind.listen(&config.network, &config.interfaces, config.ports.as_ref()).await?;
        let limits = Arc::clone(node.limits());
        let environment = Environment { executor, ..node.environment() };
        let publisher = environment.publisher();
        if topics.len() > limits.topics {
            return Err(AdvertiseError::TooManyTopics(limits.topics));
        }
        for DeclaredTopic { topic, item, retains } in topics {
            publisher.declare(topic, item, retains);
        }
        let identity = Identity::new(&environment, name).map_err(StartError::Random)?;
        let id = identity.instance;
        if let Listeners::Chosen(chosen) = &mut listeners {
            let addresses = node.ask_discovery(FollowAddresses).await?;
            let discovery = node.discovery().clone();
            let changed = move || discovery.do_send(EndpointMoved(id));
            chosen.follow(addresses, resume_window(&limits), changed);
        }
        let endpoint = Endpoint { listeners, bound, address };
        Ok(PreparedService { environment, identity, publisher, endpoint })
    })
}

/// Serves the endpoint of `service`, and announces it if it has a name.
pub(super) fn register<'a>(
    node: &'a Node,
    service: Arc<Service>,
    endpoint: Endpoint,
) -> Step<'a, (Instance, WithdrawOnDrop)> {
    Box::pin(async move {
        let display_name = endpoint.display_name(&service.identity);
        let Endpoint { listeners, bound, address } = endpoint;
        let (id, name) = (service.identity.instance, service.identity.name.clone());
        let (close, closing) = oneshot::channel();
        let (closed_sender, closed) = oneshot::channel();
        let (served, peers) = (Arc::clone(&service), node.discovery().clone().recipient());
        let close_on_drop = CloseServiceOnDrop(Arc::clone(&service));
        actix::spawn(async move {
            let _close_on_drop = close_on_drop;
            let report = endpoint::run(listeners, served, peers, closing).await;
            // Fails if the whole node leaves at once, and nobody waits.
            let _ = closed_sender.send(report);
        });
        node.ask_router(Register { service, bound: bound.clone(), close, closed }).await?;
        let withdrawal = WithdrawOnDrop { router: node.router().clone(), instance: id };
        if let Some(service) = name {
            let mesh = node.config().mesh.clone();
            let advert = Advert {
                instance: id,
                node: node.id(),
                mesh,
                service,
                addresses: Vec::new(),
                leaving: false,
            };
            node.ask_discovery(Announce(advert, bound)).await?;
        }
        let addresses = if address.ip().is_unspecified() { Vec::new() } else { vec![address] };
        Ok((Instance { id, node: node.id(), service: display_name, addresses, local: true }, withdrawal))
    })
}
