//! A rate: of each topic one item in each period, the newest, for one subscriber.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::item::QueuedItem;
use crate::name::Topic;

/// The topics of which an item has passed within the last period, and the items that are held back until it is over.
#[derive(Debug)]
pub(super) struct RateLimiter {
    every: Duration,
    /// When the next item of each may pass, and the item that then will.
    topics: HashMap<Topic, (Instant, Option<QueuedItem>)>,
    due: BTreeSet<(Instant, Topic)>,
    held: usize,
    bytes: u64,
}

impl RateLimiter {
    /// `every` so long an item of each topic may pass.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, topics: HashMap::new(), due: BTreeSet::new(), held: 0, bytes: 0 }
    }

    /// Gives the item back if it may pass now; otherwise it takes the place of the one that is held back. What is due has
    /// been released before.
    pub(super) fn offer(&mut self, topic: &Topic, mut item: QueuedItem, now: Instant) -> Option<QueuedItem> {
        match self.topics.entry(topic.clone()) {
            Entry::Vacant(topic) => {
                let due = now + self.every;
                self.due.insert((due, topic.key().clone()));
                topic.insert((due, None));
                Some(item)
            }
            Entry::Occupied(mut paced) => {
                let (_, held) = paced.get_mut();
                self.bytes += item.bytes();
                match held.take() {
                    None => self.held += 1,
                    Some(older) => {
                        self.bytes -= older.bytes();
                        item.thinned = older.thinned + 1;
                    }
                }
                *held = Some(item);
                None
            }
        }
    }

    /// Begins the period of a topic, unless it has one: an item of it has passed.
    pub(super) fn passed(&mut self, topic: &Topic, now: Instant) {
        if let Entry::Vacant(paced) = self.topics.entry(topic.clone()) {
            let due = now + self.every;
            self.due.insert((due, topic.clone()));
            paced.insert((due, None));
        }
    }

    /// The first of the items that may pass now.
    pub(super) fn release(&mut self, now: Instant) -> Option<(Topic, QueuedItem)> {
        while self.next().is_some_and(|due| due <= now) {
            let (due, topic) = self.due.pop_first()?;
            if let Some((_, Some(item))) = self.topics.remove(&topic) {
                self.forget(&item);
                // Periods follow each other without a break, or a rate would be missed by every lateness.
                let next = if now < due + self.every { due + self.every } else { now + self.every };
                self.due.insert((next, topic.clone()));
                self.topics.insert(topic.clone(), (next, None));
                return Some((topic, item));
            }
        }
        None
    }

    /// Forgets the topic whose period is over first, and gives back what is held of it.
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

    /// When the next period is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many items are held back.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many topics are remembered.
    pub(super) fn topics(&self) -> usize {
        self.topics.len()
    }
}
