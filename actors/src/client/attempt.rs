//! The attempts of one message, at one instance after the other, with all waiting for instances and room.

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

/// A call whose message has not been sent yet, with the queue turn that it gives up afterwards.
struct PendingCall<'a> {
    /// The turn in the queue of calls that wait for an instance.
    turn: Option<QueueTurn<'a>>,
    set_out: &'a SentFlag,
}

impl PendingCall<'_> {
    /// Marks the message as sent: calls behind it may follow, and its reply depends on the service alone.
    fn mark_sent(&mut self) {
        self.turn = None;
        self.set_out.set();
    }
}

/// Calls one instance after the other, until one has handled the message, the deadline passes, or further attempts are
/// useless. `before` is an attempt that has failed already. Returns the reply, and the instance that sent it.
pub(crate) async fn call<M: NetMessage>(
    caller: &Caller,
    order: CallOptions<'_>,
    message: M,
    before: Option<(InstanceId, CallErrorKind)>,
) -> Result<(M::Result, InstanceId), CallFailure> {
    let mut timer = caller.context.timers.sleep_until(order.deadline);
    let mut retry = RetryState::new(caller, order.deadline, order.idempotency);
    let mut message = message;
    let turn = match before {
        Some((instance, fault)) => {
            retry.next_attempt(instance, fault).await?;
            None
        }
        None => retry.turn(&mut timer).await?,
    };
    let mut pending = PendingCall { turn, set_out: &order.sent };
    loop {
        let Pick { member, probe } = retry.wait_for_instance(&mut timer).await?;
        let instance = member.instance().id;
        let tried = match member {
            Member::Local(service, _) => {
                call_local(&caller.context, &service, &order, message, (&mut timer, &mut pending)).await
            }
            Member::Remote(link, _) => {
                call_remote(&caller.context, &link, &order, message, (&mut timer, &mut pending)).await
            }
        };
        // The order no longer matters once the message is tried again.
        pending.turn = None;
        pending.set_out.clear();
        retry.record_outcome(instance, tried.as_ref().err().map(|unanswered| &unanswered.fault), probe);
        match tried {
            Ok(reply) => return Ok((reply, instance)),
            Err(AttemptError { fault, message: Some(again) }) => {
                message = again;
                retry.next_attempt(instance, fault).await?;
            }
            Err(AttemptError { fault, message: None }) => return Err(retry.give_up(fault)),
        }
    }
}

/// The error of an attempt without a reply.
struct AttemptError<M> {
    fault: CallErrorKind,
    /// The message, if it was not handed over for good.
    message: Option<M>,
}

impl<M> From<CallErrorKind> for AttemptError<M> {
    fn from(fault: CallErrorKind) -> Self {
        Self { fault, message: None }
    }
}

type AttemptResult<M> = Result<<M as Message>::Result, AttemptError<M>>;

