//! A rate limiter for one subscriber, which passes the newest item of each topic in each period.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::item::QueuedItem;
use crate::name::Topic;

/// The topics of which an item has passed within the last period, and the items held back until it is over.
#[derive(Debug)]
pub(super) struct RateLimiter {
    interval: Duration,
    /// The time at which the next item of each topic may pass, and that item.
    topics: HashMap<Topic, (Instant, Option<QueuedItem>)>,
    due: BTreeSet<(Instant, Topic)>,
    held: usize,
    bytes: u64,
}

impl RateLimiter {
    /// Creates a limiter with one item of each topic per `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, topics: HashMap::new(), due: BTreeSet::new(), held: 0, bytes: 0 }
    }

    /// Returns the item if it may pass now; otherwise it replaces the one that is held back. Items that are due must have
    /// been released before.
    pub(super) fn offer(&mut self, topic: &Topic, mut item: QueuedItem, now: Instant) -> Option<QueuedItem> {
        match self.topics.entry(topic.clone()) {
            Entry::Vacant(topic) => {
                let due = now + self.interval;
                self.due.insert((due, topic.key().clone()));
                topic.insert((due, None));
                Some(item)
            }
            Entry::Occupied(mut entry) => {
                let (_, held) = entry.get_mut();
                self.bytes += item.bytes();
                match held.take() {
                    None => self.held += 1,
                    Some(older) => {
                        self.bytes -= older.bytes();
                        item.skipped = older.skipped + 1;
                    }
                }
                *held = Some(item);
                None
            }
        }
    }

    /// Begins the period of a topic of which an item has passed, unless it has one.
    pub(super) fn passed(&mut self, topic: &Topic, now: Instant) {
        if let Entry::Vacant(entry) = self.topics.entry(topic.clone()) {
            let due = now + self.interval;
            self.due.insert((due, topic.clone()));
            entry.insert((due, None));
        }
    }

    /// Returns the first of the items that may pass now.
    pub(super) fn release(&mut self, now: Instant) -> Option<(Topic, QueuedItem)> {
        while self.next().is_some_and(|due| due <= now) {
            let (due, topic) = self.due.pop_first()?;
            if let Some((_, Some(item))) = self.topics.remove(&topic) {
                self.forget(&item);
                // Periods are contiguous, or each delay would lower the rate.
                let next = if now < due + self.interval { due + self.interval } else { now + self.interval };
                self.due.insert((next, topic.clone()));
                self.topics.insert(topic.clone(), (next, None));
                return Some((topic, item));
            }
        }
        None
    }

    /// Forgets the topic whose period is over first, and returns its held item.
    pub(super) fn forget_first(&mut self) -> Option<(Topic, Option<QueuedItem>)> {
        let (_, topic) = self.due.pop_first()?;
        let (_, held) = self.topics.remove(&topic)?;
        held.iter().for_each(|item| self.forget(item));
        Some((topic, held))
    }

    /// Drops the held item that is due first. Its topic keeps its period.
    pub(super) fn drop_first(&mut self) -> Option<QueuedItem> {
        let is_held = |topic: &Topic| self.topics.get(topic).is_some_and(|(_, held)| held.is_some());
        let topic = self.due.iter().map(|(_, topic)| topic).find(|topic| is_held(topic))?;
        let item = self.topics.get_mut(topic)?.1.take()?;
        self.forget(&item);
        Some(item)
    }

    fn forget(&mut self, item: &QueuedItem) {
        self.held -= 1;
        self.bytes -= item.bytes();
    }

    /// Returns the end of the next period.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Returns the number of held items.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Returns the total size of the held items in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of topics with a period.
    pub(super) fn topics(&self) -> usize {
        self.topics.len()
    }
}
