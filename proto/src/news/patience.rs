//! For how long a publisher waits for one subscriber that takes nothing.

use std::time::{Duration, Instant};

/// Longer than anybody is waited for.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A subscriber is waited for until it has taken nothing for so long; from then on it is not, until it has taken everything.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// When it was first in the way, since it last took something.
    since: Option<Instant>,
    /// Its progress as it was then.
    progress: u64,
    is_over: bool,
}

impl Patience {
    /// Until when the subscriber, which is in the way, is waited for; `None` if it is not, or not any more. `progress` is any
    /// number: another one than before is a sign of life as well.
    pub(super) fn wait(&mut self, now: Instant, limit: Duration, progress: u64) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let since = self.since.filter(|_| self.progress == progress).unwrap_or(now);
        (self.since, self.progress) = (Some(since), progress);
        let until = since + limit.min(LONGEST);
        self.is_over = until <= now;
        (!self.is_over).then_some(until)
    }

    /// The subscriber has taken something.
    pub(super) fn taken(&mut self) {
        self.since = None;
    }

    /// The subscriber has taken everything.
    pub(super) fn caught_up(&mut self) {
        *self = Self::default();
    }

    /// Whether it is not waited for any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}
