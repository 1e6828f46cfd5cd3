//! What one case gave, as the side that counted tells it.

use serde::{Deserialize, Serialize};

/// What one case gave, as the side that counted tells it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Messages, calls or deliveries within the measured window.
    pub messages: u64,
    /// How long the window was.
    pub seconds: f64,
    /// Median round trip in microseconds, where calls were timed.
    pub p50_us: Option<f64>,
    /// The round trip that one in a hundred exceeds, in microseconds, where calls were timed.
    pub p99_us: Option<f64>,
    /// Messages that were sent in the whole run and never arrived, or were answered wrongly.
    pub lost: u64,
    /// Messages that arrived once more.
    pub repeated: u64,
    /// Messages that arrived after a later one.
    pub reordered: u64,
}
