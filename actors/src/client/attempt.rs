//! The attempts of one call, at one instance after the other, including the waits for an instance and for room.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use meshzero_proto::call::in_flight::SendState;
use meshzero_proto::call::retry::Idempotency;
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::TraceContext;
use meshzero_proto::wire::refusal::Refusal;

pub(crate) use self::message::{AttemptedMessage, TypedMessage};
use crate::client::caller::Caller;
use crate::client::error::{CallErrorKind, CallFailure};
use crate::client::fair_queue::{self, QueueTurn};
use crate::client::link::{CallEnd, Link, ReplyFuture, SendError};
use crate::client::offload::{Offload, SentFlag};
use crate::client::retry::RetryState;
use crate::client::route::Member;
use crate::client::route::balancer::Pick;
use crate::context::NodeContext;
use crate::runtime::blocking;
use crate::runtime::timer::Sleep;
use crate::server::service::Service;

pub(crate) mod local;
mod message;

/// The options of a call.
pub(crate) struct CallOptions<'a> {
    name: Option<&'a TypeName>,
    deadline: Option<Instant>,
    idempotency: Idempotency,
    trace: Option<TraceContext>,
    /// Set when the message has been sent, and cleared when it is tried again.
    sent: SentFlag,
}

/// A call whose message has not been sent yet, with its turn in the queue, which it gives up afterwards.
struct PendingCall<'a> {
    /// The turn in the queue of calls that wait for an instance.
    turn: Option<QueueTurn<'a>>,
    sent: &'a SentFlag,
}

impl PendingCall<'_> {
    /// Marks the message as sent: calls behind it may follow, and its reply depends on the service alone.
    fn mark_sent(&mut self) {
        self.turn = None;
        self.sent.set();
    }
}

/// A call that has ended: the instance that replied, and the message with the reply.
pub(crate) struct AttemptedCall {
    pub(crate) result: Result<InstanceId, CallFailure>,
    pub(crate) message: Box<dyn AttemptedMessage>,
}

/// The parameters of a call that takes further attempts: its message could not be sent at once, or has to be sent again.
pub(crate) struct CallAttempts {
    pub(crate) caller: Arc<Caller>,
    pub(crate) name: Option<TypeName>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) idempotency: Idempotency,
    pub(crate) trace: Option<TraceContext>,
}

impl CallAttempts {
    /// Starts the attempts with `message`, on the node's thread if they have to wait. `first_failure` is that of an attempt that has
    /// already been made.
    pub(crate) fn start(
        self,
        mut message: Box<dyn AttemptedMessage>,
        first_failure: Option<(InstanceId, CallErrorKind)>,
    ) -> Offload<AttemptedCall> {
        let (executor, sent) = (self.caller.context.executor.clone(), SentFlag::default());
        let flag = sent.clone();
        let attempts = Box::pin(async move {
            let Self { caller, name, deadline, idempotency, trace } = self;
            let options = CallOptions { name: name.as_ref(), deadline, idempotency, trace, sent };
            let result = call(&caller, options, &mut *message, first_failure).await;
            AttemptedCall { result, message }
        });
        Offload::new(attempts, &executor, flag)
    }
}

/// Calls one instance after the other, until one has handled the message, the deadline passes, or further attempts are
/// useless. Returns the instance that replied; the reply is stored with the message.
async fn call(
    caller: &Caller,
    options: CallOptions<'_>,
    message: &mut dyn AttemptedMessage,
    first_failure: Option<(InstanceId, CallErrorKind)>,
) -> Result<InstanceId, CallFailure> {
    let mut expiry = caller.context.timers.sleep_until(options.deadline);
    let mut retry = RetryState::new(caller, options.deadline, options.idempotency);
    let turn = match first_failure {
        Some((instance, error)) => {
            retry.next_attempt(instance, error).await?;
            None
        }
        None => retry.turn(&mut expiry).await?,
    };
    let mut pending = PendingCall { turn, sent: &options.sent };
    loop {
        let Pick { member, probe } = retry.wait_for_instance(&mut expiry).await?;
        let instance = member.instance().id;
        let result = match member {
            Member::Local(service, _) => {
                call_local(&caller.context, &service, &options, message, (&mut expiry, &mut pending)).await
            }
            Member::Remote(link, _) => {
                call_remote(&caller.context, &link, &options, message, (&mut expiry, &mut pending)).await
            }
        };
        // Its position in the queue no longer matters once the message is tried again.
        pending.turn = None;
        pending.sent.clear();
        retry.record_outcome(instance, result.as_ref().err().map(|failure| &failure.error), probe);
        match result {
            Ok(()) => return Ok(instance),
            Err(AttemptError { error, has_message: true }) => retry.next_attempt(instance, error).await?,
            Err(AttemptError { error, has_message: false }) => return Err(retry.give_up(error)),
        }
    }
}

