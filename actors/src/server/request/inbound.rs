//! One message on its way into a service that somebody keeps, and the way back for its reply.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::codec::{self, Encoding, WireType};
use meshzero_proto::trace::TraceContext;
use meshzero_proto::wire::refusal::Refusal;
use tokio::sync::oneshot;

use crate::link::send_queue::Flush;
use crate::message::payload::ReplyBytes;
use crate::runtime::semaphore::Permits;
use crate::server::request::responder::{self, Responder};

/// A message that waits for its handler, still encoded.
pub struct InboundMessage {
    /// The encoded message.
    pub payload: Bytes,
    /// Its encoding.
    pub encoding: Encoding,
    /// The way back; `None` for a tell.
    pub reply: Option<ReplyTo>,
    /// When it is no use handling it any more.
    pub deadline: Option<Instant>,
    /// One place among the service's unfinished messages, given back when it is finished.
    pub place: Permits,
    /// The trace that it is part of.
    pub trace: Option<Box<TraceContext>>,
}

impl InboundMessage {
    /// Whether the handler should still run. If not, the caller has been told why.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            if let Some(reply) = self.reply.take() {
                reply.refuse(Refusal::Expired);
            }
            return false;
        }
        self.reply.as_ref().is_none_or(ReplyTo::is_open)
    }
}

impl InboundMessage {
    /// Drops the message because nobody will handle it, and tells the caller that it may send it elsewhere.
    pub(crate) fn reject_draining(self) {
        if let Some(reply) = self.reply {
            reply.refuse(Refusal::Draining);
        }
    }
}

/// What a request ends in.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The encoded reply.
    Reply(Encoding, ReplyBytes),
    /// No reply, and why.
    Refused(Refusal),
}

enum ReplyRoute {
    Wire { answers: Arc<Responder>, id: u64 },
    Local { waiting: oneshot::Sender<Outcome>, max_bytes: usize },
}

/// The way back for one reply. Dropped without an answer it says that the handler panicked.
pub struct ReplyTo {
    way: Option<ReplyRoute>,
    preferred: Encoding,
}

impl ReplyTo {
    /// To the request `id` of a connection, which must be owed there.
    pub(crate) fn wire(answers: Arc<Responder>, id: u64, preferred: Encoding) -> Self {
        Self { way: Some(ReplyRoute::Wire { answers, id }), preferred }
    }

    /// To a caller in this process.
    pub(crate) fn local(waiting: oneshot::Sender<Outcome>, max_bytes: usize) -> Self {
        Self { way: Some(ReplyRoute::Local { waiting, max_bytes }), preferred: Encoding::MessagePack }
    }

    /// Returns whether somebody still waits for the reply and can be reached.
    pub fn is_wanted(&self) -> bool {
        match &self.way {
            Some(ReplyRoute::Wire { answers, id }) => answers.is_wanted(*id),
            Some(ReplyRoute::Local { .. }) | None => self.is_open(),
        }
    }

    /// Returns whether nobody has answered, and the caller has not cancelled.
    fn is_open(&self) -> bool {
        match &self.way {
            Some(ReplyRoute::Wire { answers, id }) => answers.owed.contains(*id),
            Some(ReplyRoute::Local { waiting, .. }) => !waiting.is_closed(),
            None => false,
        }
    }

    /// Sends the reply, with whatever else leaves next on the connection.
    pub(crate) fn send<R: WireType>(self, reply: &R) {
        self.send_at(Flush::Gathered, reply);
    }

    /// Sends the reply from this thread. For who has taken one message and does nothing else meanwhile: waking the
    /// connection's thread would take longer.
    pub fn send_at_once<R: WireType>(self, reply: &R) {
        self.send_at(Flush::AtOnce, reply);
    }

    fn send_at<R: WireType>(mut self, pace: Flush, reply: &R) {
        if let Some(ReplyRoute::Wire { answers, id }) = &self.way {
            // Before the way is taken: should the reply's `Serialize` panic, the caller hears of it.
            answers.answer(*id, self.preferred, pace, reply);
        }
        if let Some(ReplyRoute::Local { waiting, max_bytes }) = self.way.take() {
            let mut bytes = Vec::new();
            let outcome = match codec::encode_preferring(reply, self.preferred, max_bytes, &mut bytes) {
                Ok(encoding) => Outcome::Reply(encoding, bytes.into()),
                Err(error) => Outcome::Refused(responder::refusal(error)),
            };
            // A caller that dropped its request does not miss the reply.
            let _ = waiting.send(outcome);
        }
    }

    /// Sends the reason why there is no reply.
    pub fn refuse(mut self, why: Refusal) {
        self.end(why);
    }

    fn end(&mut self, why: Refusal) {
        match self.way.take() {
            Some(ReplyRoute::Wire { answers, id }) if answers.owed.remove(id) => answers.refuse(id, &why),
            Some(ReplyRoute::Local { waiting, .. }) => {
                let _ = waiting.send(Outcome::Refused(why));
            }
            Some(ReplyRoute::Wire { .. }) | None => {}
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        self.end(Refusal::Panicked);
    }
}
