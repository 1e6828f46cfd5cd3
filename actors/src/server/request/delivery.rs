//! The messages that arrived together on one connection, on their way into a service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meshzero_proto::codec::Encoding;
use meshzero_proto::trace::{TRACE_BYTES, TraceContext};
use meshzero_proto::wire::frame::{self, FrameKind, Frames, Header};
use meshzero_proto::wire::refusal::Refusal;

use crate::runtime::semaphore::Permits;
use crate::server::request::inbound::InboundMessage;
use crate::server::request::reply::ReplySlot;
use crate::server::request::responder::Responder;
use crate::telemetry::trace;

/// The number of bytes of a request before its message: the timeout.
const TIMEOUT_BYTES: usize = 4;

/// Whole frames from one connection, with a permit of the service for each message that is left in them. A message that
/// was taken out is not seen again, even if its handler panics.
pub(crate) struct Delivery {
    frames: Bytes,
    /// The position of the next frame.
    position: usize,
    /// The number of messages that are left.
    remaining: usize,
    has_requests: bool,
    arrived: Instant,
    responder: Arc<Responder>,
    permits: Permits,
    /// The permit for the bytes of the frames, from the connection's semaphore.
    byte_permit: Arc<Permits>,
}

/// Returns whether a frame carries a message for a handler.
pub(crate) fn is_message(header: &Header) -> bool {
    matches!(header.kind, FrameKind::Request | FrameKind::Tell)
}

/// Splits the payload of a request, without its trace, into its timeout and the message. `None` if it
/// is too short.
pub(crate) fn split_request(payload: &[u8]) -> Option<(Option<Duration>, &[u8])> {
    let (timeout, message) = payload.split_first_chunk::<TIMEOUT_BYTES>()?;
    let millis = u32::from_le_bytes(*timeout);
    Some(((millis > 0).then(|| Duration::from_millis(millis.into())), message))
}

impl Delivery {
    /// The messages in `frames`, as many as there are permits.
    pub(crate) fn new(
        frames: Bytes,
        arrived: Instant,
        has_requests: bool,
        responder: Arc<Responder>,
        permits: Permits,
        byte_permit: &Arc<Permits>,
    ) -> Self {
        let (remaining, byte_permit) = (permits.count(), Arc::clone(byte_permit));
        Self { frames, position: 0, remaining, has_requests, arrived, responder, permits, byte_permit }
    }

    /// Returns whether there are requests among the messages, which have deadlines and expect replies.
    pub(crate) fn has_requests(&self) -> bool {
        self.has_requests
    }

    /// Returns the number of the handler of the next message; `None` if none is left.
    #[inline(always)]
    pub(crate) fn slot(&self) -> Option<usize> {
        let mut frames = Frames::new(&self.frames[self.position..]);
        frames.find(|(header, _)| is_message(header)).map(|(header, _)| usize::from(header.slot))
    }

    /// Returns the next message that should be handled, if it is one for this `handler`, or for any. Cancelled
    /// requests are skipped, and expired ones are refused. A reply is appended to `out`. `trace` is called with the
    /// trace of the message, if it has one.
    #[inline(always)]
    pub(crate) fn next<'a>(
        &'a mut self,
        handler: Option<usize>,
        now: Instant,
        out: &'a mut Vec<u8>,
        trace: impl FnOnce(TraceContext),
    ) -> Option<IncomingMessage<'a>> {
        loop {
            let start = self.position;
            let mut frames = Frames::new(&self.frames[self.position..]);
            let (header, mut payload) = frames.next()?;
            let slot = usize::from(header.slot);
            let end = self.frames.len() - frames.remaining();
            if is_message(&header) {
                if handler.is_some_and(|handler| handler != slot) {
                    return None;
                }
                self.remaining -= 1;
            }
            self.position = end;
            let is_traced = header.flags & frame::TRACED != 0;
            if is_traced {
                // The session rejects frames that are too short.
                payload = payload.get(TRACE_BYTES..).unwrap_or_default();
            }
            let (length, reply, deadline) = match header.kind {
                FrameKind::Tell => (payload.len(), None, None),
                FrameKind::Request => match self.start_request(header.id, payload, now) {
                    Some((deadline, message)) => (message.len(), Some(header.id), deadline),
                    None => continue,
                },
                _ => continue,
            };
            if is_traced && let Some(context) = self.trace_at(start) {
                trace(context);
            }
            let preferred = frame::encoding(header.flags, frame::REPLY_BINCODE);
            return Some(IncomingMessage {
                slot,
                payload: &self.frames[end - length..end],
                encoding: frame::encoding(header.flags, frame::BINCODE),
                reply: reply.map(|id| ReplySlot::new(&self.responder, id, preferred, out)),
                deadline,
                permit: MessagePermit::Shared(&mut self.permits, &self.byte_permit),
                following: self.remaining,
                source: &self.frames,
            });
        }
    }

    /// Returns the trace of the message that begins at `position`.
    #[cold]
    fn trace_at(&self, position: usize) -> Option<TraceContext> {
        let (header, payload) = Frames::new(&self.frames[position..]).next()?;
        frame::split_trace(header.flags, payload)?.0
    }

    /// Marks a request as started and splits its payload; `None` if its reply is no longer wanted, or it has expired.
    fn start_request<'a>(
        &self,
        id: u64,
        payload: &'a [u8],
        now: Instant,
    ) -> Option<(Option<Instant>, &'a [u8])> {
        let (timeout, message) = split_request(payload)?;
        let deadline = timeout.map(|timeout| self.arrived + timeout);
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.responder.expire(id);
            return None;
        }
        self.responder.pending.start(id).then_some((deadline, message))
    }

    /// The number of messages that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Counts the messages that are left by the numbers of their handlers.
    pub(crate) fn count(&self, mut count: impl FnMut(usize)) {
        let frames = Frames::new(&self.frames[self.position..]);
        frames
            .filter(|(header, _)| is_message(header))
            .take(self.remaining)
            .for_each(|(header, _)| count(header.slot.into()));
    }

    /// Returns the last tell for which `find` returns something, with the number of messages after it. `find` is called
    /// with the number of the handler, the message and its encoding.
    pub(crate) fn last_tell<T>(
        &self,
        find: impl Fn(usize, &[u8], Encoding) -> Option<T>,
    ) -> Option<(usize, T)> {
        let messages: Vec<_> =
            Frames::new(&self.frames[self.position..]).filter(|(header, _)| is_message(header)).collect();
        messages.iter().rev().enumerate().filter(|(_, (header, _))| header.kind == FrameKind::Tell).find_map(
            |(after, (header, payload))| {
                let encoding = frame::encoding(header.flags, frame::BINCODE);
                let (_, message) = frame::split_trace(header.flags, payload)?;
                Some((after, find(usize::from(header.slot), message, encoding)?))
            },
        )
    }

    /// The responder of the connection.
    pub(crate) fn responder(&self) -> &Arc<Responder> {
        &self.responder
    }

    /// Takes the permits of the messages that have been taken out and did not keep their own.
    pub(crate) fn take_permits(&mut self) -> Option<Permits> {
        let taken_out = self.permits.count().saturating_sub(self.remaining);
        self.permits.split(taken_out)
    }
}

