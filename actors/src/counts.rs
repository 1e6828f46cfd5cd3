//! What became of messages that were not simply handled, counted where it happens.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests of a service that were not handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Their deadline passed while they waited. Their callers were told that they were not handled.
    pub expired: u64,
    /// Their callers gave up, or dropped the call, before there was a reply. Those that waited were not handled.
    pub cancelled: u64,
}

/// Counts [`RequestCounts`].
#[derive(Debug, Default)]
pub struct RequestCounters {
    expired: AtomicU64,
    cancelled: AtomicU64,
}

impl RequestCounters {
    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn counts(&self) -> RequestCounts {
        RequestCounts {
            expired: self.expired.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }
}
