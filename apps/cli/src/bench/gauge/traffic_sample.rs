//! A sample of the traffic of a node's message connections: bytes and system calls.

use meshzero::{Mesh, Traffic};
use serde::{Deserialize, Serialize};

/// Traffic totals since the mesh was joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrafficSample {
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    /// System calls that read.
    pub(crate) reads: u64,
    /// System calls that wrote.
    pub(crate) writes: u64,
}

impl TrafficSample {
    /// Samples this node.
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let Traffic { bytes_read, bytes_written, reads, writes, .. } = mesh.traffic();
        Self { bytes_read, bytes_written, reads, writes }
    }
}