impl Drop for Delivery {
    /// Refuses the requests that will not be taken any more, because the service has closed or its actor has stopped.
    fn drop(&mut self) {
        if self.remaining > 0 {
            refuse_all(&self.frames[self.position..], &self.responder);
        }
    }
}

/// Refuses the pending requests in `frames`, and returns their number: they have not been handled.
pub(crate) fn refuse_all(frames: &[u8], responder: &Responder) -> usize {
    let mut refused = 0;
    for (header, _) in Frames::new(frames) {
        if header.kind == FrameKind::Request && responder.pending.remove(header.id) {
            responder.refuse(header.id, &Refusal::Draining);
            refused += 1;
        }
    }
    refused
}

/// One message on its way into its handler, still encoded.
pub(crate) struct IncomingMessage<'a> {
    /// The number of its handler.
    pub slot: usize,
    /// The encoded message.
    pub payload: &'a [u8],
    /// Its encoding.
    pub encoding: Encoding,
    /// The channel for the reply; `None` for a tell.
    pub reply: Option<ReplySlot<'a>>,
    /// The deadline, after which handling it is useless.
    pub deadline: Option<Instant>,
    /// The permit of the message.
    pub permit: MessagePermit<'a>,
    /// The number of messages after it that arrived together with it.
    pub following: usize,
    /// The batch of frames that the message is a part of.
    pub source: &'a Bytes,
}

/// The permit of a message.
pub(crate) enum MessagePermit<'a> {
    /// One of the permits of the messages that arrived together, which are released together; and the permit for their bytes.
    Shared(&'a mut Permits, &'a Arc<Permits>),
    /// A permit of its own.
    Own(Permits),
}

/// The permits of messages that are finished later.
pub(crate) struct HeldPermits {
    _permits: Permits,
    /// The permit for the bytes of all that arrived together.
    _byte_permit: Option<Arc<Permits>>,
}

impl From<Permits> for HeldPermits {
    fn from(permits: Permits) -> Self {
        Self { _permits: permits, _byte_permit: None }
    }
}

impl MessagePermit<'_> {
    /// Takes the permit of a message that is finished later.
    pub(crate) fn detach(self) -> Option<Permits> {
        match self {
            Self::Shared(permits, _) => permits.split(1),
            Self::Own(permit) => Some(permit),
        }
    }

    /// Takes the permit of this message, and those of all that arrived before it and did not keep their own, with the
    /// permit for their bytes. `after` messages come after it.
    pub(crate) fn detach_all(self, after: usize) -> Option<HeldPermits> {
        match self {
            Self::Shared(permits, byte_permit) => {
                let permits = permits.split(permits.count().saturating_sub(after))?;
                Some(HeldPermits { _permits: permits, _byte_permit: Some(Arc::clone(byte_permit)) })
            }
            Self::Own(permit) => Some(permit.into()),
        }
    }
}

impl<'a> IncomingMessage<'a> {
    /// A message that arrived alone, for the handler `slot`.
    /// `payload` has been taken out of `inbound`.
    pub(crate) fn alone(slot: usize, payload: &'a Bytes, inbound: InboundMessage) -> Self {
        let InboundMessage { encoding, reply, deadline, permit, .. } = inbound;
        let reply = reply.map(ReplySlot::from);
        Self {
            slot,
            payload,
            encoding,
            reply,
            deadline,
            permit: MessagePermit::Own(permit),
            following: 0,
            source: payload,
        }
    }

    /// Converts the message to one that is independent of those that arrived with it, as part of the current trace.
    pub(crate) fn into_inbound(self) -> Option<InboundMessage> {
        Some(InboundMessage {
            payload: self.source.slice_ref(self.payload),
            encoding: self.encoding,
            reply: self.reply.and_then(ReplySlot::into_reply_to),
            deadline: self.deadline,
            permit: self.permit.detach()?,
            trace: trace::current().map(Box::new),
        })
    }
}
