//! What the message connections of a node have in common: how they wait, how much they have carried, and memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use meshzero_proto::limits::Limits;
use meshzero_proto::stall::Allowance;
use meshzero_proto::stream::Spares;

use crate::counts::Counter;
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
    /// How many more may be dialled that stand by for links.
    pub races: Arc<Races>,
}

impl Carrying {
    /// Returns whether another standby connection may be dialled now.
    pub(crate) fn may_dial_beside(&self, now: Instant) -> bool {
        self.races.take(self.limits.races_per_second, now)
    }
}

/// The time for which an endpoint keeps a link that has lost its connection. The client's own time begins when it notices the loss,
/// which may take as long as the keep-alive takes to detect a silent host.
pub(crate) fn resume_window(limits: &Limits) -> Duration {
    let detection = limits.keep_alive.saturating_mul(crate::socket::PROBES + 1);
    limits.reconnect.saturating_add(detection)
}

/// The dials of connections that stand by for links, of all links of a node.
#[derive(Debug, Default)]
pub struct Races {
    allowance: Mutex<Option<Allowance>>,
}

impl Races {
    /// Takes one of so many in a second, if there is one.
    fn take(&self, per_second: u32, now: Instant) -> bool {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.get_or_insert_with(|| Allowance::new(per_second, now)).take(now)
    }
}

/// The counters of one node.
#[derive(Debug, Default)]
pub struct Meter {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    pub(crate) races: Counter,
    pub(crate) races_won: Counter,
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

    /// What has been counted so far. While messages flow the numbers may be from slightly different moments.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            races: self.races.get(),
            races_won: self.races_won.get(),
        }
    }
}
