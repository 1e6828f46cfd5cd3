//! What became of messages and connections, counted where it happens, on any thread.

use std::sync::atomic::{AtomicU64, Ordering};

use meshzero_proto::refusal::Refusal;

use crate::stats::{CallCounts, ConnectionCounts, RequestCounts};

/// Counts up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// How many so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts [`RequestCounts`].
#[derive(Debug, Default)]
pub struct RequestCounters {
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
    pub(crate) fn refused(&self, why: &Refusal) {
        match why {
            Refusal::Expired => self.expired.count(),
            Refusal::Busy => self.busy.count(),
            Refusal::NoHandler { .. } => self.no_handler.count(),
            Refusal::Undecodable { .. } => self.undecodable.count(),
            Refusal::Draining => self.draining.count(),
            Refusal::BadReply { .. } | Refusal::ReplyTooLarge { .. } => self.bad_reply.count(),
            // `Unanswered` and `Failed` are of the kind, and nobody refuses in other ways yet.
            _ => self.panicked.count(),
        }
    }

    /// How many so far.
    pub fn counts(&self) -> RequestCounts {
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

/// Counts [`CallCounts`].
#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    pub(crate) retries: Counter,
    pub(crate) over_budget: Counter,
    pub(crate) set_aside: Counter,
    pub(crate) probes: Counter,
    pub(crate) dropped: Counter,
}

impl CallCounters {
    pub(crate) fn counts(&self) -> CallCounts {
        CallCounts {
            retries: self.retries.get(),
            over_budget: self.over_budget.get(),
            set_aside: self.set_aside.get(),
            probes: self.probes.get(),
            dropped: self.dropped.get(),
        }
    }
}

/// Counts [`ConnectionCounts`], but for those that are open.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounters {
    pub(crate) begun: Counter,
    pub(crate) resumed: Counter,
    pub(crate) given_up: Counter,
    pub(crate) rejected: Counter,
    pub(crate) speechless: Counter,
}

impl ConnectionCounters {
    pub(crate) fn counts(&self, open: usize) -> ConnectionCounts {
        ConnectionCounts {
            open: open as u64,
            begun: self.begun.get(),
            resumed: self.resumed.get(),
            given_up: self.given_up.get(),
            rejected: self.rejected.get(),
            speechless: self.speechless.get(),
        }
    }
}
