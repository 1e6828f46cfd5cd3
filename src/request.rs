//! Messages as futures: a request with its reply, and a message without one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use meshzero_actors::NetMessage;
use meshzero_actors::client::call::OutgoingCall;
use meshzero_actors::client::caller::Caller;
use meshzero_actors::client::error::CallErrorKind;
use meshzero_actors::client::tell::{self, TellStart};
use meshzero_proto::codec::type_info;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::name::{InvalidName, TypeName};
use meshzero_proto::trace::TraceContext;

use crate::error::CallError;

/// A request: a future that sends a message and resolves to the reply.
///
/// Nothing is sent before the first poll. Messages that one caller sends to one instance are handled in that order. While no instance
/// is connected, or the connected ones have no room, the message waits, until the timeout at most. It is then sent in its turn even if
/// the request is not polled meanwhile, so that requests behind it do not depend on that. Waiting messages are in the caller's
/// memory, and their number is not limited.
///
/// # Retries
/// A message that was certainly not handled is retried within the timeout: the connection was lost before the message left, or the
/// service was closing or had no room. The retry is immediate if another instance is connected, and otherwise follows after 50 ms,
/// then 100 ms, and so on up to 1 s, less a random part. A message that may have been handled is retried only if the request is
/// [`idempotent`](Request::idempotent). The retry budget is one retry for every five calls, and ten a second in any case; beyond that
/// a call ends in its error. [`CallError::attempts`] returns the number of attempts.
///
/// An instance that fails five times in a row is ejected for a second, then for two, and so on up to 30 s. A call fails if it is lost
/// or has no reply in time, if the service does not accept it, or if the handler panics. A value that a handler returns is never a
/// failure, not even an `Err`. After the ejection one call probes whether the instance works again. At least half of the instances
/// are always used.
///
/// # Errors
/// [`CallError`]: each variant says whether the message may have been handled. A message that is still queued at the service when its
/// time is over is not handled, and the error is [`CallError::NotSent`]. The service discards it a tenth of the timeout, and 50 ms at
/// most, before the caller's deadline, so that the refusal arrives in time.
///
/// # Cancel safety
/// This future is cancel safe: dropping it cancels the request, also at the other end. As with actix, a message that is still queued
/// there is not handled, and a handler that has begun is not interrupted: a future that it returned runs to completion, and its reply
/// is dropped. A service that was advertised by its `Addr` still handles the messages in the actor's own mailbox. While a connection
/// has so many queued messages that the service does not read from it, cancellations are not read either.
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
///     Err(error) if error.is_safe_to_repeat() => println!("the arm has not moved: {error}"),
///     Err(error) => println!("the arm may have moved: {error}"),
/// }
/// # }
/// ```
#[must_use = "a request is sent when it is awaited; to send without waiting, use `do_send` or `try_send`"]
pub struct Request<M: NetMessage> {
    call: OutgoingCall<M>,
    invalid: Option<InvalidName>,
}

impl<M: NetMessage> Request<M> {
    // Always: a call is created in its final place instead of being moved there.
    #[inline(always)]
    pub(crate) fn new(caller: Arc<Caller>, message: M) -> Self {
        Self { call: OutgoingCall::new(caller, message), invalid: None }
    }

    /// Sets the timeout of the reply, from the first poll. Default: [`Limits::request_timeout`](crate::Limits::request_timeout), 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(timeout);
        self
    }

    /// Declares that handling the message twice does no harm, because it only reads something, or sets it to a value. Then the call is
    /// retried, with up to three attempts in all, also if the connection was lost or the handler panicked, so that the message may
    /// have been handled. A call that has no reply at the timeout is not retried.
    ///
    /// A message to a service of this program is not retried once the actor has it, because it was not copied.
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

    /// Sets the trace context, in place of the [current](crate::trace::current) one. The call is a span below it, and the messages
    /// that the handler sends are spans below that; see [`trace`](crate::trace).
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

    /// The instance that replied; the address at which it was reached comes first. `None` before there is a reply, and after the
    /// instance has disconnected.
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
    fn error(&self, fault: CallErrorKind) -> CallError {
        let service = self.call.caller().route.target().to_string();
        CallError::new(&service, fault, self.call.attempts(), self.call.timeout())
    }
}

/// The default name of messages of type `M`.
pub(crate) fn own_name<M: NetMessage>() -> Result<TypeName, InvalidName> {
    TypeName::new(type_info::<M>().name())
}

impl<M: NetMessage> Future for Request<M> {
    type Output = Result<M::Result, CallError>;

    /// # Panics
    /// If it is polled after it has completed, or by code that blocks the very thread that the reply has to come from, such as a
    /// `block_on` inside a handler on the thread of the mesh or the service.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(invalid) = self.invalid.take() {
            return Poll::Ready(Err(self.error(CallErrorKind::NotSent(invalid.to_string()))));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.call).poll(task)) {
            Ok(reply) => Ok(reply),
            Err(fault) => Err(self.error(fault)),
        })
    }
}

/// A future that sends a message without a reply; see [`ServiceRef::tell`](crate::ServiceRef::tell).
#[must_use = "a message is sent when this is awaited; to send without waiting, use `do_send` or `try_send`"]
pub struct Tell<'a, M: NetMessage> {
    tell: tell::Tell<'a, M>,
}

impl<'a, M: NetMessage> Tell<'a, M> {
    #[inline(always)]
    pub(crate) fn new(caller: &'a Arc<Caller>, message: M) -> Self {
        Self { tell: tell::Tell::new(caller, message) }
    }

    /// Sets the timeout of the wait for an instance and for room, from the first poll. Default:
    /// [`Limits::request_timeout`](crate::Limits::request_timeout), 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.tell.set_timeout(timeout);
        self
    }

    /// Sets the trace context, in place of the [current](crate::trace::current) one, as [`Request::trace`] does.
    pub fn trace(mut self, context: TraceContext) -> Self {
        self.tell.set_trace(context);
        self
    }

    #[cold]
    #[inline(never)]
    fn poll_slow(&mut self, started: TellStart, task: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let result = ready!(self.tell.poll_slow(started, task));
        Poll::Ready(result.map_err(|fault| {
            let target = self.tell.caller().route.target().to_string();
            CallError::new(&target, fault, 1, self.tell.timeout())
        }))
    }
}

impl<M: NetMessage> Future for Tell<'_, M> {
    type Output = Result<(), CallError>;

    /// # Panics
    /// If it is polled after it has completed.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        match self.tell.start() {
            TellStart::Sent => Poll::Ready(Ok(())),
            started => self.poll_slow(started, task),
        }
    }
}
