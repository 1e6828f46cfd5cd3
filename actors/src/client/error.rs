//! Why a call has no reply, and what that means for another try.

use meshzero_proto::call::retry::FailureClass;
use meshzero_proto::codec::{DecodeError, EncodeError};
use meshzero_proto::wire::refusal::Refusal;

use crate::diagnosis::result::Diagnosis;

/// Why a call has no reply.
#[derive(Debug)]
pub enum CallErrorKind {
    /// The message did not leave, or was not handled for certain.
    NotSent(String),
    /// There was nobody to send the message to.
    Nobody(Box<Diagnosis>),
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
pub(crate) struct CallFailure {
    /// Why there is none.
    pub fault: CallErrorKind,
    /// How many instances, or how often one, had the message or should have had it.
    pub tries: u32,
}

impl CallErrorKind {
    /// What it means for another try.
    pub(crate) fn retry_class(&self) -> FailureClass {
        match self {
            Self::NotSent(_) | Self::Nobody(_) => FailureClass::NotSent,
            Self::Lost => FailureClass::Unknown,
            Self::Refused(refusal) => FailureClass::from(refusal),
            // There is no time for another, or it would end in the same.
            Self::TimedOut | Self::Encode(_) | Self::Decode(_) => FailureClass::Final,
        }
    }

    /// Whether the message was not handled, for certain.
    pub(crate) fn is_unhandled(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Nobody(_) | Self::Encode(_) => true,
            Self::Refused(refusal) => refusal.is_unhandled(),
            Self::TimedOut | Self::Lost | Self::Decode(_) => false,
        }
    }

    /// Whether the instance failed, rather than answered.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::TimedOut) || self.retry_class() != FailureClass::Final
    }
}
