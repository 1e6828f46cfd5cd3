//! A call under way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use meshzero_actors::NetMessage;
use meshzero_actors::call::{self, Fault};
use meshzero_actors::node::Node;
use meshzero_actors::route::Route;
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
    state: State<M>,
}

enum State<M: NetMessage> {
    Ready(Box<Ready<M>>),
    Running(Pin<Box<dyn Future<Output = Result<M::Result, CallError>> + Send>>),
    Done,
}

struct Ready<M> {
    node: Arc<Node>,
    route: Arc<Route>,
    message: M,
    name: Result<TypeName, InvalidName>,
    timeout: Duration,
}

impl<M: NetMessage> Unpin for Request<M> {}

impl<M: NetMessage> Request<M> {
    pub(crate) fn new(node: Arc<Node>, route: Arc<Route>, message: M) -> Self {
        let timeout = node.limits().request_timeout;
        let ready = Ready { node, route, message, name: own_name::<M>(), timeout };
        Self { state: State::Ready(Box::new(ready)) }
    }

    /// Allows at most so long for the reply, from the first poll. Default: 5 s, or what the mesh's limits say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let State::Ready(ready) = &mut self.state {
            ready.timeout = timeout;
        }
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
        if let State::Ready(ready) = &mut self.state {
            ready.name = TypeName::new(name);
        }
        self
    }
}

/// The name that messages of type `M` travel under if nothing else is said.
pub(crate) fn own_name<M: NetMessage>() -> Result<TypeName, InvalidName> {
    TypeName::new(type_info::<M>().name())
}

async fn run<M: NetMessage>(ready: Ready<M>) -> Result<M::Result, CallError> {
    let Ready { node, route, message, name, timeout } = ready;
    let result = match name {
        Ok(name) => call::call(&node, &route, &name, message, call::deadline_in(timeout)).await,
        Err(error) => Err(Fault::NotSent(error.to_string())),
    };
    result.map_err(|fault| CallError::new(&route.target().to_string(), fault, timeout))
}

impl<M: NetMessage> Future for Request<M> {
    type Output = Result<M::Result, CallError>;

    /// # Panics
    /// When it is polled after it has ended.
    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Ready(_) = &self.state
            && let State::Ready(ready) = std::mem::replace(&mut self.state, State::Done)
        {
            self.state = State::Running(Box::pin(run(*ready)));
        }
        match &mut self.state {
            State::Running(running) => {
                let poll = running.as_mut().poll(task);
                if poll.is_ready() {
                    self.state = State::Done;
                }
                poll
            }
            State::Ready(_) | State::Done => panic!("a request was polled after it had ended"),
        }
    }
}
