//! The publisher of one service: the logs that its subscribers read, and the items it retains.

pub(crate) mod encoded;
pub(crate) mod group;
pub(crate) mod subscribers;
pub(crate) mod topics;
pub(crate) mod waiters;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use meshzero_proto::codec::{EncodeError, TypeInfo, WireType, negotiated_encoding};
use meshzero_proto::limits::Limits;
use meshzero_proto::name::{InvalidName, Topic};
use meshzero_proto::news::Subscribe;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use self::draft::{DraftItem, EncodingGuesses};
pub use self::feed::SubscriberStream;
use crate::runtime::clock;
use crate::runtime::rare::Rare;
use crate::runtime::timer::{Sleep, Timers};
use crate::runtime::waking;
use crate::server::publisher::encoded::EncodedItem;
use crate::server::publisher::subscribers::{Blocked, Subscribers, WaitFor};
use crate::server::publisher::topics::{TopicState, Topics};
use crate::server::publisher::waiters::WaitTicket;
use crate::telemetry::stats::NewsCounts;

mod draft;
mod feed;

/// The number of items after which a loop that publishes without having to wait yields to other tasks on the thread:
/// without subscribers, or with one that has stopped, it would never yield otherwise. More than a backlog usually holds,
/// so that batches are not split without need.
const YIELD_INTERVAL: u64 = 4_096;

/// The number of small items that a large one counts as.
const LARGE_ITEM_WEIGHT: u64 = 64;

/// Publishes the items of one service. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<PublisherShared>,
}

struct PublisherShared {
    state: Mutex<PublisherState>,
    limits: Limits,
    timers: Arc<Timers>,
    guesses: EncodingGuesses,
    /// The number of subscribers, for a source that produces items only while there are any.
    demand: watch::Sender<usize>,
}

struct PublisherState {
    subscribers: Subscribers,
    topics: Topics,
    published: u64,
    refused: u64,
    /// The timer at which publishers that wait for room check again, although none has been made.
    retry_timer: WaitTimer,
    /// The number of published items at which a loop that publishes yields.
    yield_at: u64,
    closed: bool,
}

/// The result of an attempt to publish an item.
enum PublishOutcome {
    Published,
    /// There is no room for it yet, or another publisher is first.
    Blocked(Box<Blocked>),
    /// The item has to be encoded in further encodings first, or its type has to be determined.
    NotEncoded,
}

/// A timer with its instant, if one is needed.
type WaitTimer = Option<(Instant, Sleep)>;

/// A topic, as the description of the service lists it.
#[derive(Debug, Clone)]
pub(crate) struct TopicInfo {
    /// The topic.
    pub topic: Topic,
    /// The type of its items; `None` until something was published.
    pub item: Option<&'static TypeInfo>,
    /// Set if its last item is sent to those who subscribe later.
    pub retained: bool,
}

/// The reason why an item was not published. No subscriber has received it.
// Small, because it is a part of each result.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic is not valid.
    #[error(transparent)]
    Topic(Box<InvalidName>),
    /// The item cannot be encoded, or is longer than the mesh allows.
    #[error(transparent)]
    Item(Box<EncodeError>),
    /// A subscriber that must be waited for (`Subscribe::wait`) has no room, or other publishers wait for that room
    /// already. `publish_all` waits for room in turn.
    #[error("a subscriber that wants every item has no room for another one")]
    Full,
    /// The service has been closed.
    #[error("the service is closed")]
    Closed,
}

/// The sentence itself, because that is what Rust prints when `main` returns an error.
impl fmt::Debug for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<InvalidName> for PublishError {
    #[cold]
    fn from(invalid: InvalidName) -> Self {
        Self::Topic(Box::new(invalid))
    }
}

impl From<EncodeError> for PublishError {
    #[cold]
    fn from(error: EncodeError) -> Self {
        Self::Item(Box::new(error))
    }
}

