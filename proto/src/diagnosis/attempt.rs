//! One dialled address, and the outcome.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// One address that was dialled without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub address: SocketAddr,
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The time from its first packet to its end, or to the end of the dial.
    pub took: Duration,
}

/// The outcome of dialling one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// None: no answer had arrived when dialling ended.
    Silent,
    /// A connection was accepted, and no handshake had arrived when dialling ended.
    Accepted,
    /// The system reported an error.
    Failed {
        /// Its kind.
        kind: io::ErrorKind,
        /// The system's error number, which differs from system to system.
        code: Option<i32>,
    },
    /// The other end speaks another protocol.
    OtherProtocol,
    /// The other end speaks the protocol and declined.
    Rejected,
}

impl From<&io::Error> for AttemptOutcome {
    fn from(error: &io::Error) -> Self {
        Self::Failed { kind: error.kind(), code: error.raw_os_error() }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} after {}", self.address, self.outcome, format_duration(self.took))
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer"),
            Self::Accepted => f.write_str("connected, no handshake"),
            Self::Failed { kind, .. } => write!(f, "{kind}"),
            Self::OtherProtocol => f.write_str("another protocol"),
            Self::Rejected => f.write_str("declined"),
        }
    }
}

/// Formats an address with the name of its zone, if it has one.
pub(super) fn format_address(address: SocketAddr, zone: Option<&str>) -> String {
    match (address, zone) {
        (SocketAddr::V6(v6), Some(zone)) if v6.scope_id() != 0 => {
            format!("[{}%{zone}]:{}", v6.ip(), v6.port())
        }
        _ => address.to_string(),
    }
}

/// Formats a duration in words, with a suitable unit.
pub(super) fn format_duration(duration: Duration) -> String {
    match duration {
        short if short < Duration::from_millis(1) => "less than 1 ms".to_owned(),
        short if short < Duration::from_millis(100) => format!("{} ms", short.as_millis()),
        long => format!("{:.1} s", long.as_secs_f64()),
    }
}
