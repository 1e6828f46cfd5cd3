//! The queue of one subscriber whose policy cannot be shared: the newest items of each topic, or items at a rate.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::gap::{GapReason, Missed};
use super::item::QueuedItem;
use super::patience::Patience;
use super::policy::{Keep, Policy};
use super::rate::RateLimiter;
use crate::name::Topic;

/// The next entry of a queue.
#[derive(Debug, PartialEq, Eq)]
pub enum NextItem {
    /// This many items are missing here.
    Gap(u64, GapReason),
    /// An item, as its encoded frame.
    Item(Bytes),
}

/// The queue of undelivered items, within the limits of a policy.
///
/// If the newest of each topic are kept, each topic has as many slots in the queue as items. A newer item takes the last slot
/// of its topic instead of one at the end, so that a topic with many items does not delay the others.
#[derive(Debug)]
pub struct Queue {
    keep: Keep,
    items: usize,
    bytes: u64,
    /// The topics of the queued items, in the order of their slots.
    slots: VecDeque<Topic>,
    topics: HashMap<Topic, TopicQueue>,
    /// The total size of the items with slots, in bytes.
    slot_bytes: u64,
    rate_limiter: Option<RateLimiter>,
    /// The gaps to report before anything else.
    missed: Missed,
    /// The counts of all items dropped so far.
    dropped: Missed,
    patience: Patience,
}

/// The items of one topic.
#[derive(Debug, Default)]
struct TopicQueue {
    items: VecDeque<QueuedItem>,
    /// The gaps to report before the first of them.
    missed: Missed,
}

impl Queue {
    /// Creates an empty queue.
    pub fn new(policy: &Policy) -> Self {
        Self {
            keep: policy.keep,
            items: (policy.items as usize).max(1),
            bytes: policy.bytes,
            slots: VecDeque::new(),
            topics: HashMap::new(),
            slot_bytes: 0,
            rate_limiter: policy.every.map(RateLimiter::new),
            missed: Missed::default(),
            dropped: Missed::default(),
            patience: Patience::default(),
        }
    }

    /// Sets the maximum size of kept items, from the next item on.
    pub fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Adds an item, regardless of the rate.
    pub fn push(&mut self, topic: &Topic, frame: Bytes) {
        let bytes = frame.len() as u64;
        self.assign_slot(topic.clone(), QueuedItem { frame, skipped: 0 });
        self.enforce_limits(bytes);
    }

    /// Adds an item, which may be held back if there is a rate.
    pub fn push_at(&mut self, topic: &Topic, frame: Bytes, now: Instant) {
        self.release(now);
        let Some(rate_limiter) = &mut self.rate_limiter else { return self.push(topic, frame) };
        let item = QueuedItem { frame, skipped: 0 };
        let (bytes, held_back) = (item.bytes(), rate_limiter.held());
        match rate_limiter.offer(topic, item, now) {
            Some(item) => self.assign_slot(topic.clone(), item),
            // It has replaced one that was held back.
            None if rate_limiter.held() == held_back => self.dropped.rate += 1,
            None => {}
        }
        self.enforce_limits(bytes);
    }

    /// Records that the subscriber has received an item of the topic in another way, which counts towards the rate.
    pub fn record_passed(&mut self, topic: &Topic, now: Instant) {
        if let Some(rate_limiter) = &mut self.rate_limiter {
            rate_limiter.passed(topic, now);
            self.enforce_limits(0);
        }
    }

    /// Queues the items held back that are due.
    pub fn release(&mut self, now: Instant) {
        while let Some((topic, item)) =
            self.rate_limiter.as_mut().and_then(|rate_limiter| rate_limiter.release(now))
        {
            self.assign_slot(topic, item);
        }
    }

    /// Queues all items held back, because nothing follows them.
    pub fn release_all(&mut self) {
        while let Some((topic, held_back)) = self.rate_limiter.as_mut().and_then(RateLimiter::forget_first) {
            held_back.into_iter().for_each(|item| self.assign_slot(topic.clone(), item));
        }
    }

    /// Returns the time at which [`Queue::release`] should be called next.
    pub fn next_due(&self) -> Option<Instant> {
        self.rate_limiter.as_ref()?.next()
    }

