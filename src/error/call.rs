//! How a call ended without a reply, and why a message did not set out.

use std::time::Duration;

use meshzero_actors::diagnosis::Diagnosis;
use meshzero_actors::fault::Fault;
use meshzero_proto::refusal::Refusal;
use meshzero_proto::rounded::Rounded;

/// How a call ended without a reply.
///
/// Every call ends, by its deadline, in its reply or in one of these, and each says whether the call may be repeated.
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
    /// The message was not handled, for certain: it is safe to repeat.
    #[error("{service}: not sent: {why}{}", times(*tries))]
    NotSent {
        /// Whom it was for.
        service: String,
        /// Why not.
        why: String,
        /// How often it was tried; 0 if there was nobody to try, or nothing that can be sent.
        tries: u32,
        /// The causes that fit, where there was nobody to send it to.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// The message may have been handled, or may still be: repeat it only if handling it twice does no harm.
    #[error("{service}: {why}{}", times(*tries))]
    Unknown {
        /// Whom it was for.
        service: String,
        /// What happened.
        why: Uncertain,
        /// How often it was tried.
        tries: u32,
    },
    /// The service is there and answered that it has no reply.
    #[error("{service}: {why}{}", times(*tries))]
    Refused {
        /// Whom it was for.
        service: String,
        /// Why not.
        why: Refusal,
        /// How often it was tried.
        tries: u32,
    },
    /// The service handled the message, but its reply does not decode as the type that the caller expects.
    #[error("{service}: the reply does not decode: {problem}")]
    BadReply {
        /// Who replied.
        service: String,
        /// The field and what is wrong with it.
        problem: String,
    },
}

/// Why it is not known whether a message was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncertain {
    /// No reply came before the deadline.
    #[error("no reply within {}; it may have been handled", Rounded(*after))]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
    },
    /// The connection was lost, or the process died, before the reply came.
    #[error("the connection was lost before the reply; it may have been handled")]
    Lost,
}

impl CallError {
    /// Whether the message was not handled, so that sending it again does no harm.
    ///
    /// ```
    /// use meshzero::{CallError, Uncertain};
    ///
    /// let error = CallError::Unknown { service: "robot/arm".into(), why: Uncertain::Lost, tries: 1 };
    /// assert!(!error.is_safe_to_repeat(), "{error}");
    /// ```
    pub fn is_safe_to_repeat(&self) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::Refused { why, .. } => why.is_unhandled(),
            Self::Unknown { .. } | Self::BadReply { .. } => false,
        }
    }

    /// How often the call was tried; 0 if there was nobody to try, or it is not known.
    pub fn tries(&self) -> u32 {
        match self {
            Self::NotSent { tries, .. } | Self::Unknown { tries, .. } | Self::Refused { tries, .. } => *tries,
            Self::BadReply { .. } => 0,
        }
    }

    /// What a call ended in that was tried so often, and that might have taken so long.
    pub(crate) fn new(service: &str, fault: Fault, tries: u32, allowed: Duration) -> Self {
        let service = service.to_owned();
        match fault {
            Fault::NotSent(why) => Self::NotSent { service, why, tries, diagnosis: None },
            Fault::Nobody(diagnosis) => {
                Self::NotSent { service, why: diagnosis.to_string(), tries, diagnosis: Some(diagnosis) }
            }
            Fault::TimedOut => Self::Unknown { service, why: Uncertain::TimedOut { after: allowed }, tries },
            Fault::Lost => Self::Unknown { service, why: Uncertain::Lost, tries },
            // The caller's own deadline has passed, or is about to: it need not know who has noticed first.
            Fault::Refused(why @ Refusal::Expired) => {
                Self::NotSent { service, why: why.to_string(), tries, diagnosis: None }
            }
            // Whoever answers for another program knows no more of it than this.
            Fault::Refused(Refusal::Lost) => Self::Unknown { service, why: Uncertain::Lost, tries },
            Fault::Refused(why) => Self::Refused { service, why, tries },
            // Nobody was tried with it.
            Fault::Encode(error) => {
                Self::NotSent { service, why: error.to_string(), tries: 0, diagnosis: None }
            }
            Fault::Decode(error) => Self::BadReply { service, problem: error.to_string() },
        }
    }
}

/// How often something was tried, where that was more than once.
fn times(tries: u32) -> String {
    match tries {
        0 | 1 => String::new(),
        tries => format!(" (after {tries} tries)"),
    }
}

/// Why a message did not set out. What can be sent again comes back.
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
    /// As many messages as may be are under way. Wait, or send less often.
    #[error("as many messages as may be are under way")]
    Full(M),
    /// No instance of the service is connected at the moment.
    #[error("no instance of the service is connected")]
    NotConnected(M),
    /// The service does not handle such a message, or it cannot be encoded.
    #[error(transparent)]
    Impossible(CallError),
}

debug_is_display! { CallError, TrySendError<M> }
