//! The reply slot of a message that is being handled, and the batch in which replies are sent together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero_proto::codec::{Encoding, WireType};
use meshzero_proto::wire::refusal::Refusal;

use crate::server::request::inbound::ReplyTo;
use crate::server::request::responder::Responder;

/// The time for which a reply waits for the handlers of messages that arrived with its own. A system call takes a few
/// microseconds, so quick handlers share one, and slow ones hold nothing up.
const MAX_DELAY: Duration = Duration::from_micros(50);

/// The number of bytes from which on replies are sent without waiting for more.
const MAX_BATCH_BYTES: usize = 64 << 10;

/// Replies to messages that are handled in one go, which are sent together: at the end of the batch, and when they have
/// waited too long. Also sent when a handler panics.
pub(crate) struct ReplyBatch<'a> {
    responder: Arc<Responder>,
    frames: &'a mut Vec<u8>,
    /// The time since which the oldest reply has waited.
    oldest: Option<Instant>,
}

impl<'a> ReplyBatch<'a> {
    /// A batch that is gathered in `frames`, a buffer to be reused.
    pub(crate) fn new(responder: &Arc<Responder>, frames: &'a mut Vec<u8>) -> Self {
        Self { responder: Arc::clone(responder), frames, oldest: None }
    }

    /// Returns the buffer to which the next reply is appended.
    #[inline]
    pub(crate) fn frames(&mut self, now: Instant) -> &mut Vec<u8> {
        if !self.frames.is_empty() {
            let oldest = *self.oldest.get_or_insert(now);
            if self.frames.len() >= MAX_BATCH_BYTES || now.duration_since(oldest) >= MAX_DELAY {
                self.responder.push_frames(self.frames);
                self.oldest = None;
            }
        }
        self.frames
    }
}

impl Drop for ReplyBatch<'_> {
    fn drop(&mut self) {
        if !self.frames.is_empty() {
            self.responder.push_frames(self.frames);
        }
    }
}

/// The slot of one reply, while its message is being handled: in a batch that is sent after the handlers' turn. Dropped
/// without a reply, it refuses the request as one whose handler panicked.
pub(crate) struct ReplySlot<'a> {
    target: Option<ReplyTarget<'a>>,
}

enum ReplyTarget<'a> {
    Batch { responder: &'a Arc<Responder>, id: u64, preferred: Encoding, out: &'a mut Vec<u8> },
    Channel(ReplyTo),
}

impl<'a> ReplySlot<'a> {
    /// The slot for the reply to the request `id`, to be appended to `out`.
    pub(crate) fn new(
        responder: &'a Arc<Responder>,
        id: u64,
        preferred: Encoding,
        out: &'a mut Vec<u8>,
    ) -> Self {
        Self { target: Some(ReplyTarget::Batch { responder, id, preferred, out }) }
    }

    /// Sends the reply.
    pub(crate) fn send<R: WireType>(mut self, reply: &R) {
        match self.target.take() {
            Some(ReplyTarget::Batch { responder, id, preferred, out }) if responder.pending.contains(id) => {
                // Should the reply's `Serialize` panic, a refusal takes its place.
                let mut guard = PartialReply { responder, id, start: out.len(), out, sent: false };
                responder.write_reply(guard.out, id, preferred, reply);
                guard.sent = true;
                if guard.out.len() - guard.start > responder.fragment_above {
                    responder.send_fragmented(id, guard.out, guard.start);
                }
                responder.pending.remove(id);
            }
            Some(ReplyTarget::Channel(reply_to)) => reply_to.send(reply),
            Some(ReplyTarget::Batch { .. }) | None => {}
        }
    }

    /// Refuses the request, with the reason.
    pub(crate) fn refuse(mut self, reason: &Refusal) {
        self.end(reason);
    }

    /// Converts the slot to a channel for a reply that comes later, possibly from another thread.
    pub(crate) fn into_reply_to(mut self) -> Option<ReplyTo> {
        match self.target.take()? {
            ReplyTarget::Batch { responder, id, preferred, .. } => {
                Some(ReplyTo::wire(Arc::clone(responder), id, preferred))
            }
            ReplyTarget::Channel(reply_to) => Some(reply_to),
        }
    }

    fn end(&mut self, reason: &Refusal) {
        match self.target.take() {
            Some(ReplyTarget::Batch { responder, id, out, .. }) if responder.pending.remove(id) => {
                responder.write_refusal(out, id, reason);
            }
            Some(ReplyTarget::Channel(reply_to)) => reply_to.refuse(reason.clone()),
            Some(ReplyTarget::Batch { .. }) | None => {}
        }
    }
}

impl From<ReplyTo> for ReplySlot<'_> {
    fn from(reply_to: ReplyTo) -> Self {
        Self { target: Some(ReplyTarget::Channel(reply_to)) }
    }
}

impl Drop for ReplySlot<'_> {
    fn drop(&mut self) {
        self.end(&Refusal::Panicked);
    }
}

/// A partial reply, to be replaced by a refusal if its serialisation panics.
struct PartialReply<'a> {
    responder: &'a Responder,
    id: u64,
    start: usize,
    out: &'a mut Vec<u8>,
    sent: bool,
}

impl Drop for PartialReply<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.out.truncate(self.start);
            if self.responder.pending.remove(self.id) {
                self.responder.write_refusal(self.out, self.id, &Refusal::Panicked);
            }
        }
    }
}
