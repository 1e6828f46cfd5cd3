//! The plan of one measurement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kind of the messages sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MessageKind {
    /// Messages whose reply is awaited.
    Calls,
    /// Messages without a reply.
    Tells,
    /// Published items.
    News,
}

impl MessageKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Tells => "tells",
            Self::News => "news",
        }
    }
}

/// The plan of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) kind: MessageKind,
    /// The size of a packet in bytes.
    pub(crate) size: usize,
    /// Packets per second on a fixed schedule; none: as fast as possible.
    pub(crate) rate: Option<f64>,
    /// The limit of concurrent calls.
    pub(crate) in_flight: usize,
    /// Subscribers of published items.
    pub(crate) subscribers: u16,
    /// One in this many closed-loop calls is timed.
    #[serde(default = "every_call")]
    pub(crate) timed_every: u64,
    #[serde(with = "seconds")]
    pub(crate) duration: Duration,
    /// The time before the measured time. Its packets count for losses only.
    #[serde(with = "seconds")]
    pub(crate) warm_up: Duration,
}

impl Plan {
    /// Returns the number of receivers of each packet.
    pub(crate) fn receivers(&self) -> u64 {
        if self.kind == MessageKind::News { self.subscribers.into() } else { 1 }
    }
}

/// Returns the interval of timed calls of runs that were saved without it.
fn every_call() -> u64 {
    1
}

/// Durations as seconds in JSON.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