async fn call_remote<M: NetMessage>(
    context: &NodeContext,
    link: &Arc<Link>,
    order: &CallOptions<'_>,
    message: M,
    (timer, pending): (&mut Sleep, &mut PendingCall<'_>),
) -> AttemptResult<M> {
    let caller = waker().await;
    let deadline = order.deadline;
    let (name, trace) = (order.name, order.trace.as_ref());
    let outward = |message| OutgoingMessage { message, name, deadline: deadline.map(Deadline::at), trace };
    let mut set_out = link.try_call(outward(&message), &caller);
    if matches!(set_out, Err(SendError::Full)) {
        let room = tokio::select! {
            biased;
            room = fair_queue::hold_turn_until_queued(&mut pending.turn, link.reserve_call()) => room,
            () = blocking::detect_blocking(&context.executor) => None,
            () = timer => return Err(CallErrorKind::NotSent("the connection had no room in time".into()).into()),
        };
        set_out = match room {
            Some(turn) => link.call(turn, outward(&message), &caller),
            None => Err(SendError::Closed),
        };
    }
    let fault = match set_out {
        Ok(reply) => {
            pending.mark_sent();
            match conclude::<M>(finish_call(context, reply).await, &context.decode_limits) {
                Ok(reply) => return Ok(reply),
                Err(fault) => fault,
            }
        }
        Err(unsent) => send_error::<M>(unsent, link, name),
    };
    Err(AttemptError { fault, message: Some(message) })
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
pub(crate) async fn waker() -> Waker {
    poll_fn(|task| Poll::Ready(task.waker().clone())).await
}

/// Returns the fault of a message that was not sent.
pub(crate) fn send_error<M: NetMessage>(
    unsent: SendError,
    link: &Link,
    name: Option<&TypeName>,
) -> CallErrorKind {
    match unsent {
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
    order: &CallOptions<'_>,
    message: M,
    (timer, pending): (&mut Sleep, &mut PendingCall<'_>),
) -> AttemptResult<M> {
    let turn = match service.try_acquire() {
        Some(permit) => Some(permit.into()),
        None => tokio::select! {
            biased;
            turn = fair_queue::hold_turn_until_queued(&mut pending.turn, service.acquire_in_turn()) => turn,
            () = blocking::detect_blocking(&service.executor) => None,
            () = &mut *timer => return Err(CallErrorKind::NotSent("the service was busy until the deadline".into()).into()),
        },
    };
    let Some(turn) = turn.filter(|_| !context.shutdown.is_triggered()) else {
        let fault = CallErrorKind::NotSent("the service has closed".to_owned());
        return Err(AttemptError { fault, message: Some(message) });
    };
    // The permit goes with the message: the message is unfinished until its handler is done, whether its caller waits
    // or not.
    let (permit, in_turn) = turn.divide();
    let reply = match service.types.local_entry::<M>(order.name) {
        Some(LocalEntry::Inbox(inbox)) => {
            let (tx, rx) = oneshot::channel();
            let envelope = LocalEnvelope { reply: Some(tx), permit };
            let ticket = push_local(inbox.as_ref(), message, envelope, order.trace.as_ref());
            drop(in_turn);
            pending.mark_sent();
            let mut entered = QueuedMessage::new(inbox.as_ref(), ticket);
            tokio::select! {
                biased;
                reply = rx => {
                    entered.disarm();
                    reply.map_err(|_| unanswered_error(context, service, inbox.as_ref(), ticket))
                }
                () = timer => Err(expire_queued(service, entered)),
                () = context.shutdown.triggered() => Err(CallErrorKind::Lost),
                () = blocking::detect_blocking(&service.executor) => Err(CallErrorKind::Lost),
            }
        }
        Some(LocalEntry::Mailbox(mailbox)) => {
            let (tx, rx) = oneshot::channel();
            mailbox.send(message, LocalEnvelope { reply: Some(tx), permit }, &service.executor);
            drop(in_turn);
            pending.mark_sent();
            tokio::select! {
                biased;
                reply = rx => reply.map_err(|_| dropped_error(context, service)),
                () = timer => Err(CallErrorKind::TimedOut),
                () = context.shutdown.triggered() => Err(CallErrorKind::Lost),
                () = blocking::detect_blocking(&service.executor) => Err(CallErrorKind::Lost),
            }
        }
        None => {
            let (tx, rx) = oneshot::channel();
            let reply = ReplyTo::local(tx, context.limits().message_bytes);
            let wanted = ExpectedReply { reply, deadline: order.deadline };
            deliver_encoded(service, order.name, &message, order.trace, Some(wanted), permit)?;
            drop(in_turn);
            pending.mark_sent();
            let reply = tokio::select! {
                biased;
                outcome = rx => match outcome {
                    Ok(outcome) => decode::<M>(outcome, &context.decode_limits),
                    Err(_) => Err(dropped_error(context, service)),
                },
                () = timer => Err(CallErrorKind::TimedOut),
                () = context.shutdown.triggered() => Err(CallErrorKind::Lost),
                () = blocking::detect_blocking(&service.executor) => Err(CallErrorKind::Lost),
            };
            return reply.map_err(|fault| AttemptError { fault, message: Some(message) });
        }
    };
    Ok(reply?)
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
pub(crate) fn expire_queued<M: NetMessage>(
    service: &Service,
    entered: QueuedMessage<'_, M>,
) -> CallErrorKind {
    if !entered.withdraw() {
        return CallErrorKind::TimedOut;
    }
    service.counters.refused(&Refusal::Expired);
    CallErrorKind::Refused(Refusal::Expired)
}

/// Returns the fault of a call to an actor of this process that will not be answered any more.
#[cold]
pub(crate) fn unanswered_error<M: NetMessage>(
    context: &NodeContext,
    service: &Service,
    inbox: &dyn LocalInbox<M>,
    ticket: JobId,
) -> CallErrorKind {
    match inbox.was_rejected(ticket) {
        true => CallErrorKind::Refused(Refusal::Draining),
        false => dropped_error(context, service),
    }
}

/// Returns the fault of a call whose handler may have begun and will not answer.
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
    wanted: Option<ExpectedReply>,
    permit: Permits,
) -> Result<(), CallErrorKind> {
    let name = message_name::<M>(name);
    let slot = service.types.slot(name).ok_or_else(|| no_handler(name, service.types.names()))?;
    let mut bytes = Vec::new();
    let max = service.limits().message_bytes;
    packed::encode_message(message, Encoding::MessagePack, max, &mut bytes).map_err(CallErrorKind::Encode)?;
    let (reply, deadline) = match wanted {
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