impl Publisher {
    /// A publisher without subscribers. `timers` bound its waiting.
    pub(crate) fn new(limits: &Limits, timers: &Arc<Timers>) -> Self {
        let state = Mutex::new(PublisherState {
            subscribers: Subscribers::new(limits),
            topics: Topics::default(),
            published: 0,
            refused: 0,
            retry_timer: None,
            yield_at: YIELD_INTERVAL,
            closed: false,
        });
        let (limits, timers, demand) = (limits.clone(), Arc::clone(timers), watch::Sender::new(0));
        let guesses = EncodingGuesses::default();
        Self { shared: Arc::new(PublisherShared { state, limits, timers, guesses, demand }) }
    }

    /// Declares a topic, so that it is described, or retained, before anything is published.
    pub(crate) fn declare(&self, topic: Topic, item: Option<&'static TypeInfo>, retains: bool) {
        let mut state = self.shared.lock();
        let max_topics = self.shared.limits.topics;
        if let Ok(Some(declared)) = state.topics.get_or_insert(&topic, max_topics) {
            declared.retains |= retains;
            declared.item = item.or(declared.item.take());
        }
    }

    /// Publishes `item` to every subscriber whose prefix `topic` begins with. Never waits.
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item.
    pub fn publish<T: WireType>(&self, topic: &str, item: &T) -> Result<(), PublishError> {
        let shared = &self.shared;
        let max = shared.limits.message_bytes;
        let mut draft = DraftItem::new(&shared.guesses, topic, item, max, None);
        let mut woken = Vec::new();
        let published = loop {
            let mut state = shared.lock();
            let published =
                state.publish::<T>(shared, topic, &mut draft, WaitFor::Insisting, None, &mut woken);
            drop(state);
            match published {
                Ok(PublishOutcome::Published) => break Ok(()),
                Ok(PublishOutcome::NotEncoded) => draft.complete(item, max),
                Ok(PublishOutcome::Blocked(_)) => break Err(shared.refuse()),
                Err(error) => break Err(error),
            }
        };
        draft.item.recycle();
        waking::wake_all(woken);
        published
    }

    /// As [`Publisher::publish`], once every subscriber that would otherwise miss an older item has room. Subscribers
    /// that have taken nothing for [`Limits::news_patience`] are not waited for until they have caught up. Publishers
    /// that wait for the same subscribers proceed in the order in which they began to wait.
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future before it has ended publishes nothing.
    pub fn publish_all<T: WireType>(
        &self,
        topic: impl AsRef<str>,
        item: &T,
    ) -> impl Future<Output = Result<(), PublishError>> {
        let mut waiting =
            WaitingPublisher { shared: &self.shared, ticket: None, encoded: Rare::NONE, has_ended: false };
        poll_fn(move |task| waiting.poll(task, topic.as_ref(), item))
    }

    /// Adds a subscriber, whose stream begins with the retained items of its topics; `None` if the limit of
    /// subscriptions is reached, or the service is closed.
    pub(crate) fn subscribe(&self, subscribe: &Subscribe) -> Option<SubscriberStream> {
        let limits = &self.shared.limits;
        let mut state = self.shared.lock();
        if state.closed || state.subscribers.len() >= limits.subscriptions {
            return None;
        }
        let PublisherState { subscribers, topics, .. } = &mut *state;
        let retained = topics.states.iter().filter_map(|state| {
            let info = state.last.item.filter(|_| state.topic.starts_with(subscribe.prefix.as_str()))?;
            let frame = state.last.frame(negotiated_encoding(info.fingerprint(), subscribe.fingerprint))?;
            Some((&state.topic, frame))
        });
        let mut retained: Vec<_> = retained.collect();
        retained.sort_by_key(|(topic, _)| *topic);
        let policy = subscribe.policy.limited_by(limits);
        let id = subscribers.add(&Subscribe { policy, ..subscribe.clone() }, retained);
        drop(state);
        self.shared.notify_demand();
        Some(SubscriberStream::new(Arc::clone(&self.shared), id))
    }

    /// Returns the number of subscribers at the moment.
    pub fn subscribers(&self) -> usize {
        self.shared.lock().subscribers.len()
    }

    /// The number of subscribers, as a channel that reports its changes.
    pub(crate) fn demand(&self) -> watch::Receiver<usize> {
        self.shared.demand.subscribe()
    }

