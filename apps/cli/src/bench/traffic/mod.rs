//! The messages of a measurement: numbered packets, the counts of what arrived, and the control protocol.

pub(super) mod counter;
pub(super) mod packet;
pub(super) mod pattern;
pub(super) mod protocol;
