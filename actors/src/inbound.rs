//! One message on its way into a service, and the way back for its reply.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::codec::{self, EncodeError, Encoding};
use meshzero_proto::frame::{self, Header, Kind};
use meshzero_proto::refusal::Refusal;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::outbox::{Outbox, PushError};

/// A message that waits for its handler, still encoded.
pub struct Inbound {
    /// The encoded message.
    pub payload: Bytes,
    /// Its encoding.
    pub encoding: Encoding,
    /// The way back; `None` for a tell.
    pub reply: Option<ReplyTo>,
    /// When it is no use handling it any more.
    pub deadline: Option<Instant>,
    /// One place among the service's unfinished messages, given back when it is finished.
    pub permit: OwnedSemaphorePermit,
}

impl Inbound {
    /// Whether the handler should still run. If not, the caller has been told why.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            if let Some(reply) = self.reply.take() {
                reply.refuse(Refusal::Expired);
            }
            return false;
        }
        self.reply.as_ref().is_none_or(ReplyTo::is_wanted)
    }
}

/// What a request ends in.
#[derive(Debug)]
pub enum Outcome {
    /// The encoded reply.
    Reply(Encoding, Bytes),
    /// No reply, and why.
    Refused(Refusal),
}

/// The answering side of one connection: what is owed, and the way out.
pub struct Answers {
    /// Requests that were taken and have neither been answered nor cancelled.
    owed: Mutex<HashSet<u64>>,
    limit: usize,
    max_bytes: usize,
    outbox: std::sync::Arc<Outbox>,
}

impl Answers {
    /// Answers of at most `max_bytes` each go out through `outbox`; at most `limit` may be owed at a time.
    pub fn new(outbox: std::sync::Arc<Outbox>, limit: usize, max_bytes: usize) -> Self {
        Self { owed: Mutex::default(), limit, max_bytes, outbox }
    }

    /// Notes that the request `id` was taken; false if that many are owed already, or this one is.
    pub fn owe(&self, id: u64) -> bool {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.len() < self.limit && owed.insert(id)
    }

    /// Notes that nobody waits for the answer to `id` any more; false if it was not owed.
    pub fn forget(&self, id: u64) -> bool {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Refuses a request that was never taken.
    pub fn refuse(&self, id: u64, refusal: &Refusal) {
        self.push(|out| {
            frame::write(out, Header::new(Kind::Refusal, id), &refusal.to_bytes());
            Ok(())
        });
    }

    fn is_owed(&self, id: u64) -> bool {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    fn push(&self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Option<EncodeError> {
        match self.outbox.push(write) {
            Err(PushError::Frame(error)) => Some(error),
            // On a closed connection nobody waits for the answer.
            Ok(_) | Err(PushError::Closed | PushError::Full) => None,
        }
    }
}

enum Way {
    Wire { answers: std::sync::Arc<Answers>, id: u64 },
    Local { waiting: oneshot::Sender<Outcome>, max_bytes: usize },
}

/// The way back for one reply. Dropped without an answer it says that the handler panicked.
pub struct ReplyTo {
    way: Option<Way>,
    preferred: Encoding,
}

impl ReplyTo {
    /// To the request `id` of a connection, which must be owed there.
    pub fn wire(answers: std::sync::Arc<Answers>, id: u64, preferred: Encoding) -> Self {
        Self { way: Some(Way::Wire { answers, id }), preferred }
    }

    /// To a caller in this process.
    pub fn local(waiting: oneshot::Sender<Outcome>, max_bytes: usize) -> Self {
        Self { way: Some(Way::Local { waiting, max_bytes }), preferred: Encoding::MessagePack }
    }

    /// Whether somebody still waits for the reply.
    pub fn is_wanted(&self) -> bool {
        match &self.way {
            Some(Way::Wire { answers, id }) => answers.is_owed(*id),
            Some(Way::Local { waiting, .. }) => !waiting.is_closed(),
            None => false,
        }
    }

    /// Sends the reply.
    pub fn send<R: Serialize>(mut self, reply: &R) {
        let preferred = self.preferred;
        match self.way.take() {
            Some(Way::Wire { answers, id }) if answers.forget(id) => {
                let failed = answers.push(|out| {
                    frame::write_with(out, Header::new(Kind::Reply, id), |out| {
                        let encoding = codec::encode_preferring(reply, preferred, answers.max_bytes, out)?;
                        Ok(flags(encoding))
                    })
                });
                if let Some(error) = failed {
                    answers.refuse(id, &refusal(error));
                }
            }
            Some(Way::Local { waiting, max_bytes }) => {
                let mut bytes = Vec::new();
                let outcome = match codec::encode_preferring(reply, preferred, max_bytes, &mut bytes) {
                    Ok(encoding) => Outcome::Reply(encoding, bytes.into()),
                    Err(error) => Outcome::Refused(refusal(error)),
                };
                // A caller that dropped its request does not miss the reply.
                let _ = waiting.send(outcome);
            }
            Some(Way::Wire { .. }) | None => {}
        }
    }

    /// Sends the reason why there is no reply.
    pub fn refuse(mut self, why: Refusal) {
        self.end(why);
    }

    fn end(&mut self, why: Refusal) {
        match self.way.take() {
            Some(Way::Wire { answers, id }) if answers.forget(id) => answers.refuse(id, &why),
            Some(Way::Local { waiting, .. }) => {
                let _ = waiting.send(Outcome::Refused(why));
            }
            Some(Way::Wire { .. }) | None => {}
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        self.end(Refusal::Panicked);
    }
}

/// The flags of a frame whose payload has this encoding.
pub fn flags(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Bincode => frame::BINCODE,
        Encoding::MessagePack => 0,
    }
}

/// The encoding that a frame's flags tell.
pub fn encoding(flags: u8, bit: u8) -> Encoding {
    if flags & bit == 0 { Encoding::MessagePack } else { Encoding::Bincode }
}

fn refusal(error: EncodeError) -> Refusal {
    match error {
        EncodeError::TooLarge { max } => Refusal::ReplyTooLarge { limit: max as u64 },
        EncodeError::Refused { problem } => Refusal::BadReply { problem },
    }
}