    /// Returns the counters of the items published so far.
    pub fn totals(&self) -> NewsCounts {
        let state = self.shared.lock();
        NewsCounts {
            published: state.published,
            refused: state.refused,
            delivered: state.subscribers.delivered(),
            missed: state.subscribers.missed(),
            given_up: state.subscribers.given_up(),
            subscribers: state.subscribers.len(),
        }
    }

    /// Calls `each` for all topics in the order in which they were added, with the type of the items, and true if the last
    /// one is retained.
    pub(crate) fn each_topic(&self, mut each: impl FnMut(Option<&'static TypeInfo>, bool)) {
        self.shared.lock().topics.states.iter().for_each(|topic| each(topic.item, topic.retains));
    }

    /// The topics that were declared or published, in alphabetical order.
    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        let state = self.shared.lock();
        let topics = state.topics.states.iter().map(|topic| TopicInfo {
            topic: topic.topic.clone(),
            item: topic.item,
            retained: topic.retains,
        });
        let mut topics: Vec<_> = topics.collect();
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        topics
    }

    /// Stops publishing. Subscriptions end once they have received the items published before.
    pub(crate) fn close(&self) {
        let woken = {
            let mut state = self.shared.lock();
            state.closed = true;
            state.subscribers.wake_all()
        };
        waking::wake_all(woken);
    }
}

impl PublisherShared {
    #[inline(always)]
    fn lock(&self) -> MutexGuard<'_, PublisherState> {
        self.state.lock()
    }

    /// Updates `demand`. Must not be called under the lock: a task that is woken may end, and drop its subscriptions.
    fn notify_demand(&self) {
        self.demand.send_if_modified(|count| {
            let now = self.lock().subscribers.len();
            std::mem::replace(count, now) != now
        });
    }

    #[cold]
    fn refuse(&self) -> PublishError {
        self.lock().refused += 1;
        PublishError::Full
    }
}

/// A publisher that may wait for room. Dropping it gives up its place in the queue.
struct WaitingPublisher<'a> {
    shared: &'a Arc<PublisherShared>,
    /// Its ticket, once it waits.
    ticket: Option<WaitTicket>,
    /// The item, kept while it waits, so that it is encoded once.
    encoded: Rare<EncodedItem>,
    has_ended: bool,
}

impl WaitingPublisher<'_> {
    #[inline(always)]
    fn poll<T: WireType>(
        &mut self,
        task: &mut Context<'_>,
        topic: &str,
        item: &T,
    ) -> Poll<Result<(), PublishError>> {
        assert!(!self.has_ended, "publish_all was polled after it had ended");
        let shared = self.shared;
        let max = shared.limits.message_bytes;
        let mut draft = DraftItem::new(&shared.guesses, topic, item, max, self.encoded.take());
        let mut woken = Vec::new();
        let published = loop {
            let mut state = shared.lock();
            if state.published >= state.yield_at {
                state.yield_turn(task);
                break Poll::Pending;
            }
            let ticket = self.ticket;
            match state.publish::<T>(shared, topic, &mut draft, WaitFor::Any, ticket, &mut woken) {
                Ok(PublishOutcome::Published) => break Poll::Ready(Ok(())),
                Ok(PublishOutcome::NotEncoded) => {
                    drop(state);
                    draft.complete(item, max);
                }
                Ok(PublishOutcome::Blocked(blocked)) => {
                    let (ticket, _replaced) = state.wait(shared, task.waker(), ticket, *blocked, &mut woken);
                    drop(state);
                    self.ticket = Some(ticket);
                    break Poll::Pending;
                }
                Err(error) => break Poll::Ready(Err(error)),
            }
        };
        match published {
            Poll::Pending => *self.encoded = Some(draft.item),
            Poll::Ready(_) => {
                self.has_ended = true;
                draft.item.recycle();
                if self.ticket.is_some() {
                    self.leave();
                }
            }
        }
        waking::wake_all(woken);
        published
    }

    /// Gives up its place in the queue.
    #[cold]
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut woken = Vec::new();
            let _removed = self.shared.lock().subscribers.leave_waiting(ticket, &mut woken);
            waking::wake_all(woken);
        }
    }
}

