//! The data of a search for the highest rate that keeps a bound: the rates that were tried, and the result.

use serde::{Deserialize, Serialize};

/// The result of a search for the highest rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateSearch {
    pub(crate) bound: String,
    /// The highest rate that kept the bound; none if not even the lowest one did.
    pub(crate) rate: Option<f64>,
    pub(crate) trials: Vec<RateTrial>,
}

/// One tested rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateTrial {
    pub(crate) rate: f64,
    pub(crate) achieved_per_second: f64,
    /// The percentile, in microseconds.
    pub(crate) value: Option<f64>,
    /// Whether the bound and the schedule were kept and nothing was lost.
    pub(crate) kept: bool,
}
