//! TODO header of telemetry.

pub(crate) mod counters;
pub mod stats;
pub mod subscriptions;
pub mod trace;
