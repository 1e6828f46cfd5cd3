//! A node: one process's membership of a mesh, with the actors that make it work.

pub mod advertise;
pub mod router;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::{Addr, Handler, Message};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::id::NodeId;
use meshzero_proto::limits::Limits;
use tokio::sync::{Semaphore, oneshot};

use crate::client::caller::Caller;
use crate::client::route::Route;
use crate::config::Config;
use crate::context::{Membership, NodeContext};
use crate::discovery::{Discovery, Leave};
use crate::link::config::LinkConfig;
use crate::net::interfaces::{InterfacesError, PendingInterface};
use crate::node::router::{CloseServices, Router};
use crate::runtime::allocator;
use crate::runtime::control_actor;
use crate::runtime::executor::{Executor, ExecutorGuard, MeshClosed};
use crate::runtime::shutdown::{ShutdownHandles, ShutdownSignal, TriggerOnDrop};
use crate::runtime::timer::{TimerTask, Timers};
use crate::server::drain_report::DrainReport;
use crate::server::registry::ServiceRegistry;
use crate::server::service::environment::Environment;
use crate::telemetry::stats::{GetStats, Stats};

/// The longest wait of a program for the goodbye when it drops its mesh at the end.
const GOODBYE: Duration = Duration::from_millis(800);

/// The time that accepted work may take to finish then.
const DRAIN_NOW: Duration = Duration::from_millis(400);

/// The interval at which it checks whether the goodbye has been said.
const GLANCE: Duration = Duration::from_millis(1);

/// The reason why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The interfaces cannot be used.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// The node's thread cannot be started, or has ended.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
    /// The system gave no randomness for the node's identity.
    #[error("the system gave no random numbers: {0}")]
    Random(getrandom::Error),
    /// Discovery could not start.
    #[error("discovery could not start: {0}")]
    Discovery(std::io::Error),
}

/// One process's membership of a mesh.
pub struct Node {
    awaited: Vec<PendingInterface>,
    premises: Arc<NodeContext>,
    lodging: Mutex<Option<ExecutorGuard>>,
    router: Addr<Router>,
}

