//! The context in which messages are decoded: the limits and counters, and the handler of the message type.

use std::sync::Arc;

use meshzero_proto::codec::{DecodeError, DecodeLimits};
use meshzero_proto::name::TypeName;
use meshzero_proto::wire::refusal::Refusal;

use crate::runtime::events;
use crate::server::request::in_progress::HandlerInProgress;
use crate::server::request::reply::ReplySlot;
use crate::telemetry::counters::RequestCounters;

/// The limits and counters with which the messages of a service are decoded.
#[derive(Debug, Clone)]
pub(crate) struct DecodeContext {
    /// The limits of decoding.
    pub(crate) limits: DecodeLimits,
    /// The counters of messages that do not decode.
    pub(crate) counters: Arc<RequestCounters>,
}

/// The context of a handler, which exists before the message is decoded.
pub(crate) struct HandlerContext<'a> {
    pub(crate) name: &'a TypeName,
    pub(crate) decoding: &'a DecodeContext,
    /// The counter of messages in progress, a clone of which each message holds that its handler finishes later.
    pub(crate) in_progress: &'a HandlerInProgress,
}

impl HandlerContext<'_> {
    /// Refuses a message that does not decode, or counts it if no reply is expected.
    #[cold]
    pub(crate) fn undecodable(&self, error: &DecodeError, reply: Option<ReplySlot<'_>>) {
        let problem = error.to_string();
        match reply {
            Some(reply) => reply.refuse(&Refusal::Undecodable { message: self.name.to_string(), problem }),
            None => {
                self.decoding.counters.undecodable.count();
                events::record(|| {
                    tracing::warn!(message = %self.name, %problem, "dropped a message that does not decode");
                });
            }
        }
    }
}
