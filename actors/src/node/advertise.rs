//! Offering a service: from an actor and its handlers to an endpoint that is announced.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, ArbiterHandle, Context};
use meshzero_proto::codec::TypeInfo;
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::directory::{Filter, Instance};
use meshzero_proto::id::InstanceId;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::{InvalidName, ServiceName, Topic, TypeName};
use meshzero_proto::wire::catalogue::MAX_MESSAGES;

use crate::discovery::{Announce, ListInstances, Withdraw};
use crate::net::bind::{BindAddress, BindError};
use crate::net::bound_addresses::BoundAddresses;
use crate::net::naming;
use crate::net::zone::ZonedAddress;
use crate::node::router::{Router, Unregister};
use crate::node::{Node, StartError};
use crate::runtime::executor::{Executor, MeshClosed};
use crate::runtime::panic::PanicMessage;
use crate::server::actor::entry::ServiceEnd;
use crate::server::actor::external::ExternalActor;
use crate::server::actor::handler::Registration;
use crate::server::actor::restart_policy::RestartPolicy;
use crate::server::actor::supervised::{Factory, SupervisedActor};
use crate::server::drain_report::DrainReport;
use crate::server::publisher::Publisher;
use crate::server::service::Service;
use crate::server::service::actor_handle::ActorHandle;

mod steps;

use steps::{PreparedService, check_and_choose_executor, prepare, register};

/// The time for which another instance of a name that must be unique is searched.
const UNIQUENESS_TIMEOUT: Duration = Duration::from_millis(600);

/// The timeout of an arbiter that is expected to run a task.
const ARBITER_TIMEOUT: Duration = Duration::from_secs(5);

/// The source of the actor.
pub enum ActorSource<A: Actor> {
    /// A factory: the mesh runs the actor, and restarts it after a panic.
    Factory(Box<dyn FnOnce(Publisher) -> Factory<A> + Send>),
    /// The address of an actor that the user runs.
    Addr(Addr<A>),
}

/// A topic that is known before anything is published.
pub struct DeclaredTopic {
    /// The topic.
    pub topic: Topic,
    /// The type of its items.
    pub item: Option<&'static TypeInfo>,
    /// Set if its last item reaches those who subscribe later.
    pub retains: bool,
}

/// A service to be advertised.
pub struct ServiceSpec<A: Actor> {
    /// Its name; `None` for an endpoint that is not announced.
    pub name: Option<ServiceName>,
    /// Its actor.
    pub source: ActorSource<A>,
    /// The handlers of the actor.
    pub handlers: Vec<Registration<A>>,
    /// The address to listen on.
    pub bind: BindAddress,
    /// The arbiter that runs its actor and its connections, instead of the node's thread.
    pub arbiter: Option<ArbiterHandle>,
    /// Set if another instance of the name on the mesh is an error.
    pub uniqueness: Uniqueness,
    /// Topics that are declared beforehand.
    pub topics: Vec<DeclaredTopic>,
    /// The restart policy after a panic of its actor; an actor that the user runs ends the service.
    pub restart: RestartPolicy,
}

/// The number of instances that a service may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uniqueness {
    /// One of several.
    #[default]
    OneOfMany,
    /// It must be the only one.
    One,
}

