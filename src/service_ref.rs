//! A caller's handle to a service.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::Recipient;
use meshzero_actors::NetMessage;
use meshzero_actors::client::caller::{Caller, deadline_in};
use meshzero_actors::client::error::CallErrorKind;
use meshzero_actors::client::introspect;
use meshzero_actors::client::route::{Member, Route};
use meshzero_actors::client::tell::{self, TellError};
use meshzero_actors::node::Node;
use meshzero_actors::runtime::events;
use meshzero_actors::telemetry::stats::{RouteStats, Stats};
use meshzero_proto::codec::WireType;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::description::Description;

use crate::error::{CallError, TrySendError};
use crate::recipient;
use crate::request::{Request, Tell};
use crate::subscribe::{News, Subscribe, SubscribeTo};

/// A handle to a service of the mesh, to call it and to subscribe to it. Cheap to clone, usable from any thread and any executor.
///
/// It mirrors actix's `Addr`, and stays valid while instances of the service come and go: each call goes to the less busy of two
/// instances picked at random among the connected ones.
///
/// ```no_run
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "f32")]
/// # struct Move(f32);
/// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
/// let arm = mesh.discover("robot/arm").await?;
/// println!("{} instances of {}, one at {:?}", arm.instances().len(), arm.name(), arm.address());
/// let position: f32 = arm.send(Move(0.5)).await?;
/// arm.do_send(Move(-0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceRef {
    node: Arc<Node>,
    caller: Arc<Caller>,
    name: Arc<str>,
}

impl ServiceRef {
    pub(crate) fn new(node: Arc<Node>, route: Arc<Route>) -> Self {
        let name = route.target().to_string().into();
        Self { caller: Arc::new(node.caller(route)), node, name }
    }

    /// The name, or the `ip:port`, that it was discovered by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instances that are connected at the moment. The address at which each was reached comes first; the others have not been
    /// tried.
    pub fn instances(&self) -> Vec<Instance> {
        self.caller.route.members().iter().map(Member::listing).collect()
    }

    /// The address at which one of the instances that are connected at the moment was reached.
    pub fn address(&self) -> Option<SocketAddr> {
        self.caller.route.members().first()?.address()
    }

    /// Sends a message and waits for its reply, when awaited. See [`Request`] for timeouts, cancellation and errors.
    #[inline(always)]
    pub fn send<M: NetMessage>(&self, message: M) -> Request<M> {
        Request::new(Arc::clone(&self.caller), message)
    }

