//! The result of one measurement: plain data, as it is saved and shown.

use serde::{Deserialize, Serialize};

use crate::bench::gauge::percentiles::Percentiles;
use crate::bench::gauge::usage::ThreadShare;

/// The result of one measurement. Rates are those of the measured time; counts include the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// The measured time.
    pub(crate) seconds: f64,
    /// The scheduled rate in packets per second; none without a schedule.
    pub(crate) offered_per_second: Option<f64>,
    /// Packets sent per second.
    pub(crate) achieved_per_second: f64,
    /// Packets received per second, at all receivers together.
    pub(crate) received_per_second: f64,
    /// The received payload.
    pub(crate) received_mib_per_second: f64,
    pub(crate) sent: u64,
    /// The number of packets that should have been received: each once, or once per subscriber.
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    /// Packets and replies with wrong bytes.
    pub(crate) damaged: u64,
    /// Calls that the service rejected as overloaded.
    pub(crate) failed: u64,
    /// Round trips from the scheduled time on; for packets without a reply, those of occasional calls beside them.
    pub(crate) round_trip: Option<Percentiles>,
    /// The lateness of packets against the schedule.
    pub(crate) late: Option<Percentiles>,
    pub(crate) sender: Side,
    /// None if both sides are one process: then the sender's values cover both.
    pub(crate) receiver: Option<Side>,
    pub(crate) bottleneck: String,
    /// The measured time in slices, for comparisons.
    pub(crate) slices: Vec<Slice>,
}

/// The resources spent by one process. Values that the platform does not report are absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// Processor time as a share of the elapsed time: 1 is a whole core.
    pub(crate) cpu: Option<f64>,
    pub(crate) busiest_thread: Option<ThreadShare>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) wire: PerMessage,
}

/// Bytes and system calls per message received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PerMessage {
    pub(crate) bytes_read: f64,
    pub(crate) bytes_written: f64,
    pub(crate) reads: f64,
    pub(crate) writes: f64,
}

/// A slice of the measured time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) received_per_second: f64,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl Measurement {
    /// Returns whether everything arrived as it was sent.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost == 0 && self.damaged == 0 && self.failed == 0
    }

    /// Returns whether the schedule was kept.
    pub(crate) fn kept_up(&self) -> bool {
        self.offered_per_second.is_none_or(|offered| self.achieved_per_second >= 0.98 * offered)
    }
}
