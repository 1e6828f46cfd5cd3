//! Bytes and system calls of a node's message connections.

use meshzero::{Mesh, Traffic};
use serde::{Deserialize, Serialize};

/// Totals since the mesh was joined.
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
    /// Of this node, now.
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let Traffic { bytes_read, bytes_written, reads, writes, .. } = mesh.traffic();
        Self { bytes_read, bytes_written, reads, writes }
    }
}
