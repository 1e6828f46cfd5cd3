//! What one subscriber who wants only the newest item of each topic has not got yet.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{BACKLOG_BYTES, GapReason};
use crate::name::Topic;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// So many items are missing at this place.
    Gap(u64, GapReason),
    /// An item, as the frame that travels.
    Item(Bytes),
}

struct Entry {
    topic: Topic,
    item: Bytes,
    /// Items that this one replaced.
    superseded: u64,
}

/// The newest item of each topic, in the order in which the topics' turn came.
#[derive(Default)]
pub struct Newest {
    entries: VecDeque<Entry>,
    bytes: usize,
    overflowed: u64,
}

impl Newest {
    /// Adds an item in the place of an older one of its topic, or behind all others. Where that makes too many bytes, the
    /// topics whose turn is next lose theirs.
    pub fn push(&mut self, topic: &Topic, item: Bytes) {
        self.bytes += item.len();
        match self.entries.iter_mut().find(|entry| entry.topic == *topic) {
            Some(entry) => {
                self.bytes -= entry.item.len();
                entry.item = item;
                entry.superseded += 1;
            }
            None => self.entries.push_back(Entry { topic: topic.clone(), item, superseded: 0 }),
        }
        while self.bytes > BACKLOG_BYTES && self.entries.len() > 1 {
            let Some(dropped) = self.entries.pop_front() else { break };
            self.bytes -= dropped.item.len();
            self.overflowed += 1 + dropped.superseded;
        }
    }

    /// Takes what comes next: a gap stands before the item that follows it.
    pub fn pop(&mut self) -> Option<Next> {
        if self.overflowed > 0 {
            return Some(Next::Gap(std::mem::take(&mut self.overflowed), GapReason::Overflow));
        }
        let first = self.entries.front_mut()?;
        if first.superseded > 0 {
            return Some(Next::Gap(std::mem::take(&mut first.superseded), GapReason::Superseded));
        }
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.item.len();
        Some(Next::Item(entry.item))
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

    fn item(bytes: &'static [u8]) -> Next {
        Next::Item(Bytes::from_static(bytes))
    }

    fn drain(newest: &mut Newest) -> Vec<Next> {
        std::iter::from_fn(|| newest.pop()).collect()
    }

    #[test]
    fn one_item_a_topic_is_kept_in_the_place_of_the_first() {
        let mut newest = Newest::default();
        for (name, bytes) in [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"4")] {
            newest.push(&topic(name), Bytes::from_static(bytes));
        }
        assert_eq!(drain(&mut newest), [Next::Gap(2, GapReason::Superseded), item(b"4"), item(b"2")]);
        assert!(newest.is_empty());
    }

    #[test]
    fn bytes_are_bounded_but_one_item_always_fits() {
        let mut newest = Newest::default();
        newest.push(&topic("a"), vec![0; BACKLOG_BYTES].into());
        newest.push(&topic("b"), vec![0; BACKLOG_BYTES * 2].into());
        assert_eq!(newest.pop(), Some(Next::Gap(1, GapReason::Overflow)));
        assert!(matches!(newest.pop(), Some(Next::Item(item)) if item.len() == BACKLOG_BYTES * 2));
        assert_eq!(newest.pop(), None);
    }
}