/// The error of a service that was not advertised. Nothing is left behind.
///
/// ```
/// # use meshzero_actors::node::advertise::AdvertiseError;
/// # use meshzero_proto::name::ServiceName;
/// # let name = ServiceName::new("referee").expect("a name");
/// # let error = AdvertiseError::Exists { name, address: "192.168.1.7:9000".parse().expect("an address") };
/// match error {
///     AdvertiseError::Exists { name, address } => println!("{name} is there already, at {address}"),
///     AdvertiseError::Bind(error) => println!("choose another address: {error}"),
///     other => println!("{other}"),
/// }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// The name of the service, of a topic or of a message type is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The address to listen on cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Another instance of the name exists.
    #[error("\"{name}\" is advertised already, at {}", ZonedAddress(*.address))]
    Exists {
        /// The name.
        name: ServiceName,
        /// The address of the other instance.
        address: SocketAddr,
    },
    /// The name is an address, or a URL where an address is meant: a search for it leads to the address, or to an
    /// error. The same applies to `localhost` and a port, and to an address whose port is not valid.
    #[error("\"{0}\" is an address or a URL, and not a name by which others could find a service")]
    AddressAsName(ServiceName),
    /// Two message types have the same name.
    #[error("two message types are called \"{0}\"; register one of them under another name")]
    SameName(TypeName),
    /// There are more message types than slots.
    #[error("{0} message types are registered; a service can handle at most {MAX_MESSAGES}")]
    TooManyMessages(usize),
    /// The node offers as many services as its [`Limits::instances_per_node`] allows.
    #[error("{}", too_many_services(*.0))]
    TooManyServices(usize),
    /// More topics are declared than a service may have.
    #[error("more topics are declared than the {0} that a service may retain or describe")]
    TooManyTopics(usize),
    /// The factory panicked.
    #[error("the factory of the actor panicked: {panic}")]
    FactoryPanicked {
        /// The message of the panic.
        panic: String,
    },
    /// The arbiter of the service is idle: its System is not running, or its thread is blocked.
    #[error(
        "the arbiter does nothing: its System is not running, or its thread has been blocked for {ARBITER_TIMEOUT:?}"
    )]
    IdleArbiter,
    /// No identity could be generated.
    #[error(transparent)]
    Random(#[from] StartError),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
}

/// The sentence itself, because that is what Rust prints when `main` returns an error.
impl fmt::Debug for AdvertiseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn too_many_services(most: usize) -> String {
    format!(
        "this program offers {most} services already, and its limit instances_per_node allows no more; raise it with \
         Limits::instances_per_node or MESHZERO_LIMITS=instances_per_node={}. Each of the other programs lists as many services of \
         one as its own instances_per_node says, which is {} unless it is raised there too, and finds those beyond by their exact \
         names only",
        most.saturating_add(1).checked_next_power_of_two().unwrap_or(usize::MAX),
        Limits::default().instances_per_node
    )
}

/// A service that is advertised, until this is dropped.
pub struct AdvertisedService<A: Actor> {
    /// The service.
    pub service: Arc<Service>,
    /// The instance as other nodes see it.
    pub instance: Instance,
    /// The address at which others reach it; the IP address is unspecified if there was none yet.
    pub address: SocketAddr,
    /// The addresses at which its endpoint listens.
    pub bound: BoundAddresses,
    /// Its actor.
    pub actor: ServiceActor<A>,
    _withdrawal: WithdrawOnDrop,
}

/// Withdraws the service when it is dropped.
struct WithdrawOnDrop {
    router: Addr<Router>,
    instance: InstanceId,
}

impl Drop for WithdrawOnDrop {
    fn drop(&mut self) {
        self.router.do_send(Unregister { instance: self.instance, end: ServiceEnd::Closed });
    }
}

/// The actor behind a service.
pub enum ServiceActor<A: Actor> {
    /// The mesh runs it.
    Supervised(Arc<SupervisedActor<A>>),
    /// The user runs it.
    External(Arc<ExternalActor<A>>),
}

impl<A: Actor<Context = Context<A>>> ServiceActor<A> {
    /// The actor's address as it is now.
    pub fn addr(&self) -> Addr<A> {
        match self {
            Self::Supervised(supervised) => supervised.addr(),
            Self::External(external) => external.addr(),
        }
    }
}

impl<A: Actor<Context = Context<A>>> AdvertisedService<A> {
    /// Announces `name` for a service that was advertised without one.
    ///
    /// # Errors
    /// [`AdvertiseError`]: others could not find a service by this name, it must be unique and is not, or the node has
    /// left.
    pub async fn announce(
        &self,
        node: &Node,
        name: &ServiceName,
        only: Uniqueness,
    ) -> Result<(), AdvertiseError> {
        check_name(name)?;
        if only == Uniqueness::One {
            ensure_unique(node, name).await?;
        }
        let advert = Advert {
            instance: self.instance.id,
            node: self.instance.node,
            mesh: node.config().mesh.clone(),
            service: name.clone(),
            addresses: Vec::new(),
            leaving: false,
        };
        Ok(node.ask_discovery(Announce(advert, self.bound.clone())).await?)
    }

    /// As [`AdvertisedService::close`], also for a name that was announced later, and without consuming the service.
    ///
    /// # Cancel safety
    /// This method is not cancel safe: the service may remain partly closed.
    pub async fn withdraw(&self, node: &Node) {
        self.service.drain();
        // A node that has left has closed all its services.
        let _ = node.ask_discovery(Withdraw(self.instance.id)).await;
        let _ = self.unregister(node).await;
    }

