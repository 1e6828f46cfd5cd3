//! What came of one measurement: plain data, as it is saved and shown.

use serde::{Deserialize, Serialize};

use crate::bench::gauge::percentiles::Percentiles;
use crate::bench::gauge::usage::ThreadShare;

/// Everything about one measurement. Rates are those of the measured time; counts include the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Packets a second that the timetable asked for; none if there was no timetable.
    pub(crate) offered_per_second: Option<f64>,
    /// Packets a second that set out.
    pub(crate) achieved_per_second: f64,
    /// Packets a second that arrived, at all receivers together.
    pub(crate) received_per_second: f64,
    /// Their payload.
    pub(crate) received_mib_per_second: f64,
    pub(crate) sent: u64,
    /// How often a packet should have arrived: once, or once for each subscriber.
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    /// Packets, and replies, with wrong bytes.
    pub(crate) damaged: u64,
    /// Calls that the service was too busy for.
    pub(crate) failed: u64,
    /// Calls from when they should have been sent; beside packets without a reply: calls now and then.
    pub(crate) round_trip: Option<Percentiles>,
    /// How late packets set out, by the timetable.
    pub(crate) late: Option<Percentiles>,
    pub(crate) sender: Side,
    /// None when both are one process, which the sender's figures are about then.
    pub(crate) receiver: Option<Side>,
    pub(crate) bottleneck: String,
    /// The measured time in pieces, for comparisons.
    pub(crate) slices: Vec<Slice>,
}

/// What one process spent. What the platform does not tell is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// Processor time as a share of the time that passed: 1 is a whole core.
    pub(crate) cpu: Option<f64>,
    pub(crate) busiest_thread: Option<ThreadShare>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) wire: PerMessage,
}

/// Bytes and system calls for each message received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PerMessage {
    pub(crate) bytes_read: f64,
    pub(crate) bytes_written: f64,
    pub(crate) reads: f64,
    pub(crate) writes: f64,
}

/// A piece of the measured time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) received_per_second: f64,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl Measurement {
    /// Whether everything arrived as it was sent.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost == 0 && self.damaged == 0 && self.failed == 0
    }

    /// Whether the timetable was kept.
    pub(crate) fn kept_up(&self) -> bool {
        self.offered_per_second.is_none_or(|offered| self.achieved_per_second >= 0.98 * offered)
    }
}
