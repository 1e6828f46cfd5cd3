//! Counters, statistics and trace spans.

pub(crate) mod counters;
pub mod stats;
pub mod subscriptions;
pub mod trace;
