//! What is known of a message before it is decoded, and what decoding it may cost.

use std::sync::Arc;

use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::name::TypeName;

use crate::counts::RequestCounters;
use crate::unfinished::Begun;

/// How the messages of a service are decoded.
#[derive(Debug, Clone)]
pub(crate) struct Decoding {
    /// What it may cost.
    pub(crate) limits: DecodeLimits,
    /// Counts those that do not decode.
    pub(crate) counters: Arc<RequestCounters>,
}

/// What is known of a message before it is decoded.
pub(crate) struct Known<'a> {
    pub(crate) name: &'a TypeName,
    pub(crate) decoding: &'a Decoding,
    /// Cloned for each message that its handler ends later.
    pub(crate) begun: &'a Begun,
}
