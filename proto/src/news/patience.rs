//! The timeout of a publisher's wait for a subscriber that makes no progress.

use std::time::{Duration, Instant};

/// The maximum time of a wait.
const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The state of a publisher's waits for one subscriber: they end when the subscriber has made no progress for the limit, and
/// are possible again after it has read everything.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// The time at which it first blocked the publisher since its last progress.
    since: Option<Instant>,
    /// Its progress at that time.
    progress: u64,
    is_over: bool,
}

impl Patience {
    /// Returns the time until which the publisher waits for the subscriber, which blocks it; `None` if the wait has timed out.
    /// `progress` is any number, whose change counts as progress.
    pub(super) fn deadline(&mut self, now: Instant, limit: Duration, progress: u64) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let since = self.since.filter(|_| self.progress == progress).unwrap_or(now);
        (self.since, self.progress) = (Some(since), progress);
        let until = since + limit.min(MAX_WAIT);
        self.is_over = until <= now;
        (!self.is_over).then_some(until)
    }

    /// Records that the subscriber has read items.
    pub(super) fn taken(&mut self) {
        self.since = None;
    }

    /// Records that the subscriber has read all items.
    pub(super) fn caught_up(&mut self) {
        *self = Self::default();
    }

    /// Returns true if the wait has timed out.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}