    /// Takes the next entry: a gap comes before the item that follows it.
    pub fn pop(&mut self) -> Option<NextItem> {
        self.patience.taken();
        let next = self.take();
        if self.slots.is_empty() {
            self.patience.caught_up();
        }
        next
    }

    fn take(&mut self) -> Option<NextItem> {
        if let Some((count, reason)) = self.missed.take() {
            return Some(NextItem::Gap(count, reason));
        }
        let topic_queue = self.topics.get_mut(self.slots.front()?)?;
        let first = topic_queue.items.front_mut()?;
        topic_queue.missed.rate += mem::take(&mut first.skipped);
        if let Some((count, reason)) = topic_queue.missed.take() {
            return Some(NextItem::Gap(count, reason));
        }
        let (topic, item) = (self.slots.pop_front()?, topic_queue.items.pop_front()?);
        self.slot_bytes -= item.bytes();
        if topic_queue.items.is_empty() {
            self.topics.remove(&topic);
        }
        Some(NextItem::Item(item.frame))
    }

    /// Returns true if an entry can be taken now.
    pub fn is_ready(&self) -> bool {
        !self.slots.is_empty() || self.missed != Missed::default()
    }

    /// Returns the number of items, held back or not.
    pub fn len(&self) -> usize {
        self.slots.len() + self.rate_limiter.as_ref().map_or(0, RateLimiter::held)
    }

    /// Returns true if there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the total size of these items in bytes.
    pub fn bytes(&self) -> u64 {
        self.slot_bytes + self.rate_limiter.as_ref().map_or(0, RateLimiter::bytes)
    }

    /// Returns the counts of all items dropped since the beginning, reported or not.
    pub fn dropped(&self) -> Missed {
        self.dropped
    }

    /// Returns the time until which the publisher waits for the subscriber: `limit` after it first blocked the publisher.
    /// `None` if there is room, the policy does not wait, or the wait has timed out. `progress` is any number, whose change
    /// counts as progress.
    pub fn wait_deadline(&mut self, now: Instant, limit: Duration, progress: u64) -> Option<Instant> {
        let is_full = self.len() >= self.items || self.bytes() > self.bytes / 2;
        if matches!(self.keep, Keep::Last { .. }) || !is_full {
            return None;
        }
        self.patience.deadline(now, limit, progress)
    }

    /// Returns true if a wait for the subscriber timed out and it has not read everything since.
    pub fn is_abandoned(&self) -> bool {
        self.patience.is_over()
    }

    fn assign_slot(&mut self, topic: Topic, item: QueuedItem) {
        let max_items = match self.keep {
            Keep::Last { items } => (items as usize).max(1),
            Keep::DropOldest | Keep::Wait => usize::MAX,
        };
        self.slot_bytes += item.bytes();
        let topic_queue = self.topics.entry(topic.clone()).or_default();
        if topic_queue.items.len() >= max_items
            && let Some(oldest) = topic_queue.items.pop_front()
        {
            self.slot_bytes -= oldest.bytes();
            topic_queue.missed.superseded += 1;
            topic_queue.missed.rate += oldest.skipped;
            self.dropped.superseded += 1;
        } else {
            self.slots.push_back(topic);
        }
        topic_queue.items.push_back(item);
    }

