//! A message under way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use meshzero_actors::NetMessage;
use meshzero_actors::call::Call;
use meshzero_actors::caller::Caller;
use meshzero_actors::fault::Fault;
use meshzero_actors::tell;
use meshzero_proto::codec::type_info;
use meshzero_proto::directory::Instance;
use meshzero_proto::name::{InvalidName, TypeName};
use meshzero_proto::trace::TraceContext;

use crate::error::CallError;

/// A message and, when awaited, its reply.
///
/// Nothing is sent before the first poll. Messages that one caller sends in turn to one instance are handled in turn. While no
/// instance is connected, or those that are have no room, the message waits, at most until the time-out. It goes on and sets out in
/// its turn whether the request is polled meanwhile or not, so that requests behind it do not depend on that; until then it is in
/// its caller's memory, and there are as many as the caller makes.
///
/// # Retries
/// A message that was not handled, for certain, is tried again within the time-out: the connection was lost before it left, or
/// the service was closing or had no room. That happens at once where another instance is connected, and otherwise after 50 ms,
/// then 100 ms, and so on up to 1 s, less a random part. What may have been handled is tried again only if the request is
/// [`idempotent`](Request::idempotent). For every five calls there may be one retry, and ten a second whatever the calls;
/// beyond that a call ends in the error that it has. [`CallError::tries`] tells how often it was tried.
///
/// An instance that fails five times in a row is set aside for a second, then for two, and so on up to 30 s: a call is lost, or
/// has no reply in time, the service does not take it, or its handler panics. What a handler returns is never a failure, an
/// `Err` neither. After that one call finds out whether it works again. At least half of the instances are always used.
///
/// # Errors
/// [`CallError`]: each says whether the message may have been handled. One that still waits at the service when its time is
/// over is not handled, and the error is [`CallError::NotSent`]. The service gives it up a tenth of the time-out sooner than the
/// caller does, 50 ms at most, so that this is known in time.
///
/// # Cancel safety
/// Dropping a request cancels it, also at the other end. As with actix, a message that still waits there is not handled, and
/// a handler that has begun is not interrupted: a future that it returned runs to its end, and its reply is dropped. A service
/// that was advertised by its `Addr` handles what is in the actor's own mailbox already. While a connection has so many
/// messages waiting that nothing more is read from it, neither is word of what was cancelled.
///
/// ```no_run
/// # use std::time::Duration;
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "f32")]
/// # struct Move(f32);
/// # async fn run(arm: meshzero::ServiceRef) {
/// match arm.send(Move(0.5)).timeout(Duration::from_millis(200)).await {
///     Ok(position) => println!("the arm is at {position}"),
///     Err(error) if error.is_safe_to_repeat() => println!("nothing has moved: {error}"),
///     Err(error) => println!("it may have moved: {error}"),
/// }
/// # }
/// ```
#[must_use = "a request is sent when it is awaited; to send without waiting, use `do_send` or `try_send`"]
pub struct Request<M: NetMessage> {
    call: Call<M>,
    invalid: Option<InvalidName>,
}

impl<M: NetMessage> Request<M> {
    // Always: a call is made where it will be, and not moved there.
    #[inline(always)]
    pub(crate) fn new(caller: Arc<Caller>, message: M) -> Self {
        Self { call: Call::new(caller, message), invalid: None }
    }

