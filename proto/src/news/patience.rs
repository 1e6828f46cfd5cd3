//! The limit on the time that a publisher waits for a subscriber that takes nothing.

use std::time::{Duration, Instant};

/// The maximum time that a subscriber is waited for.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The waiting for one subscriber: it ends after the subscriber has taken nothing for the limit, and resumes after it has taken
/// everything.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// The time at which it first blocked the publisher, since it last took something.
    since: Option<Instant>,
    /// Its progress at that time.
    progress: u64,
    is_over: bool,
}

impl Patience {
    /// Returns the time until which the subscriber, which blocks the publisher, is waited for; `None` if it is not, or no longer,
    /// waited for. `progress` is any number: a change is a sign of life as well.
    pub(super) fn deadline(&mut self, now: Instant, limit: Duration, progress: u64) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let since = self.since.filter(|_| self.progress == progress).unwrap_or(now);
        (self.since, self.progress) = (Some(since), progress);
        let until = since + limit.min(LONGEST);
        self.is_over = until <= now;
        (!self.is_over).then_some(until)
    }

    /// Records that the subscriber has taken something.
    pub(super) fn taken(&mut self) {
        self.since = None;
    }

    /// Records that the subscriber has taken everything.
    pub(super) fn caught_up(&mut self) {
        *self = Self::default();
    }

    /// Returns true if it is no longer waited for.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}