    /// Withdraws the service, finishes what it has accepted, and returns what was not finished in time.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future does not stop the close.
    pub async fn close(self, node: &Node) -> Option<DrainReport> {
        // A node that has left has closed all its services.
        self.unregister(node).await.unwrap_or(None)
    }

    async fn unregister(&self, node: &Node) -> Result<Option<DrainReport>, MeshClosed> {
        node.ask_router(Unregister { instance: self.instance.id, end: ServiceEnd::Closed }).await
    }
}

/// Advertises a service. Works on any executor.
///
/// # Errors
/// [`AdvertiseError`]; nothing is left behind.
pub async fn advertise<A>(
    node: &Arc<Node>,
    offer: ServiceSpec<A>,
) -> Result<AdvertisedService<A>, AdvertiseError>
where
    A: Actor<Context = Context<A>>,
{
    check_names(offer.handlers.iter().map(|handler| &handler.name).collect())?;
    let executor =
        check_and_choose_executor(node, offer.name.as_ref(), offer.uniqueness, offer.arbiter.as_ref())
            .await?;
    let (own_executor, own_node) = (executor.clone(), Arc::clone(node));
    let advertised =
        executor.run_async(move || async move { advertise_on_thread(&own_node, own_executor, offer).await });
    node.executor().wait_for(advertised).await??
}

fn check_names(mut names: Vec<&TypeName>) -> Result<(), AdvertiseError> {
    if names.len() > MAX_MESSAGES {
        return Err(AdvertiseError::TooManyMessages(names.len()));
    }
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(AdvertiseError::SameName(pair[0].clone())),
        None => Ok(()),
    }
}

/// Checks that a service of this name could be found.
///
/// # Errors
/// [`AdvertiseError::AddressAsName`].
pub fn check_name(name: &ServiceName) -> Result<(), AdvertiseError> {
    if naming::is_name(name) { Ok(()) } else { Err(AdvertiseError::AddressAsName(name.clone())) }
}

/// Checks that nobody offers `name`.
///
/// # Errors
/// [`AdvertiseError::Exists`] with the address of the other instance.
pub(crate) async fn ensure_unique(node: &Node, name: &ServiceName) -> Result<(), AdvertiseError> {
    let others = ListInstances { filter: Filter::Name(name.clone()), within: UNIQUENESS_TIMEOUT };
    let others = node.ask_discovery(others).await?;
    match others.first().and_then(Instance::address) {
        Some(address) => Err(AdvertiseError::Exists { name: name.clone(), address }),
        None => Ok(()),
    }
}

/// Advertises a service. Runs on the thread of the service.
async fn advertise_on_thread<A>(
    node: &Arc<Node>,
    executor: Executor,
    offer: ServiceSpec<A>,
) -> Result<AdvertisedService<A>, AdvertiseError>
where
    A: Actor<Context = Context<A>>,
{
    let prepared = prepare(node, executor, offer.name, offer.bind, offer.topics).await?;
    let PreparedService { environment, identity, publisher, endpoint } = prepared;
    let id = identity.instance;
    let router = node.router().clone();
    let withdraw = move |end| router.do_send(Unregister { instance: id, end });
    let (actor, handle) = match offer.source {
        ActorSource::Factory(prepare) => {
            let factory = prepare(publisher.clone());
            let log_name = endpoint.display_name(&identity).to_string();
            let (supervised, handle) =
                ActorHandle::start(&environment, log_name, factory, &offer.handlers, offer.restart, withdraw)
                    .map_err(|PanicMessage(panic)| AdvertiseError::FactoryPanicked { panic })?;
            (ServiceActor::Supervised(supervised), handle)
        }
        ActorSource::Addr(addr) => {
            let stopped = move || withdraw(ServiceEnd::Stopped);
            let (external, handle) = ActorHandle::attach(&environment, addr, &offer.handlers, stopped);
            (ServiceActor::External(external), handle)
        }
    };
    let service = Arc::new(Service::new(&environment, identity, publisher, &offer.handlers, handle));
    let (address, bound) = (endpoint.address, endpoint.bound.clone());
    let (instance, _withdrawal) = register(node, Arc::clone(&service), endpoint).await?;
    Ok(AdvertisedService { service, instance, address, bound, actor, _withdrawal })
}
