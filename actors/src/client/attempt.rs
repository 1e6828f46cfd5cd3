//! The attempts of one call, at one instance after the other, including the waits for an instance and for room.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use actix::Message;
use bytes::Bytes;
use meshzero_proto::call::in_flight::SendState;
use meshzero_proto::call::retry::Idempotency;
use meshzero_proto::codec::{self, Encoding};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::TraceContext;
use meshzero_proto::wire::refusal::Refusal;
use tokio::sync::oneshot;

use crate::client::caller::{Caller, conclude, decode};
use crate::client::error::{CallErrorKind, CallFailure};
use crate::client::fair_queue::{self, QueueTurn};
use crate::client::link::outgoing::{Deadline, OutgoingMessage};
use crate::client::link::{CallEnd, Link, ReplyFuture, SendError};
use crate::client::offload::SentFlag;
use crate::client::retry::RetryState;
use crate::client::route::Member;
use crate::client::route::balancer::Pick;
use crate::context::NodeContext;
use crate::message::NetMessage;
use crate::message::packed;
use crate::runtime::blocking;
use crate::runtime::semaphore::Permits;
use crate::runtime::timer::Sleep;
use crate::server::actor::inbox::JobId;
use crate::server::actor::local::{LocalEntry, LocalEnvelope, LocalInbox, QueuedMessage};
use crate::server::request::inbound::{InboundMessage, ReplyTo};
use crate::server::service::Service;

/// The options of a call.
pub(crate) struct CallOptions<'a> {
    pub(crate) name: Option<&'a TypeName>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) idempotency: Idempotency,
    pub(crate) trace: Option<TraceContext>,
    /// Set when the message has been sent, and cleared when it is tried again.
    pub(crate) sent: SentFlag,
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

/// Calls one instance after the other, until one has handled the message, the deadline passes, or further attempts are
/// useless. `first_failure` is that of an attempt that has already been made. Returns the reply, and the instance that sent
/// it.
pub(crate) async fn call<M: NetMessage>(
    caller: &Caller,
    options: CallOptions<'_>,
    message: M,
    first_failure: Option<(InstanceId, CallErrorKind)>,
) -> Result<(M::Result, InstanceId), CallFailure> {
    let mut expiry = caller.context.timers.sleep_until(options.deadline);
    let mut retry = RetryState::new(caller, options.deadline, options.idempotency);
    let mut message = message;
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
            Ok(reply) => return Ok((reply, instance)),
            Err(AttemptError { error, message: Some(returned) }) => {
                message = returned;
                retry.next_attempt(instance, error).await?;
            }
            Err(AttemptError { error, message: None }) => return Err(retry.give_up(error)),
        }
    }
}

/// The error of an attempt without a reply.
struct AttemptError<M> {
    error: CallErrorKind,
    /// The message, if it may be sent again.
    message: Option<M>,
}

impl<M> From<CallErrorKind> for AttemptError<M> {
    fn from(error: CallErrorKind) -> Self {
        Self { error, message: None }
    }
}

type AttemptResult<M> = Result<<M as Message>::Result, AttemptError<M>>;

