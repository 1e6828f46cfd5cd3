//! One measurement: its plan, its execution, and the summary with bottleneck and baselines.

pub(super) mod baseline;
mod bottleneck;
pub(super) mod measurement;
pub(super) mod plan;
pub(super) mod progress;
pub(super) mod run;
mod summary;
