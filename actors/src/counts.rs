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

/// What became of messages to a service that were not simply sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallCounts {
    /// Calls were tried again so often.
    pub retries: u64,
    /// Calls that would have been tried again, but for the budget of retries.
    pub over_budget: u64,
    /// Instances were set aside so often, because they had failed several times in a row.
    pub set_aside: u64,
    /// Calls that have found out whether an instance that was set aside works again.
    pub probes: u64,
    /// Messages that `do_send` has given up, because they could not be sent at once.
    pub dropped: u64,
}

/// Counts [`CallCounts`].
#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    retries: AtomicU64,
    over_budget: AtomicU64,
    set_aside: AtomicU64,
    probes: AtomicU64,
    dropped: AtomicU64,
}

impl CallCounters {
    pub(crate) fn retries(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn over_budget(&self) {
        self.over_budget.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_aside(&self) {
        self.set_aside.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn probes(&self) {
        self.probes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> CallCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallCounts {
            retries: read(&self.retries),
            over_budget: read(&self.over_budget),
            set_aside: read(&self.set_aside),
            probes: read(&self.probes),
            dropped: read(&self.dropped),
        }
    }
}