impl Node {
    /// Joins a mesh: on the current arbiter where there is one that runs, else on a thread of its own. Works on any executor.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Arc<Self>, StartError> {
        Self::start_in(config, Executor::find_or_start).await
    }

    /// Joins a mesh on a thread of its own, also where there is an arbiter: for callers that block theirs.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_apart(config: Config) -> Result<Arc<Self>, StartError> {
        Self::start_in(config, async || Executor::start()).await
    }

    /// Joins a mesh on the `LocalSet` that this is polled in, whoever's runtime that is. It does not outlive that.
    ///
    /// # Errors
    /// [`StartError`].
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    pub async fn start_local(config: Config) -> Result<Arc<Self>, StartError> {
        Self::start_in(config, async || Ok(Executor::local())).await
    }

    async fn start_in(
        mut config: Config,
        home: impl AsyncFnOnce() -> Result<(Executor, ExecutorGuard), MeshClosed>,
    ) -> Result<Arc<Self>, StartError> {
        // Before anybody adds them to a clock's time.
        config.limits = Arc::new(Arc::unwrap_or_clone(config.limits).saturated());
        let config = Arc::new(config);
        let awaited = config.interfaces.pending()?;
        for interface in &awaited {
            tracing::warn!("{interface}");
        }
        allocator::keep_large_blocks();
        let id = NodeId::from_random(config.network.random().map_err(StartError::Random)?);
        let (limits, network) = (Arc::clone(&config.limits), config.network.clone());
        let carrying = LinkConfig { limits, spin: config.spin, network, ..LinkConfig::default() };
        let (alarms, ringing) = Timers::new();
        let (home, lodging) = home().await?;
        let thread = home.clone();
        // Made whole over there: whoever stops waiting leaves nothing behind.
        let make = move || async move {
            let discovery = Discovery::start_for(&config, id).map_err(StartError::Discovery)?;
            let ending = Arc::<ShutdownSignal>::default();
            // Dropped with the thread, if that ends before the node leaves: so everybody hears of the end, whatever it is.
            let own = Arc::<ServiceRegistry>::default();
            let task = NodeTask { own: Arc::clone(&own), last: TriggerOnDrop(Arc::clone(&ending)), ringing };
            actix::spawn(task.run());
            let premises = Arc::new(NodeContext {
                hello: config.hello(id),
                config,
                home,
                alarms,
                decode_limits: DecodeLimits::typed(&carrying.limits),
                carrying,
                discovery,
                own,
                subscriptions: Arc::default(),
                gateways: ShutdownHandles::default(),
                looking: Arc::new(Semaphore::new(1)),
                ending,
            });
            let router = Router::new(Arc::clone(&premises));
            let router = control_actor::spawn_control_actor(|_| router);
            let lodging = Mutex::new(Some(lodging));
            tracing::debug!(node = %id, mesh = %premises.hello.mesh, "joined");
            Ok(Arc::new(Self { awaited, premises, lodging, router }))
        };
        thread.run_async(make).await?
    }

    /// The context that its parts share.
    pub fn context(&self) -> &Arc<NodeContext> {
        &self.premises
    }

    /// The environment of its services.
    pub(crate) fn environment(&self) -> Environment {
        self.premises.environment(self.router.clone().recipient().downgrade())
    }

    /// The node's identity.
    pub fn id(&self) -> NodeId {
        self.premises.id()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.premises.config
    }

    /// The chosen interfaces that could not be used yet when it started. It uses them as soon as they can be.
    pub fn awaited(&self) -> &[PendingInterface] {
        &self.awaited
    }

    /// The limits.
    pub fn limits(&self) -> &Arc<Limits> {
        self.premises.limits()
    }

    /// The limits of decoding a message of a Rust type.
    pub fn decode_limits(&self) -> &DecodeLimits {
        &self.premises.decode_limits
    }

    /// The thread that the node lives on.
    pub fn home(&self) -> &Executor {
        &self.premises.home
    }

    /// The timers.
    pub fn alarms(&self) -> &Arc<Timers> {
        &self.premises.alarms
    }

    /// The discovery actor.
    pub(crate) fn discovery(&self) -> &Addr<Discovery> {
        &self.premises.discovery
    }

    /// The router actor.
    pub fn router(&self) -> &Addr<Router> {
        &self.router
    }

    /// The moment in which the node leaves.
    pub fn ending(&self) -> &Arc<ShutdownSignal> {
        &self.premises.ending
    }

    /// Returns a caller by `route`, which keeps the node joined.
    pub fn caller(self: &Arc<Self>, route: Arc<Route>) -> Caller {
        let membership = Arc::clone(self) as Arc<dyn Membership>;
        Caller { context: Arc::clone(&self.premises), membership, route }
    }

    /// Returns what it has counted.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, and its thread has ended.
    pub async fn stats(&self) -> Result<Stats, MeshClosed> {
        self.ask_router(GetStats).await
    }

    /// Asks the router actor.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, or its thread has ended.
    ///
    /// # Cancel safety
    /// Dropping the future stops waiting.
    pub async fn ask_router<M>(&self, message: M) -> Result<M::Result, MeshClosed>
    where
        M: Message<Result: Send> + Send + 'static,
        Router: Handler<M>,
    {
        self.home().hear(self.router.send(message)).await?.map_err(|_| MeshClosed)
    }

    /// Asks the discovery actor.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, or its thread has ended.
    ///
    /// # Cancel safety
    /// Dropping the future stops waiting.
    pub async fn ask_discovery<M>(&self, message: M) -> Result<M::Result, MeshClosed>
    where
        M: Message<Result: Send> + Send + 'static,
        Discovery: Handler<M>,
    {
        self.premises.ask_discovery(message).await
    }

    /// Withdraws all services, lets accepted work finish for as long as `drain`, then ends all links and subscriptions, and
    /// the node's own thread. Returns what was not finished. Works on any executor; a second call does nothing.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the leaving.
    pub async fn leave(&self, drain: Duration) -> Vec<DrainReport> {
        let (tell, told) = oneshot::channel();
        if self.begin_to_leave(drain, tell).is_none() {
            return Vec::new();
        }
        // A thread that ends takes the word with it.
        self.home().hear(told).await.map(Result::unwrap_or_default).unwrap_or_default()
    }

    /// As [`Node::leave`], for a thread that ends: begins to leave and waits for it as long as a program may take to end,
    /// which is less than a second. On the thread that the node lives on, and on one that the user lent, it does not wait.
    pub fn leave_now(&self) {
        let (tell, mut told) = oneshot::channel();
        // A program that ends now would take the goodbye with it. On the node's own thread nothing can be waited for.
        if self.begin_to_leave(DRAIN_NOW, tell) == Some(ThreadOwner::Own) && !self.home().is_here() {
            let patience = Instant::now() + GOODBYE;
            while told.try_recv() == Err(oneshot::error::TryRecvError::Empty) && Instant::now() < patience {
                std::thread::sleep(GLANCE);
            }
        }
    }

    /// Leaves on the node's thread, and says on whose; `None` if that has begun already, or cannot any more.
    fn begin_to_leave(
        &self,
        drain: Duration,
        tell: oneshot::Sender<Vec<DrainReport>>,
    ) -> Option<ThreadOwner> {
        let lodging = self.lodging.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let whose =
            if matches!(lodging, ExecutorGuard::Owner(_)) { ThreadOwner::Own } else { ThreadOwner::Users };
        let (router, discovery) = (self.router.clone(), self.discovery().clone());
        let (ending, premises) = (TriggerOnDrop(Arc::clone(self.ending())), Arc::clone(&self.premises));
        let leaving = self.home().spawn(move || async move {
            premises.gateways.shut_down().await;
            // An actor that is gone has left already.
            let abandoned = router.send(CloseServices { within: drain }).await.unwrap_or_default();
            // Not before: what is being finished may need to call others.
            drop(ending);
            let _ = discovery.send(Leave).await;
            // Who does not wait any more is not told.
            let _ = tell.send(abandoned);
            drop(lodging);
        });
        leaving.ok().map(|()| whose)
    }
}

impl Membership for Node {
    fn why_it_ended(&self) -> String {
        match *self.lodging.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody has asked it to leave.
            Some(_) => MeshClosed.to_string(),
            None => "the mesh has been left".to_owned(),
        }
    }
}

/// The task on the node's thread for those who wait elsewhere, as long as the node is there. Dropped, it closes what is still offered,
/// tells the end, and then wakes those who wait.
struct NodeTask {
    own: Arc<ServiceRegistry>,
    last: TriggerOnDrop,
    ringing: TimerTask,
}

impl NodeTask {
    async fn run(self) {
        tokio::select! {
            biased;
            () = self.last.0.triggered() => {}
            () = self.ringing.run() => {}
        }
    }
}

impl Drop for NodeTask {
    fn drop(&mut self) {
        // Before anybody learns of the end, gives its place back, and lets somebody else have it.
        self.own.close();
    }
}

/// The owner of the thread that a node lives on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ThreadOwner {
    Own,
    Users,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.leave_now();
    }
}
