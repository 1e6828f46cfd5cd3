//! Who calls, and what comes of a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero_proto::calls::Fate;
use meshzero_proto::codec::{DecodeError, DecodeLimits, EncodeError};
use meshzero_proto::refusal::Refusal;
use meshzero_proto::retry::Tried;

use crate::clock;
use crate::inbound::Outcome;
use crate::link::Ended;
use crate::message::NetMessage;
use crate::node::Node;
use crate::route::Route;

/// Why a call has no reply.
#[derive(Debug)]
pub enum Fault {
    /// The message did not leave, or was not handled for certain.
    NotSent(String),
    /// The deadline passed. The message may have been handled, or may still be.
    TimedOut,
    /// The connection or the process ended meanwhile. The message may have been handled.
    Lost,
    /// The service answered that it will not.
    Refused(Refusal),
    /// The message cannot be encoded.
    Encode(EncodeError),
    /// The reply does not decode.
    Decode(DecodeError),
}

/// How a call ended without a reply.
#[derive(Debug)]
pub struct Failed {
    /// Why there is none.
    pub fault: Fault,
    /// How many instances, or how often one, had the message or should have had it.
    pub tries: u32,
}

impl Fault {
    /// What it means for another try.
    pub(crate) fn tried(&self) -> Tried {
        match self {
            Self::NotSent(_) => Tried::NotSent,
            Self::Lost => Tried::Unknown,
            Self::Refused(refusal) => Tried::from(refusal),
            // There is no time for another, or it would end in the same.
            Self::TimedOut | Self::Encode(_) | Self::Decode(_) => Tried::Final,
        }
    }

    /// Whether the message was not handled, for certain.
    pub(crate) fn is_unhandled(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Encode(_) => true,
            Self::Refused(refusal) => refusal.is_unhandled(),
            Self::TimedOut | Self::Lost | Self::Decode(_) => false,
        }
    }

    /// Whether the instance failed, rather than answered.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::TimedOut) || self.tried() != Tried::Final
    }
}

/// Who calls: a node, by a route.
pub struct Caller {
    /// The node.
    pub node: Arc<Node>,
    /// Whom it calls.
    pub route: Arc<Route>,
}

/// The deadline of a call that may take `timeout` from now; none where it would lie beyond what a clock can tell.
pub fn deadline_in(timeout: Duration) -> Option<Instant> {
    clock::now().checked_add(timeout)
}

/// The reply that a call ended in, or why there is none.
pub(crate) fn conclude<M: NetMessage>(ended: Ended, limits: &DecodeLimits) -> Result<M::Result, Fault> {
    match ended {
        Ended::Answered(outcome) => decode::<M>(outcome, limits),
        Ended::TimedOut => Err(Fault::TimedOut),
        Ended::Withdrawn => Err(Fault::NotSent("there was no connection until the deadline".into())),
        Ended::Lost(Fate::Unknown) => Err(Fault::Lost),
        Ended::Lost(Fate::NotSent) => Err(Fault::NotSent("the connection ended before it left".into())),
    }
}

/// The reply that came.
pub(crate) fn decode<M: NetMessage>(outcome: Outcome, limits: &DecodeLimits) -> Result<M::Result, Fault> {
    match outcome {
        Outcome::Reply(encoding, bytes) => bytes.decode(encoding, limits).map_err(Fault::Decode),
        Outcome::Refused(refusal) => Err(Fault::Refused(refusal)),
    }
}
