//! Counters of messages, connections and bytes, which any thread increments.

use std::sync::atomic::{AtomicU64, Ordering};

use meshzero_proto::wire::refusal::Refusal;

use crate::telemetry::stats::{CallCounts, ConnectionCounts, RequestCounts, Traffic};

/// A counter that only goes up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Returns the count so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters behind [`RequestCounts`].
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    expired: Counter,
    pub(crate) cancelled: Counter,
    busy: Counter,
    pub(crate) no_handler: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) draining: Counter,
    panicked: Counter,
    bad_reply: Counter,
}

impl RequestCounters {
    /// Counts a request that was refused.
    #[cold]
    pub(crate) fn refused(&self, reason: &Refusal) {
        match reason {
            Refusal::Expired => self.expired.count(),
            Refusal::Busy => self.busy.count(),
            Refusal::NoHandler { .. } => self.no_handler.count(),
            Refusal::Undecodable { .. } => self.undecodable.count(),
            Refusal::Draining => self.draining.count(),
            Refusal::BadReply { .. } | Refusal::ReplyTooLarge { .. } => self.bad_reply.count(),
            // `Unanswered` and `Failed`; there are no other reasons yet.
            _ => self.panicked.count(),
        }
    }

    /// Returns the counts so far.
    pub(crate) fn counts(&self) -> RequestCounts {
        RequestCounts {
            expired: self.expired.get(),
            cancelled: self.cancelled.get(),
            busy: self.busy.get(),
            no_handler: self.no_handler.get(),
            undecodable: self.undecodable.get(),
            draining: self.draining.get(),
            panicked: self.panicked.get(),
            bad_reply: self.bad_reply.get(),
        }
    }
}

/// Counters behind [`CallCounts`].
#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    pub(crate) retries: Counter,
    pub(crate) over_budget: Counter,
    pub(crate) ejected: Counter,
    pub(crate) probes: Counter,
    pub(crate) dropped: Counter,
}

impl CallCounters {
    pub(crate) fn counts(&self) -> CallCounts {
        CallCounts {
            retries: self.retries.get(),
            over_budget: self.over_budget.get(),
            ejected: self.ejected.get(),
            probes: self.probes.get(),
            dropped: self.dropped.get(),
        }
    }
}

/// Counters behind [`ConnectionCounts`], other than the number of open ones.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounters {
    pub(crate) opened: Counter,
    pub(crate) resumed: Counter,
    pub(crate) given_up: Counter,
    pub(crate) rejected: Counter,
    pub(crate) handshake_failed: Counter,
}

impl ConnectionCounters {
    pub(crate) fn counts(&self, open: usize) -> ConnectionCounts {
        ConnectionCounts {
            open: open as u64,
            opened: self.opened.get(),
            resumed: self.resumed.get(),
            given_up: self.given_up.get(),
            rejected: self.rejected.get(),
            handshake_failed: self.handshake_failed.get(),
        }
    }
}

/// Counters behind [`Traffic`], of one node.
#[derive(Debug, Default)]
pub struct TrafficCounters {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    pub(crate) races: Counter,
    pub(crate) races_won: Counter,
}

impl TrafficCounters {
    /// Counts one read.
    pub(crate) fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts one write.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the counts so far. While messages flow, they may be from slightly different moments.
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
