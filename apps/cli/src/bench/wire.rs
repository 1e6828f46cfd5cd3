//! Bytes and system calls of this node's message connections, where the library tells them.

use meshzero::Mesh;
use serde::{Deserialize, Serialize};

/// Totals since the mesh was joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wire {
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    /// System calls that read.
    pub(crate) reads: u64,
    /// System calls that wrote.
    pub(crate) writes: u64,
}

impl Wire {
    /// Of this node, now.
    pub(crate) fn of(_mesh: &Mesh) -> Option<Self> {
        None
    }
}
