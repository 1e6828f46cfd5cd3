//! A service of the mesh as its callers hold it.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::Recipient;
use meshzero_actors::NetMessage;
use meshzero_actors::ask;
use meshzero_actors::caller::{Caller, deadline_in};
use meshzero_actors::events;
use meshzero_actors::fault::Fault;
use meshzero_actors::node::Node;
use meshzero_actors::route::{Member, Route};
use meshzero_actors::stats::{RouteStats, Stats};
use meshzero_actors::tell::{self, Untold};
use meshzero_proto::codec::Wire;
use meshzero_proto::description::Description;
use meshzero_proto::directory::Instance;

use crate::error::{CallError, TrySendError};
use crate::recipient;
use crate::request::{Request, Tell};
use crate::subscribe::{News, Subscribe, SubscribeTo};

/// A service of the mesh, to be called and listened to. Cheap to clone, usable from any thread and any executor.
///
/// It mirrors actix's `Addr`, and stays good while instances of the service come and go: a call goes to the less busy of
/// two picked at random among those that are connected.
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
    caller: Arc<Caller>,
    name: Arc<str>,
}

impl ServiceRef {
    pub(crate) fn new(node: Arc<Node>, route: Arc<Route>) -> Self {
        let name = route.target().to_string().into();
        Self { caller: Arc::new(Caller { node, route }), name }
    }

    /// The name, or the `ip:port`, that it was discovered by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instances that are connected at the moment, each with the address at which it was reached first; whether the others
    /// lead to it from here has not been tried.
    pub fn instances(&self) -> Vec<Instance> {
        self.caller.route.members().iter().map(Member::listing).collect()
    }

    /// The address at which one of the instances that are connected at the moment was reached.
    pub fn address(&self) -> Option<SocketAddr> {
        self.caller.route.members().first()?.address()
    }

    /// Sends a message and waits for its reply, when awaited. See [`Request`] for time-outs, cancelling and errors.
    #[inline(always)]
    pub fn send<M: NetMessage>(&self, message: M) -> Request<M> {
        Request::new(Arc::clone(&self.caller), message)
    }

    /// Sends a message without a reply, when awaited: it waits until an instance is connected and has room, and ends as soon
    /// as the message is among those that leave next. That it was sent does not mean that it arrives: the connection may be
    /// lost, or the service refuse it, and nobody is told.
    ///
    /// This is the way to send many messages as fast as they are taken: the sender is held up, nothing piles up, and nothing
    /// is lost between two processes that live.
    ///
    /// # Errors
    /// [`CallError`]; nobody will handle the message.
    ///
    /// # Cancel safety
    /// Dropping the future before it has ended sends nothing.
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
    // Always, as below: a message is made where it will be, and not moved there.
    #[inline(always)]
    pub fn tell<M: NetMessage>(&self, message: M) -> Tell<'_, M> {
        Tell::new(&self.caller, message)
    }

    /// Sends a message without a reply, if there is room for it at once. That it was sent does not mean that it arrives:
    /// the connection may be lost, or the service refuse it, and nobody is told.
    ///
    /// # Errors
    /// [`TrySendError`]; nobody will handle the message, and most errors give it back.
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
            Untold::Full(message) => TrySendError::Full(message),
            Untold::Nobody(message) => TrySendError::NotConnected(message),
            Untold::Fault(fault) => self.impossible(fault),
        })
    }

    /// Sends a message without a reply and without an answer to the question whether it could be sent. If not, because as
    /// many are under way as may be or nobody is connected, the message is dropped, counted by [`ServiceRef::stats`], and
    /// logged as a warning. Nothing is queued beyond the bounds, unlike with actix.
    ///
    /// # Logs through the mesh
    /// A subscriber of `tracing` may send or publish what it hears. What the mesh records while a subscriber does so on the same
    /// thread, such as the warning above, is not told to it again, and what it sends then belongs to no trace. Messages and items
    /// are serialised before anything is locked: a `Serialize` may log, send and publish, also by the same handle, and what it
    /// sends leaves before its own message. What the mesh records on its own thread, about connections, is told; a subscriber that
    /// sends it should leave out what sending causes, by the target `meshzero` or the level.
    pub fn do_send<M: NetMessage>(&self, message: M) {
        if let Err(error) = self.try_send(message) {
            self.caller.route.count_dropped();
            events::record(|| tracing::warn!(service = %self.name, %error, "a message was not sent"));
        }
    }

    /// What all of this program has counted of this service: how many calls were tried again, how often instances were set
    /// aside, how many messages [`ServiceRef::do_send`] has dropped, and how each link is now. What the service's own program
    /// has counted tells [`ServiceRef::ask_stats`].
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

    /// An actix `Recipient` for messages of type `M`, for code that knows nothing of the mesh. A call without a reply
    /// ends in `MailboxError::Closed` there, and the log says why. Calls have the time-out that the mesh's limits say; dropping
    /// one cancels it.
    ///
    /// Messages wait in a mailbox until the mesh's thread forwards them. While 16 wait there, actix's `try_send` takes one more of
    /// each sender and then returns `Full`; its `do_send` never refuses. Of what both send, as many messages are under way at a
    /// time as [`Limits::mailbox`](crate::Limits::mailbox) says, and 1,024 are in the mailboxes of all recipients of the program
    /// together, because actix does not say for which of them it takes a message; what is sent beyond that is dropped, counted by
    /// [`ServiceRef::stats`] as soon as the mesh's thread runs, and logged as a warning.
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

    /// Listens to the news whose topic begins with `prefix`, of all instances. See [`Subscribe`].
    pub fn subscribe<T: Wire>(&self, prefix: impl AsRef<str>) -> Subscribe<T> {
        Subscribe::to_service(Arc::clone(&self.caller.node), Arc::clone(&self.caller.route), prefix.as_ref())
    }

    /// As [`ServiceRef::subscribe`], with an actor that gets the items as messages. What does not arrive is logged as a
    /// warning.
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
    pub fn subscribe_to<T: Wire>(
        &self,
        prefix: impl AsRef<str>,
        recipient: Recipient<News<T>>,
    ) -> SubscribeTo<T> {
        self.subscribe(prefix).forward(recipient)
    }

    /// Asks one instance what it handles and publishes, with JSON schemas.
    ///
    /// Waits for an instance and its answer, together as long as the mesh's limits allow a request.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// Dropping the future asks no more.
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
            let timeout = this.caller.node.limits().request_timeout;
            ask::description(&this.caller, deadline_in(timeout))
                .await
                .map_err(|fault| CallError::new(&this.name, fault, 1, timeout))
        }
    }

    /// Asks the program of one instance what it has counted, as [`Mesh::stats`](crate::Mesh::stats) there.
    ///
    /// Waits for an instance and its answer, together as long as the mesh's limits allow a request.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// Dropping the future asks no more.
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
            let timeout = this.caller.node.limits().request_timeout;
            ask::stats(&this.caller, deadline_in(timeout))
                .await
                .map_err(|fault| CallError::new(&this.name, fault, 1, timeout))
        }
    }

    fn impossible<M>(&self, fault: Fault) -> TrySendError<M> {
        let allowed = self.caller.node.limits().request_timeout;
        TrySendError::Impossible(CallError::new(&self.name, fault, 1, allowed))
    }
}

impl fmt::Debug for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRef").field("name", &self.name).field("instances", &self.instances()).finish()
    }
}
