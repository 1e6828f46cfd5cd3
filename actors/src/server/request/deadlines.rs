//! When the requests of one connection that wait are looked at, because their deadlines pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::runtime::clock;
use crate::server::request::pending::NEVER;

/// When the requests of one connection that wait are looked at.
#[derive(Debug)]
pub(crate) struct NextDeadline {
    epoch: Instant,
    /// The next look, in milliseconds since the epoch; [`NEVER`] while nobody looks.
    next: AtomicU64,
    sooner: Arc<Notify>,
}

impl Default for NextDeadline {
    fn default() -> Self {
        Self { epoch: clock::now(), next: AtomicU64::new(NEVER), sooner: Arc::default() }
    }
}

impl NextDeadline {
    /// A point in time, in milliseconds since the epoch.
    pub(crate) fn millis(&self, at: Instant) -> u64 {
        clock::millis(at.saturating_duration_since(self.epoch))
    }

    /// The next look, if there will be one.
    pub(crate) fn next(&self) -> Option<Instant> {
        match self.next.load(Ordering::Relaxed) {
            NEVER => None,
            millis => self.epoch.checked_add(Duration::from_millis(millis)),
        }
    }

    /// Whether nobody looks before `deadline`, in milliseconds since the epoch.
    #[inline]
    pub(crate) fn is_after(&self, deadline: u64) -> bool {
        deadline < self.next.load(Ordering::Relaxed)
    }

    /// Has somebody look at `next`, in milliseconds since the epoch; says whether nobody looked before.
    pub(crate) fn set(&self, next: u64) -> bool {
        self.next.swap(next, Ordering::Relaxed) == NEVER
    }

    /// Wakes the one who looks.
    pub(crate) fn notify(&self) -> &Arc<Notify> {
        &self.sooner
    }
}
