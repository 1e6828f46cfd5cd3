//! What is known of a message before it is decoded, and what decoding it may cost.

use std::sync::Arc;

use meshzero_proto::codec::{DecodeError, DecodeLimits};
use meshzero_proto::name::TypeName;
use meshzero_proto::wire::refusal::Refusal;

use crate::runtime::events;
use crate::server::request::in_progress::HandlerInProgress;
use crate::server::request::reply::ReplySlot;
use crate::telemetry::counters::RequestCounters;

/// How the messages of a service are decoded.
#[derive(Debug, Clone)]
pub(crate) struct DecodeContext {
    /// What it may cost.
    pub(crate) limits: DecodeLimits,
    /// Counts those that do not decode.
    pub(crate) counters: Arc<RequestCounters>,
}

/// What is known of a message before it is decoded.
pub(crate) struct HandlerContext<'a> {
    pub(crate) name: &'a TypeName,
    pub(crate) decoding: &'a DecodeContext,
    /// Cloned for each message that its handler ends later.
    pub(crate) begun: &'a HandlerInProgress,
}

impl HandlerContext<'_> {
    /// Tells the caller that the message does not decode, or counts it where nobody waits.
    #[cold]
    pub(crate) fn undecodable(&self, error: &DecodeError, due: Option<ReplySlot<'_>>) {
        let problem = error.to_string();
        match due {
            Some(due) => due.refuse(&Refusal::Undecodable { message: self.name.to_string(), problem }),
            None => {
                self.decoding.counters.undecodable.count();
                events::record(|| {
                    tracing::warn!(message = %self.name, %problem, "dropped a message that does not decode");
                });
            }
        }
    }
}
