//! One encoded message that is held for later, with the channel for its reply.

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

/// An encoded message that waits for its handler.
pub struct InboundMessage {
    /// The encoded message.
    pub payload: Bytes,
    /// Its encoding.
    pub encoding: Encoding,
    /// The channel for the reply; `None` for a tell.
    pub reply: Option<ReplyTo>,
    /// The deadline, after which handling it is useless.
    pub deadline: Option<Instant>,
    /// One permit of the service, released when the message is finished.
    pub permit: Permits,
    /// The trace that it is part of.
    pub trace: Option<Box<TraceContext>>,
}

impl InboundMessage {
    /// Returns whether the handler should still run. Refuses the request if its deadline has passed.
    pub fn should_run(&mut self, now: Instant) -> bool {
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
    /// Refuses the message because the service drains: the caller may send it to another instance.
    pub(crate) fn reject_draining(self) {
        if let Some(reply) = self.reply {
            reply.refuse(Refusal::Draining);
        }
    }
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The encoded reply.
    Reply(Encoding, ReplyBytes),
    /// No reply, and the reason.
    Refused(Refusal),
}

enum ReplyRoute {
    Wire { responder: Arc<Responder>, id: u64 },
    Local { sender: oneshot::Sender<Outcome>, max_bytes: usize },
}

/// The channel for one reply. Dropped without a reply, it refuses the request as one whose handler panicked.
pub struct ReplyTo {
    route: Option<ReplyRoute>,
    preferred: Encoding,
}

impl ReplyTo {
    /// A channel for the request `id` of a connection, which must be pending there.
    pub(crate) fn wire(responder: Arc<Responder>, id: u64, preferred: Encoding) -> Self {
        Self { route: Some(ReplyRoute::Wire { responder, id }), preferred }
    }

    /// A channel for a caller in this process.
    pub(crate) fn local(sender: oneshot::Sender<Outcome>, max_bytes: usize) -> Self {
        Self { route: Some(ReplyRoute::Local { sender, max_bytes }), preferred: Encoding::MessagePack }
    }

    /// Returns whether the reply is still wanted, and the caller can be reached.
    pub fn is_wanted(&self) -> bool {
        match &self.route {
            Some(ReplyRoute::Wire { responder, id }) => responder.is_wanted(*id),
            Some(ReplyRoute::Local { .. }) | None => self.is_open(),
        }
    }

    /// Returns whether no reply has been sent, and the caller has not cancelled.
    fn is_open(&self) -> bool {
        match &self.route {
            Some(ReplyRoute::Wire { responder, id }) => responder.pending.contains(*id),
            Some(ReplyRoute::Local { sender, .. }) => !sender.is_closed(),
            None => false,
        }
    }

    /// Sends the reply, together with other frames that are sent next on the connection.
    pub(crate) fn send<R: WireType>(self, reply: &R) {
        self.send_with(Flush::Batched, reply);
    }

    /// Sends the reply from this thread. For actors that handle one message at a time: waking the connection's thread
    /// would take longer.
    pub fn send_at_once<R: WireType>(self, reply: &R) {
        self.send_with(Flush::Now, reply);
    }

    fn send_with<R: WireType>(mut self, flush: Flush, reply: &R) {
        if let Some(ReplyRoute::Wire { responder, id }) = &self.route {
            // Before the route is taken: should the reply's `Serialize` panic, the request is still refused.
            responder.reply(*id, self.preferred, flush, reply);
        }
        if let Some(ReplyRoute::Local { sender, max_bytes }) = self.route.take() {
            let mut bytes = Vec::new();
            let outcome = match codec::encode_preferring(reply, self.preferred, max_bytes, &mut bytes) {
                Ok(encoding) => Outcome::Reply(encoding, bytes.into()),
                Err(error) => Outcome::Refused(responder::refusal(error)),
            };
            // A caller that dropped its request does not miss the reply.
            let _ = sender.send(outcome);
        }
    }

    /// Refuses the request, with the reason.
    pub fn refuse(mut self, reason: Refusal) {
        self.end(reason);
    }

    fn end(&mut self, reason: Refusal) {
        match self.route.take() {
            Some(ReplyRoute::Wire { responder, id }) if responder.pending.remove(id) => {
                responder.refuse(id, &reason)
            }
            Some(ReplyRoute::Local { sender, .. }) => {
                let _ = sender.send(Outcome::Refused(reason));
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
