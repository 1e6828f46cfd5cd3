//! Whole runs: latency, throughput, fan-out, sweep, discovery, and the search for the highest rate.

pub(super) mod discovery;
pub(super) mod find_max;
pub(super) mod messages;