    /// Sends a message without a reply, when awaited: waits until an instance is connected and has room, and completes as soon as
    /// the message is in the send queue. A message that was sent may still not arrive: if the connection is lost, or the service
    /// refuses the message, the sender is not notified.
    ///
    /// Use this to send many messages as fast as the service takes them: the sender waits instead of filling a queue, and no
    /// message is lost between two running processes.
    ///
    /// # Errors
    /// [`CallError`]; the message will not be handled.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future before it has completed gives up the message, unless that has been sent
    /// already. A message that had to wait is sent in its turn, whether the future is polled then or not; so after a future
    /// that was polled and then dropped it is unknown whether the message will be handled.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "()")]
    /// # struct Move(f32);
    /// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
    /// for step in 0..1_000_000 {
    ///     arm.tell(Move(step as f32)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    // Always, as below: a message is created in its final place instead of being moved there.
    #[inline(always)]
    pub fn tell<M: NetMessage>(&self, message: M) -> Tell<'_, M> {
        Tell::new(&self.caller, message)
    }

    /// Sends a message without a reply, if there is room for it at once. A message that was sent may still not arrive: if the
    /// connection is lost, or the service refuses the message, the sender is not notified.
    ///
    /// # Errors
    /// [`TrySendError`]; the message will not be handled, and most errors return it.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "()")]
    /// # struct Move(f32);
    /// # fn run(arm: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// use meshzero::TrySendError;
    ///
    /// match arm.try_send(Move(0.5)) {
    ///     Err(TrySendError::Full(Move(by))) => println!("busy: {by} has to wait"),
    ///     other => other?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_send<M: NetMessage>(&self, message: M) -> Result<(), TrySendError<M>> {
        tell::try_tell(&self.caller, message).map_err(|untold| match untold {
            TellError::Full(message) => TrySendError::Full(message),
            TellError::NotConnected(message) => TrySendError::NotConnected(message),
            TellError::Impossible(fault) => self.impossible(fault),
        })
    }

    /// Fire-and-forget: sends a message without a reply, and does not report whether it could be sent. If the service's queue is full
    /// or no instance is connected, the message is dropped, counted by [`ServiceRef::stats`], and logged as a warning. Unlike with
    /// actix, nothing is queued beyond the limits.
    ///
    /// # Logs through the mesh
    /// A `tracing` subscriber may send or publish the events that it receives. Events that the mesh records while the subscriber does
    /// so on the same thread, such as the warning above, are not delivered to it again, and the messages that it sends then belong to
    /// no trace. Messages and items are serialised before anything is locked: a `Serialize` may log, send and publish, also through
    /// the same handle, and the messages that it sends leave before its own. Events that the mesh records on its own thread, about
    /// connections, are delivered; a subscriber that sends them should filter out those that sending causes, by the target `meshzero`
    /// or by level.
    pub fn do_send<M: NetMessage>(&self, message: M) {
        if let Err(error) = self.try_send(message) {
            self.caller.route.count_dropped();
            events::record(|| tracing::warn!(service = %self.name, %error, "a message was not sent"));
        }
    }

    /// The statistics of this whole program about the service: calls that were retried, instances that were ejected, messages that
    /// [`ServiceRef::do_send`] has dropped, and the state of each link. The statistics of the service's own program are returned by
    /// [`ServiceRef::ask_stats`].
    ///
    /// ```no_run
    /// # fn run(arm: meshzero::ServiceRef) {
    /// let calls = arm.stats().calls;
    /// println!("{} retries, {} messages dropped", calls.retries, calls.dropped);
    /// # }
    /// ```
    pub fn stats(&self) -> RouteStats {
        self.caller.route.stats()
    }

    /// An actix `Recipient` for messages of type `M`, for code that knows nothing of the mesh. A call without a reply ends in
    /// `MailboxError::Closed` there, and the reason is logged. Calls have the timeout of the mesh's limits; dropping one cancels it.
    ///
    /// Messages wait in a mailbox until the mesh's thread forwards them. While 16 wait there, actix's `try_send` accepts one more from
    /// each sender and then returns `Full`; its `do_send` never refuses. Two limits apply to the messages of both:
    /// [`Limits::mailbox`](crate::Limits::mailbox) for those in flight, and 1,024 for those in the mailboxes of all recipients of the
    /// program together, because actix does not reveal which of them a message was sent through. Messages beyond that are dropped, counted
    /// by [`ServiceRef::stats`] as soon as the mesh's thread runs, and logged as a warning.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Message, Serialize, Deserialize)]
    /// #[rtype(result = "()")]
    /// struct Alarm(String);
    ///
    /// async fn raise(alarms: &[Recipient<Alarm>], what: &str) -> Result<(), MailboxError> {
    ///     for alarm in alarms {
    ///         alarm.send(Alarm(what.to_owned())).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # async fn run(siren: meshzero::ServiceRef) -> Result<(), MailboxError> {
    /// raise(&[siren.recipient()], "smoke").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn recipient<M: NetMessage>(&self) -> Recipient<M> {
        recipient::forwarding(&self.caller)
    }

    /// Subscribes to the news of all instances whose topic begins with `prefix`. See [`Subscribe`].
    pub fn subscribe<T: WireType>(&self, prefix: impl AsRef<str>) -> Subscribe<T> {
        Subscribe::to_service(Arc::clone(&self.node), Arc::clone(&self.caller.route), prefix.as_ref())
    }

    /// Subscribes like [`ServiceRef::subscribe`], and sends the items to an actor as messages. Missed items are logged as a warning.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use meshzero::News;
    /// struct Map;
    ///
    /// impl Actor for Map {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// impl Handler<News<(f32, f32)>> for Map {
    ///     type Result = ();
    ///
    ///     fn handle(&mut self, news: News<(f32, f32)>, _: &mut Context<Self>) {
    ///         println!("{} is at {:?}", news.from, news.item);
    ///     }
    /// }
    ///
    /// # async fn run(robot: meshzero::ServiceRef) -> Result<(), meshzero::SubscribeError> {
    /// let map = Map.start();
    /// let subscription = robot.subscribe_to("pose", map.recipient()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe_to<T: WireType>(
        &self,
        prefix: impl AsRef<str>,
        recipient: Recipient<News<T>>,
    ) -> SubscribeTo<T> {
        self.subscribe(prefix).forward(recipient)
    }

    /// Returns a description of the messages that one instance handles and the topics that it publishes, with JSON schemas.
    ///
    /// Waits for an instance and its answer, for [`Limits::request_timeout`](crate::Limits::request_timeout) at most.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
    /// for message in arm.describe().await?.messages {
    ///     println!("{} takes {}", message.name, message.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn describe(&self) -> impl Future<Output = Result<Description, CallError>> + Send + use<> {
        let this = self.clone();
        async move {
            let timeout = this.node.limits().request_timeout;
            introspect::description(&this.caller, deadline_in(timeout))
                .await
                .map_err(|fault| CallError::new(&this.name, fault, 1, timeout))
        }
    }

    /// Returns the statistics of the program of one instance, which [`Mesh::stats`](crate::Mesh::stats) returns there.
    ///
    /// Waits for an instance and its answer, for [`Limits::request_timeout`](crate::Limits::request_timeout) at most.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
    /// for service in arm.ask_stats().await?.services {
    ///     println!("{} was restarted {} times", service.service, service.restarts);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn ask_stats(&self) -> impl Future<Output = Result<Stats, CallError>> + Send + use<> {
        let this = self.clone();
        async move {
            let timeout = this.node.limits().request_timeout;
            introspect::stats(&this.caller, deadline_in(timeout))
                .await
                .map_err(|fault| CallError::new(&this.name, fault, 1, timeout))
        }
    }

    fn impossible<M>(&self, fault: CallErrorKind) -> TrySendError<M> {
        let allowed = self.node.limits().request_timeout;
        TrySendError::Impossible(CallError::new(&self.name, fault, 1, allowed))
    }
}

impl fmt::Debug for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRef").field("name", &self.name).field("instances", &self.instances()).finish()
    }
}
