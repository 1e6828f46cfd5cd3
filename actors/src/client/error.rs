//! The reasons why a call has no reply, and their meaning for another attempt.

use meshzero_proto::call::retry::FailureClass;
use meshzero_proto::codec::{DecodeError, EncodeError};
use meshzero_proto::wire::refusal::Refusal;

use crate::diagnosis::result::Diagnosis;

/// The reason why a call has no reply.
#[derive(Debug)]
pub enum CallErrorKind {
    /// The message was not sent, or was certainly not handled.
    NotSent(String),
    /// There was no instance to send the message to.
    Nobody(Box<Diagnosis>),
    /// The deadline passed. The message may have been handled, or may still be.
    TimedOut,
    /// The connection or the process ended meanwhile. The message may have been handled.
    Lost,
    /// The service refused the message.
    Refused(Refusal),
    /// The message cannot be encoded.
    Encode(EncodeError),
    /// The reply does not decode.
    Decode(DecodeError),
}

/// The failure of a call without a reply.
#[derive(Debug)]
pub(crate) struct CallFailure {
    /// The reason.
    pub error: CallErrorKind,
    /// The number of attempts, at one instance or several.
    pub attempts: u32,
}

impl CallErrorKind {
    /// Returns the class of the failure, which decides whether the call is tried again.
    pub(crate) fn retry_class(&self) -> FailureClass {
        match self {
            Self::NotSent(_) | Self::Nobody(_) => FailureClass::NotSent,
            Self::Lost => FailureClass::Unknown,
            Self::Refused(refusal) => FailureClass::from(refusal),
            // There is no time for another attempt, or it would fail likewise.
            Self::TimedOut | Self::Encode(_) | Self::Decode(_) => FailureClass::Final,
        }
    }

    /// Returns whether the message was certainly not handled.
    pub(crate) fn is_unhandled(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Nobody(_) | Self::Encode(_) => true,
            Self::Refused(refusal) => refusal.is_unhandled(),
            Self::TimedOut | Self::Lost | Self::Decode(_) => false,
        }
    }

    /// Returns whether the instance failed, rather than answered.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::TimedOut) || self.retry_class() != FailureClass::Final
    }
}