/// The error of an attempt without a reply.
struct AttemptError {
    error: CallErrorKind,
    /// Set if the message is still there, and may be sent again.
    has_message: bool,
}

impl From<CallErrorKind> for AttemptError {
    fn from(error: CallErrorKind) -> Self {
        Self { error, has_message: false }
    }
}

async fn call_remote(
    context: &NodeContext,
    link: &Arc<Link>,
    options: &CallOptions<'_>,
    message: &mut dyn AttemptedMessage,
    (expiry, pending): (&mut Sleep, &mut PendingCall<'_>),
) -> Result<(), AttemptError> {
    let waker = current_waker().await;
    let mut sent = message.send(link, None, options, &waker);
    if matches!(sent, Err(SendError::Full)) {
        let permit = tokio::select! {
            biased;
            permit = fair_queue::hold_turn_until_queued(&mut pending.turn, link.reserve_call()) => permit,
            () = blocking::detect_blocking(&context.executor) => None,
            () = expiry => return Err(CallErrorKind::NotSent("the connection had no room in time".into()).into()),
        };
        sent = match permit {
            Some(permit) => message.send(link, Some(permit), options, &waker),
            None => Err(SendError::Closed),
        };
    }
    let result = match sent {
        Ok(reply) => {
            pending.mark_sent();
            message.conclude(finish_call(context, reply).await, context)
        }
        Err(error) => {
            let name = options.name.map_or(message.type_name(), |name| name);
            Err(send_error(error, link, name))
        }
    };
    result.map_err(|error| AttemptError { error, has_message: true })
}

/// Waits for the end of a call on a link, which the node's thread signals.
pub(crate) async fn finish_call(context: &NodeContext, reply: ReplyFuture) -> CallEnd {
    tokio::select! {
        biased;
        ended = reply.ended() => ended,
        () = blocking::detect_blocking(&context.executor) => CallEnd::Lost(SendState::Unknown),
    }
}

/// Returns the waker of the current task.
pub(crate) async fn current_waker() -> Waker {
    poll_fn(|task| Poll::Ready(task.waker().clone())).await
}

/// Returns the error of a call or a tell whose message, which is called `name`, was not sent.
pub(crate) fn send_error(error: SendError, link: &Link, name: &str) -> CallErrorKind {
    match error {
        SendError::Closed => CallErrorKind::NotSent("the connection was lost".to_owned()),
        SendError::Full => CallErrorKind::NotSent("too many calls are open on the connection".to_owned()),
        SendError::NoHandler => no_handler(name, link.catalogue.names()),
        SendError::Encode(error) => CallErrorKind::Encode(error),
    }
}

async fn call_local(
    context: &NodeContext,
    service: &Arc<Service>,
    options: &CallOptions<'_>,
    message: &mut dyn AttemptedMessage,
    (expiry, pending): (&mut Sleep, &mut PendingCall<'_>),
) -> Result<(), AttemptError> {
    let permit = match service.try_acquire() {
        Some(permit) => Some(permit.into()),
        None => tokio::select! {
            biased;
            permit = fair_queue::hold_turn_until_queued(&mut pending.turn, service.acquire_in_turn()) => permit,
            () = blocking::detect_blocking(&service.executor) => None,
            () = &mut *expiry => return Err(CallErrorKind::NotSent("the service was busy until the deadline".into()).into()),
        },
    };
    let Some(permit) = permit.filter(|_| !context.shutdown.is_triggered()) else {
        let error = CallErrorKind::NotSent("the service has closed".to_owned());
        return Err(AttemptError { error, has_message: true });
    };
    // The permit goes with the message: the message is unfinished until its handler is done, whether its caller waits
    // or not.
    let (permit, turn) = permit.into_parts();
    message.deliver(context, service, options, permit)?;
    drop(turn);
    pending.mark_sent();
    let result = tokio::select! {
        biased;
        result = poll_fn(|task| message.poll_reply(task, context)) => result,
        error = until_interrupted(context, service, expiry) => Err(message.interrupt(error)),
    };
    result.map_err(|error| AttemptError { error, has_message: message.can_be_sent() })
}

/// Waits until a call to an actor of this process can no longer be answered, and returns the reason.
async fn until_interrupted(context: &NodeContext, service: &Service, expiry: &mut Sleep) -> CallErrorKind {
    tokio::select! {
        biased;
        () = expiry => CallErrorKind::TimedOut,
        () = context.shutdown.triggered() => CallErrorKind::Lost,
        () = blocking::detect_blocking(&service.executor) => CallErrorKind::Lost,
    }
}

pub(crate) fn no_handler(name: &str, handles: Vec<String>) -> CallErrorKind {
    CallErrorKind::Refused(Refusal::NoHandler { message: name.to_string(), handles })
}
