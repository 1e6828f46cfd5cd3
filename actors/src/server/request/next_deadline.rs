//! The time of the next check for expired requests on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::runtime::clock;
use crate::server::request::pending::NEVER;

/// The time of the next check for expired requests on one connection.
#[derive(Debug)]
pub(crate) struct NextDeadline {
    epoch: Instant,
    /// The next check, in milliseconds since the epoch; [`NEVER`] if none is planned.
    next: AtomicU64,
    sooner: Arc<Notify>,
}

impl Default for NextDeadline {
    fn default() -> Self {
        Self { epoch: clock::now(), next: AtomicU64::new(NEVER), sooner: Arc::default() }
    }
}

impl NextDeadline {
    /// Converts an instant to milliseconds since the epoch.
    pub(crate) fn millis(&self, instant: Instant) -> u64 {
        clock::millis(instant.saturating_duration_since(self.epoch))
    }

    /// The next check, if one is planned.
    pub(crate) fn next(&self) -> Option<Instant> {
        match self.next.load(Ordering::Relaxed) {
            NEVER => None,
            millis => self.epoch.checked_add(Duration::from_millis(millis)),
        }
    }

    /// Returns whether no check is planned before or at `deadline`, in milliseconds since the epoch.
    #[inline]
    pub(crate) fn is_after(&self, deadline: u64) -> bool {
        deadline < self.next.load(Ordering::Relaxed)
    }

    /// Plans a check at `next`, in milliseconds since the epoch; returns whether none was planned before.
    pub(crate) fn set(&self, next: u64) -> bool {
        self.next.swap(next, Ordering::Relaxed) == NEVER
    }

    /// The notification that wakes the task that checks.
    pub(crate) fn notify(&self) -> &Arc<Notify> {
        &self.sooner
    }
}
