//! A node: one process's membership of a mesh, with the actors that make it work.

pub mod advertise;
pub mod router;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Addr, Handler, Message};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::id::NodeId;
use meshzero_proto::limits::Limits;
use parking_lot::Mutex;
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

/// The longest time for which dropping the mesh at the end of a program waits until the node's services are withdrawn.
const WITHDRAWAL_TIMEOUT: Duration = Duration::from_millis(800);

/// The drain timeout in that case.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(400);

/// The interval at which a thread that drops the mesh checks whether the withdrawal has been sent.
const CHECK_INTERVAL: Duration = Duration::from_millis(1);

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
    pending_interfaces: Vec<PendingInterface>,
    context: Arc<NodeContext>,
    executor_guard: Mutex<Option<ExecutorGuard>>,
    router: Addr<Router>,
}

impl Node {
    /// Joins a mesh: on the current arbiter if there is one and it runs, otherwise on a thread of its own. Works on any
    /// executor.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Arc<Self>, StartError> {
        Self::start_in(config, Executor::find_or_start).await
    }

    /// Joins a mesh on a thread of its own, even if there is an arbiter: for callers that block their thread.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on_own_thread(config: Config) -> Result<Arc<Self>, StartError> {
        Self::start_in(config, async || Executor::start()).await
    }

    /// Joins a mesh on the `LocalSet` in which this future is polled, on any runtime. The mesh does not outlive the
    /// `LocalSet`.
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
        executor: impl AsyncFnOnce() -> Result<(Executor, ExecutorGuard), MeshClosed>,
    ) -> Result<Arc<Self>, StartError> {
        // Before a timeout is added to a clock's time.
        config.limits = Arc::new(Arc::unwrap_or_clone(config.limits).saturated());
        let config = Arc::new(config);
        let pending_interfaces = config.interfaces.pending()?;
        for interface in &pending_interfaces {
            tracing::warn!("{interface}");
        }
        allocator::retain_large_blocks();
        let id = NodeId::from_random(config.network.random().map_err(StartError::Random)?);
        let (limits, network) = (Arc::clone(&config.limits), config.network.clone());
        let link_config = LinkConfig { limits, spin: config.spin, network, ..LinkConfig::default() };
        let (timers, timer_task) = Timers::new();
        let (executor, executor_guard) = executor().await?;
        let thread = executor.clone();
        // Constructed entirely on that thread: a caller that stops waiting leaves nothing behind.
        let make = move || async move {
            let discovery = Discovery::start_for(&config, id).map_err(StartError::Discovery)?;
            let shutdown = Arc::<ShutdownSignal>::default();
            // The task is dropped with the thread if that ends before the node leaves: so every waiting task is
            // notified, whatever the reason.
            let services = Arc::<ServiceRegistry>::default();
            let task = NodeTask {
                services: Arc::clone(&services),
                shutdown: TriggerOnDrop(Arc::clone(&shutdown)),
                timer_task,
            };
            actix::spawn(task.run());
            let context = Arc::new(NodeContext {
                hello: config.hello(id),
                config,
                executor,
                timers,
                decode_limits: DecodeLimits::typed(&link_config.limits),
                link_config,
                discovery,
                services,
                subscriptions: Arc::default(),
                gateways: ShutdownHandles::default(),
                diagnosis_permit: Arc::new(Semaphore::new(1)),
                shutdown,
            });
            let router = Router::new(Arc::clone(&context));
            let router = control_actor::spawn_control_actor(|_| router);
            let executor_guard = Mutex::new(Some(executor_guard));
            tracing::debug!(node = %id, mesh = %context.hello.mesh, "joined");
            Ok(Arc::new(Self { pending_interfaces, context, executor_guard, router }))
        };
        thread.run_async(make).await?
    }

    /// The context that its parts share.
    pub fn context(&self) -> &Arc<NodeContext> {
        &self.context
    }

    /// The environment of its services.
    pub(crate) fn environment(&self) -> Environment {
        self.context.environment(self.router.clone().recipient().downgrade())
    }

    /// The node's identity.
    pub fn id(&self) -> NodeId {
        self.context.id()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.context.config
    }

    /// The chosen interfaces that could not be used yet when the node started. It uses them as soon as possible.
    pub fn pending_interfaces(&self) -> &[PendingInterface] {
        &self.pending_interfaces
    }

    /// The limits.
    pub fn limits(&self) -> &Arc<Limits> {
        self.context.limits()
    }

    /// The limits of decoding a message of a Rust type.
    pub fn decode_limits(&self) -> &DecodeLimits {
        &self.context.decode_limits
    }

    /// The thread that the node runs on.
    pub fn executor(&self) -> &Executor {
        &self.context.executor
    }

    /// The timers.
    pub fn timers(&self) -> &Arc<Timers> {
        &self.context.timers
    }

    /// The discovery actor.
    pub(crate) fn discovery(&self) -> &Addr<Discovery> {
        &self.context.discovery
    }

    /// The router actor.
    pub fn router(&self) -> &Addr<Router> {
        &self.router
    }

    /// The signal that the node leaves.
    pub fn shutdown(&self) -> &Arc<ShutdownSignal> {
        &self.context.shutdown
    }

    /// Returns a caller by `route`, which keeps the node joined.
    pub fn caller(self: &Arc<Self>, route: Arc<Route>) -> Caller {
        let membership = Arc::clone(self) as Arc<dyn Membership>;
        Caller { context: Arc::clone(&self.context), membership, route }
    }

    /// Returns the node's statistics.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, and its thread has ended.
    pub async fn stats(&self) -> Result<Stats, MeshClosed> {
        self.ask_router(GetStats).await
    }

    /// Sends a request to the router actor, and waits for its reply.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, or its thread has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future stops waiting.
    pub async fn ask_router<M>(&self, message: M) -> Result<M::Result, MeshClosed>
    where
        M: Message<Result: Send> + Send + 'static,
        Router: Handler<M>,
    {
        self.executor().wait_for(self.router.send(message)).await?.map_err(|_| MeshClosed)
    }

    /// Sends a request to the discovery actor, and waits for its reply.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, or its thread has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future stops waiting.
    pub async fn ask_discovery<M>(&self, message: M) -> Result<M::Result, MeshClosed>
    where
        M: Message<Result: Send> + Send + 'static,
        Discovery: Handler<M>,
    {
        self.context.ask_discovery(message).await
    }

    /// Withdraws all services, waits up to `drain` for accepted work, then ends all links and subscriptions, and the
    /// node's own thread. Returns the messages that were not finished. Works on any executor; a second call has no
    /// effect.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future does not keep the node from leaving.
    pub async fn leave(&self, drain: Duration) -> Vec<DrainReport> {
        let (tx, rx) = oneshot::channel();
        if self.start_leaving(drain, tx).is_none() {
            return Vec::new();
        }
        // A thread that ends drops the channel.
        self.executor().wait_for(rx).await.map(Result::unwrap_or_default).unwrap_or_default()
    }

    /// As [`Node::leave`], for a thread that is about to end: begins to leave, and waits for less than a second. Does not
    /// wait on the node's own thread, nor if the node runs on one of the user's threads.
    pub fn leave_now(&self) {
        let (tx, mut rx) = oneshot::channel();
        // Otherwise a program that ends now would do so before the withdrawal is sent. The node's own thread cannot
        // wait.
        if self.start_leaving(DRAIN_TIMEOUT, tx) == Some(ThreadOwner::Node) && !self.executor().is_here() {
            let deadline = Instant::now() + WITHDRAWAL_TIMEOUT;
            while rx.try_recv() == Err(oneshot::error::TryRecvError::Empty) && Instant::now() < deadline {
                std::thread::sleep(CHECK_INTERVAL);
            }
        }
    }

    /// Begins to leave on the node's thread, and returns the owner of that thread; `None` if leaving has begun already,
    /// or the thread has ended.
    fn start_leaving(&self, drain: Duration, tx: oneshot::Sender<Vec<DrainReport>>) -> Option<ThreadOwner> {
        let executor_guard = self.executor_guard.lock().take()?;
        let owner = if matches!(executor_guard, ExecutorGuard::Owned(_)) {
            ThreadOwner::Node
        } else {
            ThreadOwner::User
        };
        let (router, discovery) = (self.router.clone(), self.discovery().clone());
        let (shutdown, context) = (TriggerOnDrop(Arc::clone(self.shutdown())), Arc::clone(&self.context));
        let spawned = self.executor().spawn(move || async move {
            context.gateways.shut_down().await;
            // An actor that is gone has left already.
            let reports = router.send(CloseServices { within: drain }).await.unwrap_or_default();
            // Not before: accepted work may need to call other services.
            drop(shutdown);
            let _ = discovery.send(Leave).await;
            // Fails if the caller has stopped waiting.
            let _ = tx.send(reports);
            drop(executor_guard);
        });
        spawned.ok().map(|()| owner)
    }
}

impl Membership for Node {
    fn end_reason(&self) -> String {
        match *self.executor_guard.lock() {
            // It has not been asked to leave.
            Some(_) => "the thread of the mesh has ended".to_owned(),
            None => "the mesh has been left".to_owned(),
        }
    }
}

/// The task on the node's thread that lives as long as the node does, for callers that wait on other threads. When it is
/// dropped, it closes the services that are still offered, triggers the shutdown, and then wakes the callers.
struct NodeTask {
    services: Arc<ServiceRegistry>,
    shutdown: TriggerOnDrop,
    timer_task: TimerTask,
}

impl NodeTask {
    async fn run(self) {
        tokio::select! {
            biased;
            () = self.shutdown.0.triggered() => {}
            () = self.timer_task.run() => {}
        }
    }
}

impl Drop for NodeTask {
    fn drop(&mut self) {
        // Before the shutdown is signalled: a caller that is woken by it would release its permit, which another one
        // would acquire.
        self.services.close();
    }
}

/// The owner of the thread that a node runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ThreadOwner {
    Node,
    User,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.leave_now();
    }
}
