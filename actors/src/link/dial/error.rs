//! Errors of dialling.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_proto::diagnosis::{Attempt, AttemptOutcome};
use meshzero_proto::rounded::RoundedDuration;
use meshzero_proto::wire::hello::{HelloError, Rejection};

use crate::net::zone::ZonedAddress;

/// Errors of dialling: an endpoint could not be reached, or rejected the connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// There was no address to try.
    #[error("it has no address")]
    NoAddress,
    /// No address accepted a connection. This is the error of the last one.
    #[error("no connection to {}: {error}", ZonedAddress(*.address))]
    Unreachable {
        /// The address that failed last.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
        /// Every address that was tried.
        attempts: Vec<Attempt>,
    },
    /// Nothing answered in time.
    #[error("no answer within {}", RoundedDuration(*after))]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// Every address that was tried.
        attempts: Vec<Attempt>,
    },
    /// The other end does not speak this protocol.
    #[error("{}: {error}", ZonedAddress(*.address))]
    NotMeshzero {
        /// The address that answered.
        address: SocketAddr,
        /// The fault in the answer.
        error: HelloError,
        /// Every address that was tried.
        attempts: Vec<Attempt>,
    },
    /// The other end speaks the protocol and rejected the connection.
    #[error("{}: {rejection}", ZonedAddress(*.address))]
    Rejected {
        /// The address that answered.
        address: SocketAddr,
        /// The answer.
        rejection: Rejection,
        /// Every address that was tried.
        attempts: Vec<Attempt>,
    },
}

impl DialError {
    /// Returns every address that was tried, in order, and how each attempt ended. Addresses that were not
    /// reached before the end are not among them.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        match self {
            Self::NoAddress => &[],
            Self::Unreachable { attempts, .. }
            | Self::TimedOut { attempts, .. }
            | Self::NotMeshzero { attempts, .. }
            | Self::Rejected { attempts, .. } => attempts,
        }
    }

    /// Sets the attempts that were made.
    pub(crate) fn with_attempts(mut self, made: Vec<Attempt>) -> Self {
        match &mut self {
            Self::NoAddress => {}
            Self::Unreachable { attempts, .. }
            | Self::TimedOut { attempts, .. }
            | Self::NotMeshzero { attempts, .. }
            | Self::Rejected { attempts, .. } => *attempts = made,
        }
        self
    }

    /// Returns whether a retry may succeed soon: at another address, or because the endpoint's program, or its replacement,
    /// is there by then.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAddress | Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Rejected { rejection, .. } => !matches!(rejection, Rejection::OtherMesh { .. }),
            Self::NotMeshzero { .. } => false,
        }
    }

    /// Returns whether the other end may speak another protocol: a ZeroMQ socket answers with its own, or closes the
    /// connection.
    pub(crate) fn may_be_other_protocol(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

        match self {
            Self::NotMeshzero { error, .. } => matches!(error, HelloError::NotMeshzero { .. }),
            Self::Unreachable { error, .. } => {
                matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
            }
            Self::NoAddress | Self::TimedOut { .. } | Self::Rejected { .. } => false,
        }
    }
}

impl From<&DialError> for AttemptOutcome {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Unreachable { error, .. } => error.into(),
            DialError::NotMeshzero { .. } => Self::OtherProtocol,
            DialError::Rejected { .. } => Self::Rejected,
            DialError::NoAddress | DialError::TimedOut { .. } => Self::Silent,
        }
    }
}
