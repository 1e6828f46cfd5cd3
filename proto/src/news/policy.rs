//! What a subscriber wants done with news that it is too slow for, or wants fewer of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// Longer than anybody waits for the next item of a topic.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a publisher does for one subscriber, who chooses it. First news are thinned to a rate, then what is left waits until
/// the subscriber takes it, within bounds. Plain data: take [`Policy::default`] or one of the others and change what you must.
///
/// A publisher bounds what may be asked for, see [`Policy::within`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Which items are kept while the subscriber is slower than the publisher.
    pub keep: Keep,
    /// How many items are kept, of all topics together: 1 at least. Default 1,024.
    pub items: u32,
    /// Bytes that are kept besides the newest item. Default 4 MiB.
    pub bytes: u64,
    /// The shortest time from one item of a topic to the next: of those that come within it the newest arrives when it
    /// is over, and the others are left out. `None`, as by default, or zero leaves out nothing.
    pub every: Option<Duration>,
}

/// Which items are kept for a subscriber that is slower than the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Keep {
    /// The newest: beyond the bounds the oldest is dropped.
    #[default]
    DropOldest,
    /// All: while there is no room the publisher waits, or does not publish.
    Wait,
    /// The newest of each topic, in the place of older ones; also of those that have not arrived when a connection is replaced.
    Last {
        /// How many of each topic, 1 at least.
        items: u32,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Self { keep: Keep::DropOldest, items: 1_024, bytes: 4 << 20, every: None }
    }
}

impl Policy {
    /// Keeps this many items, and drops the oldest beyond.
    pub fn drop_oldest(items: u32) -> Self {
        Self { items, ..Self::default() }
    }

    /// Keeps the newest items of each topic, so many of each, and as many topics as the publisher allows.
    pub fn last(items: u32) -> Self {
        Self { keep: Keep::Last { items }, items: u32::MAX, ..Self::default() }
    }

    /// Keeps everything: the publisher waits.
    pub fn wait() -> Self {
        Self { keep: Keep::Wait, ..Self::default() }
    }

    /// What a publisher with these limits grants of it.
    #[must_use]
    pub fn within(self, limits: &Limits) -> Self {
        let most = u32::try_from(limits.backlog_items).unwrap_or(u32::MAX).max(1);
        let keep = match self.keep {
            Keep::Last { items } => Keep::Last { items: items.clamp(1, most) },
            keep => keep,
        };
        Self {
            keep,
            items: self.items.clamp(1, most),
            bytes: self.bytes.min(limits.backlog_bytes as u64),
            every: self.every.filter(|every| !every.is_zero()).map(|every| every.min(LONGEST)),
        }
    }

    /// Whether all who ask for the same can read one [`Log`](super::Log): otherwise each has a [`Queue`](super::Queue).
    pub fn is_shared(&self) -> bool {
        self.every.is_none() && !matches!(self.keep, Keep::Last { .. })
    }

    /// Whether a publisher that waits for room waits for these subscribers: all but those who want the newest only.
    pub fn is_waited_for(&self) -> bool {
        !matches!(self.keep, Keep::Last { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_grants_no_more_than_its_limits() {
        let mut limits = Limits::default();
        (limits.backlog_items, limits.backlog_bytes) = (100, 1_000);
        let greedy = Policy {
            keep: Keep::Last { items: u32::MAX },
            items: u32::MAX,
            bytes: u64::MAX,
            every: Some(Duration::MAX),
        };
        let granted =
            Policy { keep: Keep::Last { items: 100 }, items: 100, bytes: 1_000, every: Some(LONGEST) };
        assert_eq!(greedy.within(&limits), granted);
        let nothing =
            Policy { keep: Keep::Last { items: 0 }, items: 0, bytes: 0, every: Some(Duration::ZERO) };
        let granted = Policy { keep: Keep::Last { items: 1 }, items: 1, bytes: 0, every: None };
        assert_eq!(nothing.within(&limits), granted);
        limits.backlog_items = 0;
        assert_eq!(Policy::default().within(&limits).items, 1);
    }
}
