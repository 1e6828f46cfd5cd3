//! The delivery of messages to actors of this process.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::codec::{self, Encoding};
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::TraceContext;
use meshzero_proto::wire::refusal::Refusal;

use super::no_handler;
use crate::client::error::CallErrorKind;
use crate::context::NodeContext;
use crate::message::NetMessage;
use crate::message::packed;
use crate::runtime::semaphore::Permits;
use crate::server::actor::inbox::JobId;
use crate::server::actor::local::{LocalEntry, LocalEnvelope, LocalInbox};
use crate::server::request::inbound::{InboundMessage, ReplyTo};
use crate::server::service::Service;

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

/// Returns the inbox of messages of type `M` that are called `name`, if the service has one.
fn inbox<'a, M: NetMessage>(service: &'a Service, name: Option<&TypeName>) -> Option<&'a dyn LocalInbox<M>> {
    match service.types.local_entry::<M>(name) {
        Some(LocalEntry::Inbox(inbox)) => Some(inbox.as_ref()),
        Some(LocalEntry::Mailbox(_)) | None => None,
    }
}

/// Takes a message out of its inbox, if it still waits there, which frees its permit.
#[cold]
pub(crate) fn withdraw<M: NetMessage>(service: &Service, name: Option<&TypeName>, job: JobId) -> bool {
    inbox::<M>(service, name).is_some_and(|inbox| inbox.withdraw(job))
}

/// Ends a call whose message went into an inbox, and whose deadline has passed: a message that still waits is not handled.
#[cold]
pub(crate) fn expire_queued<M: NetMessage>(
    service: &Service,
    name: Option<&TypeName>,
    job: JobId,
) -> CallErrorKind {
    if !withdraw::<M>(service, name, job) {
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
    name: Option<&TypeName>,
    job: JobId,
) -> CallErrorKind {
    match inbox::<M>(service, name) {
        Some(inbox) if inbox.was_rejected(job) => CallErrorKind::Refused(Refusal::Draining),
        Some(_) => dropped_error(context, service),
        // The message went into an inbox, and the entries of a service never change.
        None => CallErrorKind::Lost,
    }
}

/// Returns the error of a call whose handler may have begun and will not answer.
pub(crate) fn dropped_error(context: &NodeContext, service: &Service) -> CallErrorKind {
    match context.shutdown.is_triggered() || service.executor.has_ended() {
        true => CallErrorKind::Lost,
        false => CallErrorKind::Refused(Refusal::Panicked),
    }
}

/// The channel for an expected reply, and the deadline of the call.
pub(crate) struct ExpectedReply {
    pub(crate) reply: ReplyTo,
    pub(crate) deadline: Option<Instant>,
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
    let name = name.map_or(codec::type_info::<M>().name(), |name| name);
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