    /// Drops items beyond the limits, the oldest first. The newest item, of `newest` bytes, does not count.
    fn enforce_limits(&mut self, newest: u64) {
        while self.rate_limiter.as_ref().is_some_and(|rate_limiter| rate_limiter.topics() > self.items)
            && let Some((topic, held_back)) = self.rate_limiter.as_mut().and_then(RateLimiter::forget_first)
        {
            // With this many topics the rate cannot be enforced.
            held_back.into_iter().for_each(|item| self.assign_slot(topic.clone(), item));
        }
        if self.keep == Keep::Wait && !self.patience.is_over() {
            // There was room for it, because the publisher has checked.
            return;
        }
        while self.len() > 1 && (self.len() > self.items || self.bytes().saturating_sub(newest) > self.bytes)
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let mut missed = Missed::default();
        let item = match self.slots.pop_front() {
            Some(topic) => {
                let Some(topic_queue) = self.topics.get_mut(&topic) else { return };
                let item = topic_queue.items.pop_front();
                missed += mem::take(&mut topic_queue.missed);
                if topic_queue.items.is_empty() {
                    self.topics.remove(&topic);
                }
                self.slot_bytes -= item.as_ref().map_or(0, QueuedItem::bytes);
                item
            }
            None => self.rate_limiter.as_mut().and_then(RateLimiter::drop_first),
        };
        let Some(item) = item else { return };
        missed.rate += item.skipped;
        let last = match self.keep {
            Keep::Wait => Missed { patience: 1, ..Missed::default() },
            Keep::DropOldest | Keep::Last { .. } => Missed { overflow: 1, ..Missed::default() },
        };
        missed += last;
        self.dropped += last;
        self.missed += missed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn topic(text: &str) -> Topic {
        Topic::new(text).expect("a topic")
    }

    fn item(bytes: &'static [u8]) -> NextItem {
        NextItem::Item(Bytes::from_static(bytes))
    }

    fn push_all(queue: &mut Queue, items: &[(&str, &'static [u8])]) {
        items.iter().for_each(|(name, bytes)| queue.push(&topic(name), Bytes::from_static(bytes)));
    }

    fn drain(queue: &mut Queue) -> Vec<NextItem> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn the_newest_item_of_a_topic_replaces_the_previous_one() {
        let mut queue = Queue::new(&Policy::last(1));
        push_all(&mut queue, &[("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"4")]);
        assert_eq!(drain(&mut queue), [NextItem::Gap(2, GapReason::Superseded), item(b"4"), item(b"2")]);
        assert!(queue.is_empty() && !queue.is_ready());
    }

    #[test]
    fn the_newest_items_of_each_topic_are_kept_in_its_slots() {
        let mut queue = Queue::new(&Policy::last(2));
        let items: [(_, &[u8]); 6] =
            [("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4"), ("a", b"5"), ("a", b"6")];
        push_all(&mut queue, &items);
        let superseded = NextItem::Gap(2, GapReason::Superseded);
        assert_eq!(drain(&mut queue), [superseded, item(b"5"), item(b"2"), item(b"6"), item(b"4")]);
    }

    #[test]
    fn items_and_bytes_are_bounded_but_one_item_always_fits() {
        let overflow = |count| NextItem::Gap(count, GapReason::Overflow);
        let mut queue = Queue::new(&Policy { items: 2, ..Policy::last(1) });
        push_all(&mut queue, &[("a", b"1"), ("a", b"2"), ("b", b"3"), ("c", b"4")]);
        let superseded = NextItem::Gap(1, GapReason::Superseded);
        assert_eq!(drain(&mut queue), [overflow(1), superseded, item(b"3"), item(b"4")]);
        let mut queue = Queue::new(&Policy { bytes: 3, ..Policy::last(1) });
        push_all(&mut queue, &[("a", b"22"), ("b", b"1"), ("c", b"55555"), ("d", b"")]);
        assert_eq!(drain(&mut queue), [overflow(3), item(b"")]);
        assert_eq!((queue.bytes(), queue.dropped().overflow), (0, 3));
    }

    #[test]
    fn the_newest_of_a_period_is_delivered_at_its_end() {
        let start = Instant::now();
        let at = |tenths| start + SECOND * tenths / 10;
        let mut queue = Queue::new(&Policy { every: Some(SECOND), ..Policy::default() });
        for (name, bytes, tenths) in
            [("a", b"1", 0), ("a", b"2", 1), ("b", b"3", 2), ("a", b"4", 3), ("b", b"5", 4), ("a", b"6", 9)]
        {
            queue.push_at(&topic(name), Bytes::from_static(bytes), at(tenths));
        }
        assert_eq!(drain(&mut queue), [item(b"1"), item(b"3")]);
        assert_eq!((queue.len(), queue.next_due(), queue.dropped().rate), (2, Some(at(10)), 2));
        queue.release(at(10));
        assert_eq!(drain(&mut queue), [NextItem::Gap(2, GapReason::Rate), item(b"6")]);
        assert_eq!(queue.next_due(), Some(at(12)));
        queue.release(at(15));
        assert_eq!(drain(&mut queue), [item(b"5")]);
        assert_eq!(queue.next_due(), Some(at(20)), "periods follow each other though one was taken late");
        queue.release(at(100));
        assert_eq!(queue.next_due(), None, "a topic without items is forgotten");
    }

    #[test]
    fn held_items_are_delivered_at_once_at_the_end() {
        let start = Instant::now();
        let mut queue = Queue::new(&Policy { every: Some(SECOND), ..Policy::default() });
        for (name, bytes) in [("a", b"1"), ("a", b"2"), ("a", b"3"), ("b", b"4"), ("b", b"5")] {
            queue.push_at(&topic(name), Bytes::from_static(bytes), start);
        }
        queue.release_all();
        let expected = [item(b"1"), item(b"4"), NextItem::Gap(1, GapReason::Rate), item(b"3"), item(b"5")];
        assert_eq!(drain(&mut queue), expected);
        assert_eq!((queue.len(), queue.next_due()), (0, None));
    }

    #[test]
    fn a_rate_can_be_combined_with_the_newest_items_of_each_topic() {
        let start = Instant::now();
        let mut queue = Queue::new(&Policy { every: Some(SECOND), ..Policy::last(1) });
        for (bytes, tenths) in [(b"1", 0), (b"2", 1), (b"3", 2), (b"4", 12)] {
            queue.push_at(&topic("a"), Bytes::from_static(bytes), start + SECOND * tenths / 10);
        }
        queue.release(start + 2 * SECOND);
        let gaps = [NextItem::Gap(1, GapReason::Rate), NextItem::Gap(2, GapReason::Superseded)];
        assert_eq!(drain(&mut queue), gaps.into_iter().chain([item(b"4")]).collect::<Vec<_>>());
    }

    #[test]
    fn beyond_the_limit_of_topics_only_the_number_of_items_is_enforced() {
        let start = Instant::now();
        let mut queue = Queue::new(&Policy { every: Some(SECOND), items: 3, ..Policy::default() });
        for (name, bytes) in [("a", b"1"), ("a", b"2")] {
            queue.push_at(&topic(name), Bytes::from_static(bytes), start);
        }
        assert_eq!(drain(&mut queue), [item(b"1")]);
        for name in ["b", "c", "d"] {
            queue.push_at(&topic(name), Bytes::from_static(b"3"), start);
        }
        // The item held back of the first topic had to be queued after the others, which exceeded the limit by one.
        let three = [item(b"3"), item(b"3"), item(b"2")];
        let expected: Vec<_> = [NextItem::Gap(1, GapReason::Overflow)].into_iter().chain(three).collect();
        assert_eq!(drain(&mut queue), expected);
        assert_eq!(queue.dropped(), Missed { overflow: 1, ..Missed::default() });
    }

    #[test]
    fn a_subscriber_with_a_waiting_publisher_loses_nothing_until_the_timeout() {
        let start = Instant::now();
        let mut queue = Queue::new(&Policy { every: Some(SECOND), items: 2, ..Policy::wait() });
        let push = |queue: &mut Queue, name| queue.push_at(&topic(name), Bytes::from_static(b"1"), start);
        push(&mut queue, "a");
        assert_eq!(queue.wait_deadline(start, 5 * SECOND, 0), None, "there is room");
        push(&mut queue, "b");
        assert_eq!(queue.wait_deadline(start, 5 * SECOND, 0), Some(start + 5 * SECOND));
        assert_eq!(queue.wait_deadline(start + SECOND, 5 * SECOND, 0), Some(start + 5 * SECOND));
        assert_eq!(
            queue.wait_deadline(start + SECOND, 5 * SECOND, 1),
            Some(start + 6 * SECOND),
            "it makes progress"
        );
        assert_eq!(queue.wait_deadline(start + 6 * SECOND, 5 * SECOND, 1), None);
        assert!(queue.is_abandoned());
        push(&mut queue, "c");
        push(&mut queue, "d");
        assert_eq!(queue.pop(), Some(NextItem::Gap(2, GapReason::Patience)));
        assert!(queue.is_abandoned());
        assert_eq!(drain(&mut queue).len(), 2);
        assert!(!queue.is_abandoned(), "it has caught up");
    }
}
