//! News: what a subscriber asks for, and the bounded backlog that the publisher keeps for it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::codec::Fingerprint;
use crate::name::Topic;

/// What a subscriber asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Topics that begin with this text; the empty text takes all.
    pub prefix: Topic,
    /// The subscriber's item type: an item of the same fingerprint travels as bincode, all others as MessagePack.
    pub fingerprint: Option<Fingerprint>,
    /// What to do when the subscriber is slower than the publisher.
    pub policy: Policy,
}

impl Subscribe {
    /// The MessagePack bytes that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("names and numbers always encode")
    }

    /// Reads what travelled.
    ///
    /// # Errors
    /// What does not decode, as text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// What happens to news that a subscriber is too slow for. A slow subscriber never delays the publisher or others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Keep this many items, drop the oldest beyond, and tell the subscriber how many were dropped.
    DropOldest {
        /// Items kept, 1 at least.
        items: u32,
    },
    /// Keep only the newest item of each topic, overwritten in place.
    Latest,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DropOldest { items: 1_024 }
    }
}

/// Why a subscriber did not get an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The backlog was full.
    Overflow,
    /// A newer item of the topic replaced it, as the subscriber asked for.
    Superseded,
}

impl GapReason {
    /// As it travels.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Overflow => 1,
            Self::Superseded => 2,
        }
    }

    /// As it came; `None` for a reason of a later version.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Overflow),
            2 => Some(Self::Superseded),
            _ => None,
        }
    }
}

/// The bytes that a backlog keeps at most, besides the newest item.
pub const BACKLOG_BYTES: usize = 4 << 20;

/// What a backlog hands out next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// So many items are missing at this place.
    Gap(u64, GapReason),
    /// An item.
    Item(T),
}

struct Entry<T> {
    topic: Topic,
    bytes: usize,
    item: T,
    /// Items that this one replaced.
    superseded: u64,
}

/// The items that wait for one subscriber.
pub struct Backlog<T> {
    policy: Policy,
    entries: VecDeque<Entry<T>>,
    bytes: usize,
    overflowed: u64,
}

impl<T> Backlog<T> {
    /// An empty backlog.
    pub fn new(policy: Policy) -> Self {
        Self { policy, entries: VecDeque::new(), bytes: 0, overflowed: 0 }
    }

    /// Adds an item of so many `bytes`, and makes room as the policy says.
    pub fn push(&mut self, topic: &Topic, bytes: usize, item: T) {
        let items = match self.policy {
            Policy::DropOldest { items } => (items as usize).max(1),
            Policy::Latest => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.topic == *topic) {
                    self.bytes = self.bytes - entry.bytes + bytes;
                    entry.bytes = bytes;
                    entry.item = item;
                    entry.superseded += 1;
                    return;
                }
                usize::MAX
            }
        };
        self.entries.push_back(Entry { topic: topic.clone(), bytes, item, superseded: 0 });
        self.bytes += bytes;
        while self.entries.len() > items || (self.bytes > BACKLOG_BYTES && self.entries.len() > 1) {
            let Some(dropped) = self.entries.pop_front() else { break };
            self.bytes -= dropped.bytes;
            self.overflowed += 1 + dropped.superseded;
        }
    }

    /// Takes what comes next: a gap stands before the item that follows it.
    pub fn pop(&mut self) -> Option<Next<T>> {
        if self.overflowed > 0 {
            return Some(Next::Gap(std::mem::take(&mut self.overflowed), GapReason::Overflow));
        }
        let first = self.entries.front_mut()?;
        if first.superseded > 0 {
            return Some(Next::Gap(std::mem::take(&mut first.superseded), GapReason::Superseded));
        }
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes;
        Some(Next::Item(entry.item))
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits, not even a gap.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.overflowed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::new(text).expect("a topic")
    }

    fn drain(backlog: &mut Backlog<u32>) -> Vec<Next<u32>> {
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn items_come_in_order_while_there_is_room() {
        let mut backlog = Backlog::new(Policy::DropOldest { items: 3 });
        (0..3).for_each(|n| backlog.push(&topic("t"), 8, n));
        assert_eq!(drain(&mut backlog), [Next::Item(0), Next::Item(1), Next::Item(2)]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn the_gap_is_counted_and_stands_before_what_is_left() {
        let mut backlog = Backlog::new(Policy::DropOldest { items: 2 });
        (0..10).for_each(|n| backlog.push(&topic("t"), 8, n));
        assert_eq!(drain(&mut backlog), [Next::Gap(8, GapReason::Overflow), Next::Item(8), Next::Item(9)]);
    }

    #[test]
    fn bytes_are_bounded_as_well_but_one_item_always_fits() {
        let mut backlog = Backlog::new(Policy::default());
        backlog.push(&topic("t"), BACKLOG_BYTES, 1);
        backlog.push(&topic("t"), BACKLOG_BYTES * 2, 2);
        assert_eq!(drain(&mut backlog), [Next::Gap(1, GapReason::Overflow), Next::Item(2)]);
    }

    #[test]
    fn latest_keeps_one_item_a_topic_and_its_place() {
        let mut backlog = Backlog::new(Policy::Latest);
        backlog.push(&topic("a"), 8, 1);
        backlog.push(&topic("b"), 8, 2);
        backlog.push(&topic("a"), 8, 3);
        backlog.push(&topic("a"), 8, 4);
        assert_eq!(drain(&mut backlog), [Next::Gap(2, GapReason::Superseded), Next::Item(4), Next::Item(2)]);
    }
}
