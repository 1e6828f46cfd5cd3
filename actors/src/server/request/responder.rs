//! The responder of one connection: the pending requests, and the queue for their replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use meshzero_proto::buffer::{Buffer, WriteBuffer};
use meshzero_proto::codec::{self, EncodeError, Encoding};
use meshzero_proto::stream::PIECE_BYTES;
use meshzero_proto::wire::frame::{self, FrameKind, FrameWriter, Header};
use meshzero_proto::wire::refusal::Refusal;

use crate::link::send_queue::{Flush, ReplyFrame, SendQueue, SpaceNeeded};
use crate::runtime::events;
use crate::server::request::next_deadline::NextDeadline;
use crate::server::request::pending::{NEVER, PendingRequests};
use crate::telemetry::counters::RequestCounters;

/// The replying side of one connection. Shared by everything that may reply, on any thread.
pub(crate) struct Responder {
    /// The requests that were accepted and neither answered nor cancelled.
    pub(crate) pending: PendingRequests,
    /// The time of the next check for expired requests.
    pub(crate) next_deadline: NextDeadline,
    /// Set once the link has ended, so that no reply reaches the caller.
    is_disconnected: AtomicBool,
    counters: Arc<RequestCounters>,
    max_bytes: usize,
    /// The length above which the frame of a reply is sent in fragments.
    pub(crate) fragment_above: usize,
    send_queue: Arc<SendQueue>,
}

impl Responder {
    /// A responder that sends replies of at most `max_bytes` each through `send_queue`, for at most `limit` pending
    /// requests. Refused requests are counted by `counters`.
    pub(crate) fn new(
        send_queue: Arc<SendQueue>,
        limit: usize,
        max_bytes: usize,
        counters: Arc<RequestCounters>,
    ) -> Self {
        let (pending, next_deadline) = (PendingRequests::new(limit), NextDeadline::default());
        let is_disconnected = AtomicBool::new(false);
        Self {
            pending,
            next_deadline,
            is_disconnected,
            counters,
            max_bytes,
            fragment_above: usize::MAX,
            send_queue,
        }
    }

    /// Sends long replies in fragments, for a caller that supports it.
    pub(crate) fn with_fragments(self) -> Self {
        Self { fragment_above: PIECE_BYTES, ..self }
    }

    /// Marks the link as ended, for actors that hold a message for later. Messages that the service has accepted are
    /// handled all the same.
    pub(crate) fn set_disconnected(&self) {
        self.is_disconnected.store(true, Ordering::Relaxed);
    }

    /// Returns whether the reply to `id` is still wanted, and the caller can be reached.
    pub(crate) fn is_wanted(&self, id: u64) -> bool {
        self.pending.contains(id) && !self.is_disconnected.load(Ordering::Relaxed)
    }

    /// Cancels the request `id`. If its handler has not begun, it is not handled; the unsent fragments of a long reply are
    /// dropped.
    pub(crate) fn cancel(&self, id: u64) {
        if self.pending.remove(id) {
            self.counters.cancelled.count();
        }
        self.send_queue.revoke(id);
    }

    /// Refuses the request `id`, whose deadline has passed before it was handled, if it is still pending.
    #[cold]
    pub(crate) fn expire(&self, id: u64) {
        if self.pending.remove(id) {
            self.refuse(id, &Refusal::Expired);
        }
    }

    /// Refuses requests whose deadlines have passed at `now` before their handlers began; returns the next deadline.
    pub(crate) fn expire_until(&self, now: u64) -> Option<u64> {
        self.pending.expire(now, |id| self.refuse(id, &Refusal::Expired))
    }

    /// Refuses requests whose handlers have not begun, because the service has closed.
    pub(crate) fn reject_unstarted(&self) {
        // At this instant every deadline has passed, also that of requests without one.
        let _ = self.pending.expire(NEVER, |id| self.refuse(id, &Refusal::Draining));
    }

    /// Refuses the request `id`, pending or not.
    pub(crate) fn refuse(&self, id: u64, refusal: &Refusal) {
        self.push(|responder, out| responder.write_refusal(out, id, refusal));
    }

    /// Replies to the request `id`, if that is still pending.
    pub(crate) fn reply<R: codec::WireType>(&self, id: u64, preferred: Encoding, flush: Flush, reply: &R) {
        if self.pending.contains(id) {
            let frame = ReplyFrame { id, max_frame: self.fragment_above };
            self.send_queue.push_reply(frame, flush, |out| self.write_reply(out, id, preferred, reply));
            self.pending.remove(id);
        }
    }

    /// Sends frames that were written elsewhere at once, and leaves `frames` empty.
    pub(crate) fn push_frames(&self, frames: &mut Vec<u8>) {
        self.send_queue.push_frames(frames);
    }

    /// Sends the long reply to the request `id`, which is at the end of `out` from `start` on, in fragments.
    #[cold]
    pub(crate) fn send_fragmented(&self, id: u64, out: &mut Vec<u8>, start: usize) {
        let mut written = Bytes::from(std::mem::take(out));
        let frame = written.split_off(start);
        out.extend_from_slice(&written);
        self.send_queue.push_fragmented(id, frame);
    }

    fn push(&self, write: impl FnOnce(&Self, &mut Buffer)) {
        // Fails if the connection is closed, and nobody waits for the reply.
        let _ = self.send_queue.push::<std::convert::Infallible>(SpaceNeeded::Any, Flush::Batched, |out| {
            write(self, out);
            Ok(())
        });
    }

    /// Appends the reply to the request `id`, or a refusal if it cannot be encoded.
    pub(crate) fn write_reply<R: codec::WireType>(
        &self,
        out: &mut impl WriteBuffer,
        id: u64,
        preferred: Encoding,
        reply: &R,
    ) {
        let writer = FrameWriter::new(out, Header::new(FrameKind::Reply, id));
        let encoded = codec::encode_preferring(reply, preferred, self.max_bytes, out);
        if let Err(error) = writer.end(out, encoded) {
            self.write_refusal(out, id, &refusal(error));
        }
    }

    /// Appends the refusal of the request `id`.
    pub(crate) fn write_refusal(&self, out: &mut impl WriteBuffer, id: u64, reason: &Refusal) {
        self.counters.refused(reason);
        events::record(|| tracing::debug!(id, %reason, "a request is refused"));
        frame::write(out, Header::new(FrameKind::Refusal, id), &reason.to_bytes());
    }
}

/// Returns the refusal for a reply that cannot be encoded.
pub(crate) fn refusal(error: EncodeError) -> Refusal {
    match error {
        EncodeError::TooLarge { max } => Refusal::ReplyTooLarge { limit: max as u64 },
        EncodeError::Refused { problem } => Refusal::BadReply { problem },
    }
}
