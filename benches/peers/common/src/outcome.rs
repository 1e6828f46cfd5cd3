//! The result of one case, from the side that counted.

use serde::{Deserialize, Serialize};

/// The result of one case, from the side that counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Messages, calls or deliveries within the measured window.
    pub messages: u64,
    /// The length of the window.
    pub seconds: f64,
    /// The median round trip in microseconds, where calls were timed.
    pub p50_us: Option<f64>,
    /// The round trip that one in a hundred exceeds, in microseconds, where calls were timed.
    pub p99_us: Option<f64>,
    /// Messages that were sent in the whole run and never arrived, or had a wrong reply.
    pub lost: u64,
    /// Messages that arrived again.
    pub repeated: u64,
    /// Messages that arrived after a later one.
    pub reordered: u64,
}