    /// Allows at most so long for the reply, from the first poll. Default: 5 s, or what the mesh's limits say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(timeout);
        self
    }

    /// Says that handling the message twice does no harm: it only asks, or it sets something to a value. So the call is tried
    /// again, up to three times in all, when the connection was lost or the handler panicked, and it is not known whether the
    /// message was handled. A call that has had no reply when its time-out is over is not.
    ///
    /// A message to a service of this program is not tried again once the actor has it: it was not copied.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Message, Serialize, Deserialize)]
    /// #[rtype(result = "f32")]
    /// struct Position;
    ///
    /// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
    /// println!("the arm is at {}", arm.send(Position).idempotent().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn idempotent(mut self) -> Self {
        self.call.set_idempotent();
        self
    }

    /// Calls for this context instead of the [current](crate::trace::current) one. The call is a span below it, and what the
    /// handler sends in turn is below that; see [`trace`](crate::trace).
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "f32")]
    /// # struct Move(f32);
    /// # async fn run(arm: meshzero::ServiceRef, traceparent: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let position = arm.send(Move(0.5)).trace(traceparent.parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trace(mut self, context: TraceContext) -> Self {
        self.call.set_trace(context);
        self
    }

    /// Sends the message under the name that the service registered with
    /// [`handles_as`](crate::Advertise::handles_as). A [`Value`](crate::Value) can be sent to any handler in this way.
    ///
    /// ```no_run
    /// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
    /// use meshzero::Value;
    ///
    /// // The service handles a `struct Move { x: f32, y: f32 }`, which this program does not have.
    /// let position = arm.send(Value::map([("x", 1.0), ("y", 0.5)])).named("Move").await?;
    /// println!("the arm is at {position}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        match TypeName::new(name) {
            Ok(name) => self.call.set_name(name),
            Err(invalid) => self.invalid = Some(invalid),
        }
        self
    }

    /// The instance that replied, with the address at which it was reached first. `None` before there is a reply, and when the
    /// instance is gone again.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "f32")]
    /// # struct Move(f32);
    /// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
    /// let mut request = arm.send(Move(0.5));
    /// let position = (&mut request).await?;
    /// if let Some(instance) = request.replied_by() {
    ///     println!("the arm at {:?} is at {position}", instance.address());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn replied_by(&self) -> Option<Instance> {
        Some(self.call.replied_by()?.listing())
    }

    #[cold]
    fn error(&self, fault: Fault) -> CallError {
        let service = self.call.caller().route.target().to_string();
        CallError::new(&service, fault, self.call.tries(), self.call.timeout())
    }
}

/// The name that messages of type `M` travel under if nothing else is said.
pub(crate) fn own_name<M: NetMessage>() -> Result<TypeName, InvalidName> {
    TypeName::new(type_info::<M>().name())
}

impl<M: NetMessage> Future for Request<M> {
    type Output = Result<M::Result, CallError>;

    /// # Panics
    /// When it is polled after it has ended, or by something that blocks the very thread which the reply would have to come from:
    /// a `block_on` inside a handler, on the thread that the mesh or the service lives on.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(invalid) = self.invalid.take() {
            return Poll::Ready(Err(self.error(Fault::NotSent(invalid.to_string()))));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.call).poll(task)) {
            Ok(reply) => Ok(reply),
            Err(fault) => Err(self.error(fault)),
        })
    }
}

/// A message without a reply; see [`ServiceRef::tell`](crate::ServiceRef::tell).
#[must_use = "a message is sent when this is awaited; to send without waiting, use `do_send` or `try_send`"]
pub struct Tell<'a, M: NetMessage> {
    tell: tell::Tell<'a, M>,
}

impl<'a, M: NetMessage> Tell<'a, M> {
    #[inline(always)]
    pub(crate) fn new(caller: &'a Arc<Caller>, message: M) -> Self {
        Self { tell: tell::Tell::new(caller, message) }
    }

    /// Waits at most so long for an instance and for room, from the first poll. Default: 5 s, or what the mesh's limits
    /// say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.tell.set_timeout(timeout);
        self
    }

    /// Tells for this context instead of the [current](crate::trace::current) one, as [`Request::trace`] does.
    pub fn trace(mut self, context: TraceContext) -> Self {
        self.tell.set_trace(context);
        self
    }

    #[cold]
    fn error(&self, fault: Fault) -> CallError {
        CallError::new(&self.tell.caller().route.target().to_string(), fault, 1, self.tell.timeout())
    }
}

impl<M: NetMessage> Future for Tell<'_, M> {
    type Output = Result<(), CallError>;

    /// # Panics
    /// When it is polled after it has ended.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.tell).poll(task)) {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.error(fault)),
        })
    }
}
