//! Errors of calls, and of messages that were not sent.

use std::time::Duration;

use meshzero_actors::client::error::CallErrorKind;
use meshzero_actors::diagnosis::result::Diagnosis;
use meshzero_proto::rounded::RoundedDuration;
use meshzero_proto::wire::refusal::Refusal;

/// The error of a call that has no reply.
///
/// Every call ends by its deadline, with its reply or with one of these errors, each of which states whether it is safe to repeat the
/// call.
///
/// ```no_run
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "f32")]
/// # struct Move(f32);
/// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
/// let position = match arm.send(Move(0.5)).await {
///     Err(error) if error.is_safe_to_repeat() => arm.send(Move(0.5)).await?,
///     ended => ended?,
/// };
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
pub enum CallError {
    /// The message was certainly not handled: it is safe to repeat.
    #[error("{service}: not sent: {reason}{}", times(*attempts))]
    NotSent {
        /// The service that was called.
        service: String,
        /// The reason.
        reason: String,
        /// The number of attempts; 0 if no instance was connected, or the message cannot be encoded.
        attempts: u32,
        /// The causes that fit, if no instance was connected.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// The message may have been handled, or may still be: repeat it only if it is harmless to handle it twice.
    #[error("{service}: {reason}{}", times(*attempts))]
    Unknown {
        /// The service that was called.
        service: String,
        /// The reason.
        reason: UnknownReason,
        /// The number of attempts.
        attempts: u32,
    },
    /// The service answered that it has no reply.
    #[error("{service}: {reason}{}", times(*attempts))]
    Refused {
        /// The service that was called.
        service: String,
        /// The reason that the service gave.
        reason: Refusal,
        /// The number of attempts.
        attempts: u32,
    },
    /// The service handled the message, but its reply does not decode as the type that the caller expects.
    #[error("{service}: the reply does not decode: {problem}")]
    BadReply {
        /// The service that replied.
        service: String,
        /// The field and what is wrong with it.
        problem: String,
    },
}

/// The reason why it is unknown whether a message was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownReason {
    /// No reply came before the deadline.
    #[error("no reply within {}; it may have been handled", RoundedDuration(*after))]
    TimedOut {
        /// The timeout.
        after: Duration,
    },
    /// The connection was lost, or the process died, before the reply came.
    #[error("the connection was lost before the reply; it may have been handled")]
    Lost,
}

impl CallError {
    /// Returns true if the message was certainly not handled, so that it is safe to send it again.
    ///
    /// ```
    /// use meshzero::{CallError, UnknownReason};
    ///
    /// let error = CallError::Unknown { service: "robot/arm".into(), reason: UnknownReason::Lost, attempts: 1 };
    /// assert!(!error.is_safe_to_repeat(), "{error}");
    /// ```
    pub fn is_safe_to_repeat(&self) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::Refused { reason, .. } => reason.is_unhandled(),
            Self::Unknown { .. } | Self::BadReply { .. } => false,
        }
    }

    /// The number of attempts; 0 if no instance was connected, or the number is unknown.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::NotSent { attempts, .. }
            | Self::Unknown { attempts, .. }
            | Self::Refused { attempts, .. } => *attempts,
            Self::BadReply { .. } => 0,
        }
    }

    /// The error of a call to `service` that ended in `fault` after `attempts` attempts, with the timeout `allowed`.
    pub(crate) fn new(service: &str, fault: CallErrorKind, attempts: u32, allowed: Duration) -> Self {
        let service = service.to_owned();
        match fault {
            CallErrorKind::NotSent(reason) => Self::NotSent { service, reason, attempts, diagnosis: None },
            CallErrorKind::Nobody(diagnosis) => {
                Self::NotSent { service, reason: diagnosis.to_string(), attempts, diagnosis: Some(diagnosis) }
            }
            CallErrorKind::TimedOut => {
                Self::Unknown { service, reason: UnknownReason::TimedOut { after: allowed }, attempts }
            }
            CallErrorKind::Lost => Self::Unknown { service, reason: UnknownReason::Lost, attempts },
            // The caller's own deadline has passed, or is about to: it does not matter which end has noticed first.
            CallErrorKind::Refused(reason @ Refusal::Expired) => {
                Self::NotSent { service, reason: reason.to_string(), attempts, diagnosis: None }
            }
            // A proxy knows no more of the program behind it than this.
            CallErrorKind::Refused(Refusal::Lost) => {
                Self::Unknown { service, reason: UnknownReason::Lost, attempts }
            }
            CallErrorKind::Refused(reason) => Self::Refused { service, reason, attempts },
            // It was sent to no instance.
            CallErrorKind::Encode(error) => {
                Self::NotSent { service, reason: error.to_string(), attempts: 0, diagnosis: None }
            }
            CallErrorKind::Decode(error) => Self::BadReply { service, problem: error.to_string() },
        }
    }
}

/// The number of attempts as the end of a sentence, if there was more than one.
fn times(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        attempts => format!(" (after {attempts} attempts)"),
    }
}

/// The error of a message that was not sent. The message is returned if it can be sent again.
///
/// ```no_run
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "()")]
/// # struct Move(f32);
/// use meshzero::TrySendError::{Full, NotConnected};
///
/// # fn run(arm: meshzero::ServiceRef, waiting: &mut Vec<Move>) -> Result<(), Box<dyn std::error::Error>> {
/// match arm.try_send(Move(0.5)) {
///     Err(Full(message) | NotConnected(message)) => waiting.push(message),
///     other => other?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
pub enum TrySendError<M> {
    /// The service's queue is full. Wait, or send less often.
    #[error("the service's queue is full")]
    Full(M),
    /// No instance of the service is connected at the moment.
    #[error("no instance of the service is connected")]
    NotConnected(M),
    /// The service does not handle such a message or has been closed, or the message cannot be encoded.
    #[error(transparent)]
    Impossible(CallError),
}

debug_is_display! { CallError, TrySendError<M> }
