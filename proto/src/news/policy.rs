//! The policy of a subscription: the queue for a slow subscriber, and the rate of items.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// The maximum time between two items of a topic.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The policy that a subscriber requests of a publisher. Items are first reduced to a rate, then queued within limits until
/// the subscriber reads them. Plain data: start with [`Policy::default`] or one of the others and change fields as needed.
///
/// A publisher limits the policies that it grants, see [`Policy::limited_by`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The items that are kept while the subscriber is slower than the publisher.
    pub keep: Keep,
    /// The maximum number of kept items, of all topics together: at least 1. Default 1,024.
    pub items: u32,
    /// The maximum size of kept items besides the newest, in bytes. Default 4 MiB.
    pub bytes: u64,
    /// The shortest time from one item of a topic to the next: the newest item within it is sent at its end, and the others are
    /// skipped. With `None`, the default, or zero, nothing is skipped.
    pub every: Option<Duration>,
}

/// The items that are kept for a subscriber that is slower than the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Keep {
    /// Keeps the newest: beyond the limits the oldest is dropped.
    #[default]
    DropOldest,
    /// Keeps all: while there is no room the publisher waits, or does not publish.
    Wait,
    /// Keeps the newest of each topic, which replace older ones, even those in transit when a connection is replaced.
    Last {
        /// The number of items per topic, at least 1.
        items: u32,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Self { keep: Keep::DropOldest, items: 1_024, bytes: 4 << 20, every: None }
    }
}

impl Policy {
    /// Returns a policy that keeps this many items, and drops the oldest beyond that.
    pub fn drop_oldest(items: u32) -> Self {
        Self { items, ..Self::default() }
    }

    /// Returns a policy that keeps this many of the newest items of each topic, and as many topics as the publisher allows.
    pub fn last(items: u32) -> Self {
        Self { keep: Keep::Last { items }, items: u32::MAX, ..Self::default() }
    }

    /// Returns a policy that keeps everything: the publisher waits.
    pub fn wait() -> Self {
        Self { keep: Keep::Wait, ..Self::default() }
    }

    /// Returns the policy reduced to a publisher's limits.
    #[must_use]
    pub fn limited_by(self, limits: &Limits) -> Self {
        let max_items = u32::try_from(limits.backlog_items).unwrap_or(u32::MAX).max(1);
        let keep = match self.keep {
            Keep::Last { items } => Keep::Last { items: items.clamp(1, max_items) },
            keep => keep,
        };
        Self {
            keep,
            items: self.items.clamp(1, max_items),
            bytes: self.bytes.min(limits.backlog_bytes as u64),
            every: self.every.filter(|every| !every.is_zero()).map(|every| every.min(MAX_INTERVAL)),
        }
    }

    /// Returns true if all subscribers with this policy can read one [`Log`](super::Log); otherwise each has a
    /// [`Queue`](super::Queue).
    pub fn is_shared(&self) -> bool {
        self.every.is_none() && !matches!(self.keep, Keep::Last { .. })
    }

    /// Returns true if a publisher that waits for room waits for these subscribers: all but those that keep only the newest.
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
            Policy { keep: Keep::Last { items: 100 }, items: 100, bytes: 1_000, every: Some(MAX_INTERVAL) };
        assert_eq!(greedy.limited_by(&limits), granted);
        let nothing =
            Policy { keep: Keep::Last { items: 0 }, items: 0, bytes: 0, every: Some(Duration::ZERO) };
        let granted = Policy { keep: Keep::Last { items: 1 }, items: 1, bytes: 0, every: None };
        assert_eq!(nothing.limited_by(&limits), granted);
        limits.backlog_items = 0;
        assert_eq!(Policy::default().limited_by(&limits).items, 1);
    }
}
