//! The answering side of one connection: what is owed, and the way out.

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
use crate::server::request::deadlines::NextDeadline;
use crate::server::request::pending::{NEVER, PendingRequests};
use crate::telemetry::counters::RequestCounters;

/// The replies that one connection owes its caller. Shared by whoever may answer, on any thread.
pub(crate) struct Responder {
    /// Requests that were taken and have neither been answered nor cancelled.
    pub(crate) owed: PendingRequests,
    /// The time at which those that wait are looked at, because their deadlines pass.
    pub(crate) expiry: NextDeadline,
    /// Set once the link has ended, so that no answer reaches the caller.
    is_cut_off: AtomicBool,
    counters: Arc<RequestCounters>,
    max_bytes: usize,
    /// The frame of a longer reply leaves in pieces.
    pub(crate) longest: usize,
    outbox: Arc<SendQueue>,
}

impl Responder {
    /// Answers of at most `max_bytes` each go out through `outbox`; at most `limit` may be owed at a time. What is not
    /// answered is counted by `counters`.
    pub(crate) fn new(
        outbox: Arc<SendQueue>,
        limit: usize,
        max_bytes: usize,
        counters: Arc<RequestCounters>,
    ) -> Self {
        let (owed, expiry) = (PendingRequests::new(limit), NextDeadline::default());
        let is_cut_off = AtomicBool::new(false);
        Self { owed, expiry, is_cut_off, counters, max_bytes, longest: usize::MAX, outbox }
    }

    /// Lets long replies leave in pieces: the caller has said that it takes them.
    pub(crate) fn new_fragmented(self) -> Self {
        Self { longest: PIECE_BYTES, ..self }
    }

    /// Notes that the link has ended, for those who keep a message for later. What the service has taken is handled all the same.
    pub(crate) fn cut_off(&self) {
        self.is_cut_off.store(true, Ordering::Relaxed);
    }

    /// Returns whether the caller still waits for the answer to `id`, and can be reached.
    pub(crate) fn is_wanted(&self, id: u64) -> bool {
        self.owed.contains(id) && !self.is_cut_off.load(Ordering::Relaxed)
    }

    /// Notes that the caller does not want the reply to `id` any more. What has not begun is not handled, and what has not left
    /// of a long reply stays here.
    pub(crate) fn cancel(&self, id: u64) {
        if self.owed.remove(id) {
            self.counters.cancelled.count();
        }
        self.outbox.revoke(id);
    }

    /// Refuses the request `id`, whose deadline has passed before it was handled, if it is still owed.
    #[cold]
    pub(crate) fn expire(&self, id: u64) {
        if self.owed.remove(id) {
            self.refuse(id, &Refusal::Expired);
        }
    }

    /// Refuses those whose deadlines have passed at `now` before their handlers began; says when the next is due.
    pub(crate) fn expire_until(&self, now: u64) -> Option<u64> {
        self.owed.expire(now, |id| self.refuse(id, &Refusal::Expired))
    }

    /// Refuses those whose handlers have not begun: the service closes, and they never will.
    pub(crate) fn reject_unstarted(&self) {
        // Every deadline has passed by the end of time, and what has none is due then.
        let _ = self.owed.expire(NEVER, |id| self.refuse(id, &Refusal::Draining));
    }

    /// Refuses the request `id`, whether or not it is owed.
    pub(crate) fn refuse(&self, id: u64, refusal: &Refusal) {
        self.push(|answers, out| answers.write_refusal(out, id, refusal));
    }

    /// Answers the request `id`, if that is still owed.
    pub(crate) fn answer<R: codec::WireType>(&self, id: u64, preferred: Encoding, pace: Flush, reply: &R) {
        if self.owed.contains(id) {
            let reply_to = ReplyFrame { id, longest: self.longest };
            self.outbox.push_reply(reply_to, pace, |out| self.write_reply(out, id, preferred, reply));
            self.owed.remove(id);
        }
    }

    /// Lets frames that were written elsewhere leave at once, and leaves `frames` empty.
    pub(crate) fn push_frames(&self, frames: &mut Vec<u8>) {
        self.outbox.push_frames(frames);
    }

    /// Lets the long reply to the request `id`, which was written to the end of `out` from `start` on, leave in pieces.
    #[cold]
    pub(crate) fn send_fragmented(&self, id: u64, out: &mut Vec<u8>, start: usize) {
        let mut whole = Bytes::from(std::mem::take(out));
        let frame = whole.split_off(start);
        out.extend_from_slice(&whole);
        self.outbox.push_fragmented(id, frame);
    }

    fn push(&self, write: impl FnOnce(&Self, &mut Buffer)) {
        // On a closed connection nobody waits for the answer.
        let _ = self.outbox.push::<std::convert::Infallible>(SpaceNeeded::Any, Flush::Gathered, |out| {
            write(self, out);
            Ok(())
        });
    }

    /// Appends the reply to the request `id`, or why it cannot be one.
    pub(crate) fn write_reply<R: codec::WireType>(
        &self,
        out: &mut impl WriteBuffer,
        id: u64,
        preferred: Encoding,
        reply: &R,
    ) {
        let writing = FrameWriter::new(out, Header::new(FrameKind::Reply, id));
        let encoded = codec::encode_preferring(reply, preferred, self.max_bytes, out);
        if let Err(error) = writing.end(out, encoded) {
            self.write_refusal(out, id, &refusal(error));
        }
    }

    /// Appends the reason why the request `id` has no reply.
    pub(crate) fn write_refusal(&self, out: &mut impl WriteBuffer, id: u64, why: &Refusal) {
        self.counters.refused(why);
        events::record(|| tracing::debug!(id, %why, "a request is refused"));
        frame::write(out, Header::new(FrameKind::Refusal, id), &why.to_bytes());
    }
}

/// The refusal of a reply that cannot be encoded.
pub(crate) fn refusal(error: EncodeError) -> Refusal {
    match error {
        EncodeError::TooLarge { max } => Refusal::ReplyTooLarge { limit: max as u64 },
        EncodeError::Refused { problem } => Refusal::BadReply { problem },
    }
}
