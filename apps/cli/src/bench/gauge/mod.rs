//! Gauges of one process: response times, processor time and memory, bytes and system calls, and the machine.

pub(super) mod machine;
pub(super) mod percentiles;
pub(super) mod traffic_sample;
pub(super) mod usage;
