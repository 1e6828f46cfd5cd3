//! A call as its service has it: the message, and the way back for its reply.

use std::fmt;
use std::time::Instant;

use actix::Message;
use meshzero_proto::trace::TraceContext;
use meshzero_proto::wire::refusal::Refusal;

use crate::message::NetMessage;
use crate::server::request::in_progress::HandlerInProgress;
use crate::server::request::inbound::InboundMessage;

/// A message together with the way back for its reply, for an actor that replies later and from anywhere, that has to say why it
/// cannot, or that wants to know whether anybody still waits.
///
/// A call that is dropped without a reply is refused with [`Refusal::Unanswered`]. Until then it is one of the service's unfinished
/// messages. A message that was sent without waiting for a reply is one of these as well; then its reply goes nowhere.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Call<M: NetMessage> {
    message: M,
    inbound: InboundMessage,
    _begun: HandlerInProgress,
}

impl<M: NetMessage> Call<M> {
    pub(crate) fn new(message: M, inbound: InboundMessage, begun: HandlerInProgress) -> Self {
        Self { message, inbound, _begun: begun }
    }

    /// The message.
    pub fn message(&self) -> &M {
        &self.message
    }

    /// The moment at which the caller gives up, if it has said so.
    pub fn deadline(&self) -> Option<Instant> {
        self.inbound.deadline
    }

    /// The trace that the message belongs to. The handler works for it, and what goes on after the handler does not by itself: run that
    /// with [`in_scope`](crate::telemetry::trace::in_scope), or wrap it in [`carry`](crate::telemetry::trace::carry). `None` if it belongs to no trace, or has
    /// passed the mailbox of an actor that was advertised by its `Addr`.
    pub fn trace(&self) -> Option<TraceContext> {
        self.inbound.trace.as_deref().copied()
    }

    /// Returns whether the caller wanted a reply and does not any more: it has given up, or cannot be reached. Never so for a message
    /// that was sent without waiting for a reply.
    pub fn is_abandoned(&self) -> bool {
        self.inbound.reply.as_ref().is_some_and(|reply| !reply.is_wanted())
    }

    /// Replies. A caller that has given up is no error.
    pub fn reply(mut self, reply: &M::Result) {
        if let Some(way) = self.inbound.reply.take() {
            way.send(reply);
        }
    }

    /// Tells the caller that there is no reply, and why: [`Refusal::Failed`]. The message may have been handled in part.
    pub fn fail(mut self, problem: impl fmt::Display) {
        self.end(Refusal::Failed { problem: problem.to_string() });
    }

    /// Tells the caller that the message was not handled before its time was over: [`Refusal::Expired`], so that it may be sent again.
    pub fn expire(mut self) {
        self.end(Refusal::Expired);
    }

    fn end(&mut self, why: Refusal) {
        if let Some(way) = self.inbound.reply.take() {
            way.refuse(why);
        }
    }
}

impl<M: NetMessage> Drop for Call<M> {
    fn drop(&mut self) {
        self.end(Refusal::Unanswered);
    }
}
