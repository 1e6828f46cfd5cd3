//! What the message connections of a node have in common: how they wait, how much they have carried, and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use meshzero_proto::limits::Limits;
use meshzero_proto::stream::Spares;

use crate::network::Network;
use crate::stats::Traffic;

/// What the message connections of a node have in common.
#[derive(Debug, Clone, Default)]
pub struct Carrying {
    /// Their bounds.
    pub limits: Arc<Limits>,
    /// For how long a connection looks for bytes again and again before its thread may sleep.
    pub spin: Duration,
    /// Where they come from.
    pub network: Network,
    /// Counts what is carried.
    pub meter: Arc<Meter>,
    /// Memory for their next batches.
    pub spares: Spares,
}

/// The counters of one node.
#[derive(Debug, Default)]
pub struct Meter {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Meter {
    /// Counts one read.
    pub fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts one write.
    pub fn wrote(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What has been counted so far. While messages flow the four numbers may be from slightly different moments.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
        }
    }
}
