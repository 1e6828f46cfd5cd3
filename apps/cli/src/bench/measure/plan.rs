//! What one measurement is to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is sent.
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

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) kind: MessageKind,
    /// Bytes of a packet.
    pub(crate) size: usize,
    /// Packets a second on a fixed timetable; as fast as they go if there is none.
    pub(crate) rate: Option<f64>,
    /// Calls that wait for their reply at once, at most.
    pub(crate) in_flight: usize,
    /// Subscribers of news.
    pub(crate) subscribers: u16,
    #[serde(with = "seconds")]
    pub(crate) duration: Duration,
    /// What is sent before counts for nothing but losses.
    #[serde(with = "seconds")]
    pub(crate) warm_up: Duration,
}

impl Plan {
    /// How many receive each packet.
    pub(crate) fn receivers(&self) -> u64 {
        if self.kind == MessageKind::News { self.subscribers.into() } else { 1 }
    }
}

/// Times as seconds, which every reader of JSON understands.
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
