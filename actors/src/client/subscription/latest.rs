//! The items that wait at a subscriber that wants only the newest of each topic: newer items replace them until they are
//! taken.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use meshzero_proto::name::ServiceName;
use meshzero_proto::news::{self, GapReason};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// A publisher and a topic, as bytes that have not been validated.
pub(crate) type TopicKey = (ServiceName, Bytes);

/// The items, by publisher and topic. There are only a few more of them than entries in the queue of topics.
#[derive(Debug)]
pub(crate) struct LatestItems {
    /// The number of items kept per topic.
    per_topic: usize,
    /// The number of bytes that may wait before the feeds are held back.
    max_bytes: u64,
    state: Mutex<LatestState>,
    taken: Notify,
}

#[derive(Debug, Default)]
struct LatestState {
    topics: HashMap<TopicKey, VecDeque<LatestItem>>,
    /// The gap before the next item of a publisher.
    gaps: HashMap<ServiceName, GapCounts>,
    bytes: u64,
}

#[derive(Debug)]
struct LatestItem {
    frame: Bytes,
    /// The gap before this item.
    gaps: GapCounts,
}

/// The numbers of missing items, by reason.
#[derive(Debug, Default)]
struct GapCounts(Vec<(u64, GapReason)>);

impl GapCounts {
    fn add(&mut self, count: u64, reason: GapReason) {
        match self.0.iter_mut().find(|(_, other)| *other == reason) {
            // A publisher may send any number.
            Some((sum, _)) => *sum = sum.saturating_add(count),
            None => self.0.push((count, reason)),
        }
    }

    fn add_all(&mut self, other: Self) {
        other.0.into_iter().for_each(|(count, reason)| self.add(count, reason));
    }

    /// Encodes the gaps as whole frames.
    fn to_frames(&self) -> Bytes {
        self.0.iter().flat_map(|(count, reason)| news::gap(*count, *reason)).collect()
    }
}

impl LatestItems {
    pub(crate) fn new(per_topic: usize, max_bytes: u64) -> Self {
        Self { per_topic, max_bytes, state: Mutex::default(), taken: Notify::new() }
    }

    /// Records that `count` items are missing before the next one of a publisher.
    pub(crate) fn record_missed(&self, from: &ServiceName, count: u64, reason: GapReason) {
        self.lock().gaps.entry(from.clone()).or_default().add(count, reason);
    }

    /// Returns the gap since the last item of a publisher, when none follows, as whole frames.
    pub(crate) fn take_gap(&self, from: &ServiceName) -> Bytes {
        self.lock().gaps.remove(from).map(|gaps| gaps.to_frames()).unwrap_or_default()
    }

    /// Appends an item to its topic in place of the oldest, if the topic is full; returns whether it was.
    pub(crate) fn replace(&self, key: &TopicKey, frame: &Bytes) -> bool {
        let mut state = self.lock();
        let LatestState { topics, gaps, bytes } = &mut *state;
        let Some(items) = topics.get_mut(key).filter(|items| items.len() >= self.per_topic) else {
            return false;
        };
        items.push_back(LatestItem { frame: frame.clone(), gaps: gaps.remove(&key.0).unwrap_or_default() });
        *bytes += frame.len() as u64;
        if let Some(oldest) = items.pop_front()
            && let Some(first) = items.front_mut()
        {
            *bytes -= oldest.frame.len() as u64;
            let later = std::mem::replace(&mut first.gaps, oldest.gaps);
            first.gaps.add(1, GapReason::Superseded);
            first.gaps.add_all(later);
        }
        true
    }

    /// Appends an item to its topic, if that is not full; returns whether it was added.
    pub(crate) fn add(&self, key: &TopicKey, frame: &Bytes) -> bool {
        let mut state = self.lock();
        let LatestState { topics, gaps, bytes } = &mut *state;
        let items = topics.entry(key.clone()).or_default();
        let has_room = items.len() < self.per_topic;
        if has_room {
            items.push_back(LatestItem {
                frame: frame.clone(),
                gaps: gaps.remove(&key.0).unwrap_or_default(),
            });
            *bytes += frame.len() as u64;
        }
        has_room
    }

    /// Takes the first item of a topic, and the gap before it as whole frames, which may be empty.
    pub(crate) fn take(&self, key: &TopicKey) -> Option<(Bytes, Bytes)> {
        let mut state = self.lock();
        let items = state.topics.get_mut(key)?;
        let LatestItem { frame, gaps } = items.pop_front()?;
        if items.is_empty() {
            state.topics.remove(key);
        }
        state.bytes -= frame.len() as u64;
        drop(state);
        self.taken.notify_waiters();
        Some((frame, gaps.to_frames()))
    }

    /// Waits until the number of waiting bytes is within the limit.
    pub(crate) async fn wait_for_room(&self) {
        loop {
            let taken = self.taken.notified();
            if self.lock().bytes <= self.max_bytes {
                return;
            }
            taken.await;
        }
    }

    /// The state stays consistent after a panic: every change is one operation.
    fn lock(&self) -> MutexGuard<'_, LatestState> {
        self.state.lock()
    }
}
