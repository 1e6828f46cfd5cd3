//! A message under way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use meshzero_actors::NetMessage;
use meshzero_actors::call::Call;
use meshzero_actors::caller::{Caller, Fault};
use meshzero_actors::tell;
use meshzero_proto::codec::type_info;
use meshzero_proto::name::{InvalidName, TypeName};

use crate::error::CallError;

/// A message and, when awaited, its reply.
///
/// Nothing is sent before the first poll. Messages that one caller sends in turn to one instance are handled in turn. While
/// no instance is connected, or those that are have no room, the message waits, at most until the time-out.
///
/// # Errors
/// [`CallError`]: each says whether the message may have been handled.
///
/// # Cancel safety
/// Dropping a request cancels it, also at the other end: a message that still waits there is not handled.
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
    pub(crate) fn new(caller: Arc<Caller>, message: M) -> Self {
        Self { call: Call::new(caller, message), invalid: None }
    }

    /// Allows at most so long for the reply, from the first poll. Default: 5 s, or what the mesh's limits say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set_timeout(timeout);
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

    #[cold]
    fn error(&self, fault: Fault) -> CallError {
        CallError::new(&self.call.caller().route.target().to_string(), fault, self.call.timeout())
    }
}

/// The name that messages of type `M` travel under if nothing else is said.
pub(crate) fn own_name<M: NetMessage>() -> Result<TypeName, InvalidName> {
    TypeName::new(type_info::<M>().name())
}

impl<M: NetMessage> Future for Request<M> {
    type Output = Result<M::Result, CallError>;

    /// # Panics
    /// When it is polled after it has ended.
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
    pub(crate) fn new(caller: &'a Arc<Caller>, message: M) -> Self {
        Self { tell: tell::Tell::new(caller, message) }
    }

    /// Waits at most so long for an instance and for room, from the first poll. Default: 5 s, or what the mesh's limits
    /// say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.tell.set_timeout(timeout);
        self
    }

    #[cold]
    fn error(&self, fault: Fault) -> CallError {
        CallError::new(&self.tell.caller().route.target().to_string(), fault, self.tell.timeout())
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
