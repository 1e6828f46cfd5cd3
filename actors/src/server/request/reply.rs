//! The way back for one reply while its message is being handled, and the batch in which replies leave together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero_proto::codec::{Encoding, WireType};
use meshzero_proto::wire::refusal::Refusal;

use crate::server::request::inbound::ReplyTo;
use crate::server::request::responder::Responder;

/// How long an answer waits for the handlers of messages that arrived with its own. A system call takes a few
/// microseconds, so quick handlers share one, and slow ones hold nothing up.
const LONGEST_WAIT: Duration = Duration::from_micros(50);

/// Bytes of answers that leave without waiting for more.
const LONGEST_BATCH: usize = 64 << 10;

/// Answers to messages that are handled in one go, which leave in one go: at its end, and when they have waited for long.
/// What is there leaves as well when a handler panics.
pub(crate) struct ReplyBatch<'a> {
    answers: Arc<Responder>,
    frames: &'a mut Vec<u8>,
    since: Option<Instant>,
}

impl<'a> ReplyBatch<'a> {
    /// A batch that is gathered in `frames`, which is memory to be used again.
    pub(crate) fn new(answers: &Arc<Responder>, frames: &'a mut Vec<u8>) -> Self {
        Self { answers: Arc::clone(answers), frames, since: None }
    }

    /// Where the next answer is appended.
    #[inline]
    pub(crate) fn frames(&mut self, now: Instant) -> &mut Vec<u8> {
        if !self.frames.is_empty() {
            let since = *self.since.get_or_insert(now);
            if self.frames.len() >= LONGEST_BATCH || now.duration_since(since) >= LONGEST_WAIT {
                self.answers.push_frames(self.frames);
                self.since = None;
            }
        }
        self.frames
    }
}

impl Drop for ReplyBatch<'_> {
    fn drop(&mut self) {
        if !self.frames.is_empty() {
            self.answers.push_frames(self.frames);
        }
    }
}

/// The way back for one reply, while its message is being handled: into a batch that leaves when the handlers have had
/// their turn. Dropped without an answer it says that the handler panicked.
pub(crate) struct ReplySlot<'a> {
    way: Option<ReplyTarget<'a>>,
}

enum ReplyTarget<'a> {
    Batch { answers: &'a Arc<Responder>, id: u64, preferred: Encoding, out: &'a mut Vec<u8> },
    Own(ReplyTo),
}

impl<'a> ReplySlot<'a> {
    /// The reply to the request `id`, to be appended to `out`.
    pub(crate) fn new(
        answers: &'a Arc<Responder>,
        id: u64,
        preferred: Encoding,
        out: &'a mut Vec<u8>,
    ) -> Self {
        Self { way: Some(ReplyTarget::Batch { answers, id, preferred, out }) }
    }

    /// Sends the reply.
    pub(crate) fn send<R: WireType>(mut self, reply: &R) {
        match self.way.take() {
            Some(ReplyTarget::Batch { answers, id, preferred, out }) if answers.owed.contains(id) => {
                // Should the reply's `Serialize` panic, this says so in its place.
                let mut guard = PartialReply { answers, id, start: out.len(), out, sent: false };
                answers.write_reply(guard.out, id, preferred, reply);
                guard.sent = true;
                if guard.out.len() - guard.start > answers.longest {
                    answers.send_fragmented(id, guard.out, guard.start);
                }
                answers.owed.remove(id);
            }
            Some(ReplyTarget::Own(reply_to)) => reply_to.send(reply),
            Some(ReplyTarget::Batch { .. }) | None => {}
        }
    }

    /// Sends the reason why there is no reply.
    pub(crate) fn refuse(mut self, why: &Refusal) {
        self.end(why);
    }

    /// The way back for a reply that comes later, maybe from another thread.
    pub(crate) fn later(mut self) -> Option<ReplyTo> {
        match self.way.take()? {
            ReplyTarget::Batch { answers, id, preferred, .. } => {
                Some(ReplyTo::wire(Arc::clone(answers), id, preferred))
            }
            ReplyTarget::Own(reply_to) => Some(reply_to),
        }
    }

    fn end(&mut self, why: &Refusal) {
        match self.way.take() {
            Some(ReplyTarget::Batch { answers, id, out, .. }) if answers.owed.remove(id) => {
                answers.write_refusal(out, id, why);
            }
            Some(ReplyTarget::Own(reply_to)) => reply_to.refuse(why.clone()),
            Some(ReplyTarget::Batch { .. }) | None => {}
        }
    }
}

impl From<ReplyTo> for ReplySlot<'_> {
    fn from(reply_to: ReplyTo) -> Self {
        Self { way: Some(ReplyTarget::Own(reply_to)) }
    }
}

impl Drop for ReplySlot<'_> {
    fn drop(&mut self) {
        self.end(&Refusal::Panicked);
    }
}

/// Half a reply, to be replaced by a refusal if its serialising panics.
struct PartialReply<'a> {
    answers: &'a Responder,
    id: u64,
    start: usize,
    out: &'a mut Vec<u8>,
    sent: bool,
}

impl Drop for PartialReply<'_> {
    fn drop(&mut self) {
        if !self.sent {
            self.out.truncate(self.start);
            if self.answers.owed.remove(self.id) {
                self.answers.write_refusal(self.out, self.id, &Refusal::Panicked);
            }
        }
    }
}