impl Drop for WaitingPublisher<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.leave();
        }
    }
}

/// Wakes the publishers that wait for room, because a subscriber may have to be given up.
struct RetryWaker(Weak<PublisherShared>);

impl Wake for RetryWaker {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.0.upgrade() else { return };
        let woken = {
            let mut state = shared.lock();
            state.retry_timer = None;
            state.subscribers.take_waiting()
        };
        waking::wake_all(woken);
    }
}

impl PublisherState {
    #[cold]
    fn yield_turn(&mut self, task: &mut Context<'_>) {
        self.yield_at = self.published + YIELD_INTERVAL;
        task.waker().wake_by_ref();
    }

    /// Registers `publisher` to be woken when there may be room, or when a subscriber has to be given up. Returns its
    /// ticket, and a waker to be dropped once nothing is locked.
    #[cold]
    fn wait(
        &mut self,
        shared: &Arc<PublisherShared>,
        publisher: &Waker,
        ticket: Option<WaitTicket>,
        blocked: Blocked,
        woken: &mut Vec<Waker>,
    ) -> (WaitTicket, Option<Waker>) {
        let Blocked { until, groups } = blocked;
        let registered = self.subscribers.wake_when_there_is_room(ticket, groups, publisher, woken);
        self.yield_at = self.published + YIELD_INTERVAL;
        // A timer that fires too early does no harm, and is set once for many short waits.
        if self.retry_timer.as_ref().is_none_or(|(at, _)| until < *at) {
            let retry = Waker::from(Arc::new(RetryWaker(Arc::downgrade(shared))));
            let mut timer = shared.timers.sleep_until(Some(until));
            if Pin::new(&mut timer).poll(&mut Context::from_waker(&retry)).is_pending() {
                self.retry_timer = Some((until, timer));
            }
        }
        registered
    }

    /// Publishes an item, if no subscriber selected by `wait_for` has to be waited for, and the item has been encoded as
    /// needed.
    #[inline(always)]
    fn publish<T: WireType>(
        &mut self,
        shared: &PublisherShared,
        topic: &str,
        draft: &mut DraftItem<'_>,
        wait_for: WaitFor,
        ticket: Option<WaitTicket>,
        woken: &mut Vec<Waker>,
    ) -> Result<PublishOutcome, PublishError> {
        let Self { subscribers, topics, published, yield_at, closed, .. } = self;
        if *closed {
            return Err(PublishError::Closed);
        }
        let mut unlisted;
        let state = match topics.get_or_insert(topic, shared.limits.topics) {
            Ok(Some(state)) => state,
            Ok(None) => {
                unlisted = TopicState::new(Topic::new(topic)?);
                &mut unlisted
            }
            Err(invalid) => return Err(invalid.into()),
        };
        let Some(info) = state.find_recipients::<T>(subscribers, draft.info) else {
            return Ok(PublishOutcome::NotEncoded);
        };
        if !subscribers.has_room(&state.recipients, wait_for)
            && let Some(blocked) =
                subscribers.wait_for(&state.recipients, wait_for, ticket, clock::now(), woken)
        {
            return Ok(PublishOutcome::Blocked(Box::new(blocked)));
        }
        let wanted = state.wanted(info);
        if wanted != draft.wanted {
            shared.guesses.record(topic, wanted);
            draft.wanted = wanted;
        }
        let item = &draft.item;
        if !item.has(wanted) {
            draft.info = Some(info);
            return Ok(PublishOutcome::NotEncoded);
        }
        // Before any subscriber gets a frame, so that an error means that nobody has it.
        if let Some(error) = item.error(wanted) {
            return Err(error.clone().into());
        }
        state.item = Some(info);
        if state.retains {
            state.last = item.retain(info);
        }
        if item.is_large() {
            *yield_at = yield_at.saturating_sub(LARGE_ITEM_WEIGHT);
        }
        subscribers.append(&state.recipients, &state.topic, |encoding| item.frame(encoding), woken);
        *published += 1;
        Ok(PublishOutcome::Published)
    }
}

#[cfg(test)]
mod tests;
