//! A call as its service receives it: the message, and the channel for its reply.

use std::fmt;
use std::time::Instant;

use actix::Message;
use meshzero_proto::trace::TraceContext;
use meshzero_proto::wire::refusal::Refusal;

use crate::message::NetMessage;
use crate::server::request::in_progress::HandlerInProgress;
use crate::server::request::inbound::InboundMessage;

/// A message with the channel for its reply, for an actor that replies later and from any thread, that has to report
/// why it cannot, or that needs to know whether the reply is still wanted.
///
/// A call that is dropped without a reply is refused with [`Refusal::Unanswered`]. Until then it is one of the
/// service's unfinished messages. A message that was sent without waiting for a reply arrives as a call as well; its
/// reply is discarded.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Call<M: NetMessage> {
    message: M,
    inbound: InboundMessage,
    _in_progress: HandlerInProgress,
}

impl<M: NetMessage> Call<M> {
    pub(crate) fn new(message: M, inbound: InboundMessage, in_progress: HandlerInProgress) -> Self {
        Self { message, inbound, _in_progress: in_progress }
    }

    /// The message.
    pub fn message(&self) -> &M {
        &self.message
    }

    /// The deadline of the caller, if it has sent one.
    pub fn deadline(&self) -> Option<Instant> {
        self.inbound.deadline
    }

    /// The trace that the message belongs to. The handler runs as part of it, but work that continues after the handler
    /// does not: run it with [`in_scope`](crate::telemetry::trace::in_scope), or wrap it in
    /// [`instrument`](crate::telemetry::trace::instrument). `None` if the message belongs to no trace, or has passed the mailbox
    /// of an actor that was advertised by its `Addr`.
    pub fn trace(&self) -> Option<TraceContext> {
        self.inbound.trace.as_deref().copied()
    }

    /// Returns whether the caller wanted a reply and does not any more: it has given up, or cannot be reached. Always
    /// false for a message that was sent without waiting for a reply.
    pub fn is_abandoned(&self) -> bool {
        self.inbound.reply.as_ref().is_some_and(|reply| !reply.is_wanted())
    }

    /// Replies. It is no error if the caller has given up.
    pub fn reply(mut self, reply: &M::Result) {
        if let Some(reply_to) = self.inbound.reply.take() {
            reply_to.send(reply);
        }
    }

    /// Refuses the message with [`Refusal::Failed`] and a description of the problem. The message may have been handled
    /// in part.
    pub fn fail(mut self, problem: impl fmt::Display) {
        self.end(Refusal::Failed { problem: problem.to_string() });
    }

    /// Refuses the message with [`Refusal::Expired`]: it was not handled in time, and may be sent again.
    pub fn expire(mut self) {
        self.end(Refusal::Expired);
    }

    fn end(&mut self, reason: Refusal) {
        if let Some(reply_to) = self.inbound.reply.take() {
            reply_to.refuse(reason);
        }
    }
}

impl<M: NetMessage> Drop for Call<M> {
    fn drop(&mut self) {
        self.end(Refusal::Unanswered);
    }
}
