//! The result of a comparison of two runs.

use serde::{Deserialize, Serialize};

/// The comparison of a run with a saved one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// The commit of the saved run.
    pub(crate) commit: String,
    /// The differences between the setups, besides the commit.
    pub(crate) differences: Vec<String>,
    pub(crate) ratios: Vec<Ratio>,
}

/// A result of this run divided by that of the saved one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) ratio: f64,
    /// The 95 % confidence interval.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) verdict: String,
}