async fn call_remote<M: NetMessage>(
    context: &NodeContext,
    link: &Arc<Link>,
    options: &CallOptions<'_>,
    message: M,
    (expiry, pending): (&mut Sleep, &mut PendingCall<'_>),
) -> AttemptResult<M> {
    let waker = current_waker().await;
    let deadline = options.deadline;
    let (name, trace) = (options.name, options.trace.as_ref());
    let outgoing = |message| OutgoingMessage { message, name, deadline: deadline.map(Deadline::new), trace };
    let mut sent = link.try_call(outgoing(&message), &waker);
    if matches!(sent, Err(SendError::Full)) {
        let permit = tokio::select! {
            biased;
            permit = fair_queue::hold_turn_until_queued(&mut pending.turn, link.reserve_call()) => permit,
            () = blocking::detect_blocking(&context.executor) => None,
            () = expiry => return Err(CallErrorKind::NotSent("the connection had no room in time".into()).into()),
        };
        sent = match permit {
            Some(permit) => link.call(permit, outgoing(&message), &waker),
            None => Err(SendError::Closed),
        };
    }
    let error = match sent {
        Ok(reply) => {
            pending.mark_sent();
            match conclude::<M>(finish_call(context, reply).await, &context.decode_limits) {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            }
        }
        Err(error) => send_error::<M>(error, link, name),
    };
    Err(AttemptError { error, message: Some(message) })
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

/// Returns the error of a call or a tell whose message was not sent.
pub(crate) fn send_error<M: NetMessage>(
    error: SendError,
    link: &Link,
    name: Option<&TypeName>,
) -> CallErrorKind {
    match error {
        SendError::Closed => CallErrorKind::NotSent("the connection was lost".to_owned()),
        SendError::Full => CallErrorKind::NotSent("too many calls are open on the connection".to_owned()),
        SendError::NoHandler => no_handler(message_name::<M>(name), link.catalogue.names()),
        SendError::Encode(error) => CallErrorKind::Encode(error),
    }
}

/// Returns the name under which a message is sent.
fn message_name<M: NetMessage>(name: Option<&TypeName>) -> &str {
    match name {
        Some(name) => name,
        None => codec::type_info::<M>().name(),
    }
}

async fn call_local<M: NetMessage>(
    context: &NodeContext,
    service: &Arc<Service>,
    options: &CallOptions<'_>,
    message: M,
    (expiry, pending): (&mut Sleep, &mut PendingCall<'_>),
) -> AttemptResult<M> {
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
        return Err(AttemptError { error, message: Some(message) });
    };
    // The permit goes with the message: the message is unfinished until its handler is done, whether its caller waits
    // or not.
    let (permit, turn) = permit.into_parts();
    let reply = match service.types.local_entry::<M>(options.name) {
        Some(LocalEntry::Inbox(inbox)) => {
            let (tx, rx) = oneshot::channel();
            let envelope = LocalEnvelope { reply: Some(tx), permit };
            let job = push_local(inbox.as_ref(), message, envelope, options.trace.as_ref());
            drop(turn);
            pending.mark_sent();
            let mut queued = QueuedMessage::new(inbox.as_ref(), job);
            tokio::select! {
                biased;
                reply = rx => {
                    queued.disarm();
                    reply.map_err(|_| unanswered_error(context, service, inbox.as_ref(), job))
                }
                error = until_interrupted(context, service, expiry) => Err(match error {
                    CallErrorKind::TimedOut => expire_queued(service, queued),
                    error => error,
                }),
            }
        }
        Some(LocalEntry::Mailbox(mailbox)) => {
            let (tx, rx) = oneshot::channel();
            mailbox.send(message, LocalEnvelope { reply: Some(tx), permit }, &service.executor);
            drop(turn);
            pending.mark_sent();
            tokio::select! {
                biased;
                reply = rx => reply.map_err(|_| dropped_error(context, service)),
                error = until_interrupted(context, service, expiry) => Err(error),
            }
        }
        None => {
            let (tx, rx) = oneshot::channel();
            let reply = ReplyTo::local(tx, context.limits().message_bytes);
            let expected = ExpectedReply { reply, deadline: options.deadline };
            deliver_encoded(service, options.name, &message, options.trace, Some(expected), permit)?;
            drop(turn);
            pending.mark_sent();
            let reply = tokio::select! {
                biased;
                outcome = rx => match outcome {
                    Ok(outcome) => decode::<M>(outcome, &context.decode_limits),
                    Err(_) => Err(dropped_error(context, service)),
                },
                error = until_interrupted(context, service, expiry) => Err(error),
            };
            return reply.map_err(|error| AttemptError { error, message: Some(message) });
        }
    };
    Ok(reply?)
}

/// Waits until a call to an actor of this process can no longer be answered, and returns the reason. Compiled once, not for each
/// type of message.
async fn until_interrupted(context: &NodeContext, service: &Service, expiry: &mut Sleep) -> CallErrorKind {
    tokio::select! {
        biased;
        () = expiry => CallErrorKind::TimedOut,
        () = context.shutdown.triggered() => CallErrorKind::Lost,
        () = blocking::detect_blocking(&service.executor) => CallErrorKind::Lost,
    }
}

/// Puts a message into the inbox of an actor of this process.
#[inline(always)]
pub(crate) fn push_local<M: NetMessage>(
    inbox: &dyn LocalInbox<M>,
    message: M,
    envelope: LocalEnvelope<M>,
    trace: Option<&TraceContext>,
) -> JobId {
    match trace {
        None => inbox.push(message, envelope),
        Some(trace) => inbox.push_traced(message, envelope, *trace),
    }
}

/// Ends a call to an actor of this process whose deadline has passed: a message that still waits is not handled.
pub(crate) fn expire_queued<M: NetMessage>(service: &Service, queued: QueuedMessage<'_, M>) -> CallErrorKind {
    if !queued.withdraw() {
        return CallErrorKind::TimedOut;
    }
    service.counters.refused(&Refusal::Expired);
    CallErrorKind::Refused(Refusal::Expired)
}

/// Returns the error of a call to an actor of this process that will not be answered any more.
#[cold]
pub(crate) fn unanswered_error<M: NetMessage>(
    context: &NodeContext,
    service: &Service,
    inbox: &dyn LocalInbox<M>,
    job: JobId,
) -> CallErrorKind {
    match inbox.was_rejected(job) {
        true => CallErrorKind::Refused(Refusal::Draining),
        false => dropped_error(context, service),
    }
}

/// Returns the error of a call whose handler may have begun and will not answer.
fn dropped_error(context: &NodeContext, service: &Service) -> CallErrorKind {
    match context.shutdown.is_triggered() || service.executor.has_ended() {
        true => CallErrorKind::Lost,
        false => CallErrorKind::Refused(Refusal::Panicked),
    }
}

/// The channel for an expected reply, and the deadline of the call.
pub(crate) struct ExpectedReply {
    reply: ReplyTo,
    deadline: Option<Instant>,
}

/// Hands a message to a service of this process that registers it as another Rust type: encoded, without a socket.
pub(crate) fn deliver_encoded<M: NetMessage>(
    service: &Arc<Service>,
    name: Option<&TypeName>,
    message: &M,
    trace: Option<TraceContext>,
    expected: Option<ExpectedReply>,
    permit: Permits,
) -> Result<(), CallErrorKind> {
    let name = message_name::<M>(name);
    let slot = service.types.slot(name).ok_or_else(|| no_handler(name, service.types.names()))?;
    let mut bytes = Vec::new();
    let max = service.limits().message_bytes;
    packed::encode_message(message, Encoding::MessagePack, max, &mut bytes).map_err(CallErrorKind::Encode)?;
    let (reply, deadline) = match expected {
        Some(ExpectedReply { reply, deadline }) => (Some(reply), deadline),
        None => (None, None),
    };
    let payload = Bytes::from(bytes);
    let inbound = InboundMessage {
        payload,
        encoding: Encoding::MessagePack,
        reply,
        deadline,
        permit,
        trace: trace.map(Box::new),
    };
    service.deliver_alone(slot, inbound);
    Ok(())
}

fn no_handler(name: &str, handles: Vec<String>) -> CallErrorKind {
    CallErrorKind::Refused(Refusal::NoHandler { message: name.to_string(), handles })
}
