//! The publisher of one service: the logs that its subscribers read, and the items it retains.

pub(crate) mod encoded;
pub(crate) mod group;
pub(crate) mod subscribers;
pub(crate) mod topics;
pub(crate) mod waiters;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use meshzero_proto::codec::{EncodeError, TypeInfo, WireType};
use meshzero_proto::limits::Limits;
use meshzero_proto::name::{InvalidName, Topic};
use meshzero_proto::news::Subscribe;
use meshzero_proto::wire::catalogue::negotiated_encoding;
use tokio::sync::watch;

use self::draft::{DraftItem, EncodingGuesses};
pub use self::feed::SubscriberStream;
use crate::runtime::clock;
use crate::runtime::timer::{Sleep, Timers};
use crate::runtime::waking;
use crate::server::publisher::subscribers::{Blocked, Subscribers, WaitFor};
use crate::server::publisher::topics::{TopicState, Topics};
use crate::server::publisher::waiters::WaitTicket;
use crate::telemetry::stats::NewsCounts;

mod draft;
mod feed;

/// The number of items published in a loop, without having to wait, before other tasks on the thread get their turn:
/// without subscribers, or with one that has stopped, the loop would never yield otherwise. More than are usually kept
/// for a subscriber, so that batches are not split without need.
const YIELD_INTERVAL: u64 = 4_096;

/// The number of small items that a large one counts as.
const LARGE_TURN: u64 = 64;

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
    /// The timer for publishers that wait for room to check again, although nobody has made any.
    retry_timer: WaitTimer,
    /// The number of published items at which loops let others have their turn.
    yield_at: u64,
    closed: bool,
}

/// The result of an attempt to publish an item.
enum PublishOutcome {
    Published,
    /// There is no room for it yet, or another publisher is first.
    Blocked(Box<Blocked>),
    /// It has to be encoded in other encodings first, or its type has to be determined.
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
        let most = self.shared.limits.topics;
        if let Ok(Some(known)) = state.topics.get_or_insert(&topic, most) {
            known.retains |= retains;
            known.item = item.or(known.item.take());
        }
    }

    /// Publishes `item` to every subscriber whose prefix `topic` begins with. Never waits.
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item.
    pub fn publish<T: WireType>(&self, topic: &str, item: &T) -> Result<(), PublishError> {
        let mut draft = DraftItem::new(&self.shared.guesses, topic, None);
        let mut woken = Vec::new();
        let published = loop {
            draft.encode(item, self.shared.limits.message_bytes);
            let mut state = self.shared.lock();
            let published =
                state.publish::<T>(&self.shared, topic, &mut draft, WaitFor::Insisting, None, &mut woken);
            drop(state);
            match published {
                Ok(PublishOutcome::Published) => break Ok(()),
                Ok(PublishOutcome::NotEncoded) => draft.resolve_type::<T>(),
                Ok(PublishOutcome::Blocked(_)) => break Err(self.shared.refuse()),
                Err(fault) => break Err(fault),
            }
        };
        draft.item.end();
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
    pub async fn publish_all<T: WireType>(&self, topic: &str, item: &T) -> Result<(), PublishError> {
        // Kept while it waits, so that the item is encoded once.
        let mut kept = None;
        let mut waiting = WaitingPublisher { shared: &self.shared, ticket: None };
        poll_fn(|task| {
            let mut draft = DraftItem::new(&self.shared.guesses, topic, kept.take());
            let published = self.poll_publish_all(task, topic, item, &mut draft, &mut waiting);
            match published {
                Poll::Pending => kept = Some(draft.item),
                Poll::Ready(_) => draft.item.end(),
            }
            published
        })
        .await
    }

    #[inline(always)]
    fn poll_publish_all<T: WireType>(
        &self,
        task: &mut Context<'_>,
        topic: &str,
        item: &T,
        draft: &mut DraftItem<'_>,
        waiting: &mut WaitingPublisher<'_>,
    ) -> Poll<Result<(), PublishError>> {
        let mut woken = Vec::new();
        let published = loop {
            draft.encode(item, self.shared.limits.message_bytes);
            let mut state = self.shared.lock();
            if state.published >= state.yield_at {
                state.yield_turn(task);
                return Poll::Pending;
            }
            let ticket = waiting.ticket;
            let published = state.publish::<T>(&self.shared, topic, draft, WaitFor::Any, ticket, &mut woken);
            match published {
                Ok(PublishOutcome::Published) => break Poll::Ready(Ok(())),
                Ok(PublishOutcome::NotEncoded) => {
                    drop(state);
                    draft.resolve_type::<T>();
                }
                Ok(PublishOutcome::Blocked(in_the_way)) => {
                    let (ticket, _replaced) =
                        state.wait(&self.shared, task.waker(), ticket, *in_the_way, &mut woken);
                    drop(state);
                    waiting.ticket = Some(ticket);
                    break Poll::Pending;
                }
                Err(fault) => break Poll::Ready(Err(fault)),
            }
        };
        waking::wake_all(woken);
        published
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
        let retained = topics.states.iter().filter_map(|known| {
            let info = known.last.item.filter(|_| known.topic.starts_with(subscribe.prefix.as_str()))?;
            let frame = known.last.frame(negotiated_encoding(info.fingerprint(), subscribe.fingerprint))?;
            Some((&known.topic, frame))
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

    /// Calls `each` for all topics, with the type of the items and whether the last one is retained, in the order in
    /// which they became known.
    pub(crate) fn each_topic(&self, mut each: impl FnMut(Option<&'static TypeInfo>, bool)) {
        self.shared.lock().topics.states.iter().for_each(|known| each(known.item, known.retains));
    }

    /// The topics that were declared or published, in alphabetical order.
    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        let state = self.shared.lock();
        let topics = state.topics.states.iter().map(|known| TopicInfo {
            topic: known.topic.clone(),
            item: known.item,
            retained: known.retains,
        });
        let mut topics: Vec<_> = topics.collect();
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        topics
    }

    /// Publishes nothing more. Subscriptions end once they have received the items published before.
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
    fn lock(&self) -> MutexGuard<'_, PublisherState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Not to be called under the lock: a task that is woken may end, and drop its subscriptions.
    fn notify_demand(&self) {
        self.demand.send_if_modified(|told| {
            let now = self.lock().subscribers.len();
            std::mem::replace(told, now) != now
        });
    }

    #[cold]
    fn leave(&self, ticket: WaitTicket) {
        let mut woken = Vec::new();
        let _gone = self.lock().subscribers.leave_waiting(ticket, &mut woken);
        waking::wake_all(woken);
    }

    #[cold]
    fn refuse(&self) -> PublishError {
        self.lock().refused += 1;
        PublishError::Full
    }
}

/// The place of a publisher among those that wait, which is given up when this is dropped.
struct WaitingPublisher<'a> {
    shared: &'a PublisherShared,
    /// Set once it waits.
    ticket: Option<WaitTicket>,
}

impl Drop for WaitingPublisher<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.leave(ticket);
        }
    }
}

/// Wakes the publishers that wait for room: the patience with a subscriber may be over.
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

    /// Registers `publisher` to be woken when there may be room, and when the patience with a subscriber is over.
    /// Returns its ticket, and a waker to be dropped once nothing is locked.
    #[cold]
    fn wait(
        &mut self,
        shared: &Arc<PublisherShared>,
        publisher: &Waker,
        ticket: Option<WaitTicket>,
        in_the_way: Blocked,
        woken: &mut Vec<Waker>,
    ) -> (WaitTicket, Option<Waker>) {
        let Blocked { until, groups } = in_the_way;
        let waiting = self.subscribers.wake_when_there_is_room(ticket, groups, publisher, woken);
        self.yield_at = self.published + YIELD_INTERVAL;
        // A timer that fires too early does no harm, and is set once for many short waits.
        if self.retry_timer.as_ref().is_none_or(|(set, _)| until < *set) {
            let look = Waker::from(Arc::new(RetryWaker(Arc::downgrade(shared))));
            let mut timer = shared.timers.sleep_until(Some(until));
            if Pin::new(&mut timer).poll(&mut Context::from_waker(&look)).is_pending() {
                self.retry_timer = Some((until, timer));
            }
        }
        waiting
    }

    /// Publishes an item, if no subscriber selected by `slow` has to be waited for, and the item has been encoded as
    /// needed.
    #[inline(always)]
    fn publish<T: WireType>(
        &mut self,
        shared: &PublisherShared,
        topic: &str,
        draft: &mut DraftItem<'_>,
        slow: WaitFor,
        ticket: Option<WaitTicket>,
        woken: &mut Vec<Waker>,
    ) -> Result<PublishOutcome, PublishError> {
        let Self { subscribers, topics, published, yield_at, closed, .. } = self;
        if *closed {
            return Err(PublishError::Closed);
        }
        let mut unknown;
        let known = match topics.get_or_insert(topic, shared.limits.topics) {
            Ok(Some(known)) => known,
            Ok(None) => {
                unknown = TopicState::new(Topic::new(topic)?);
                &mut unknown
            }
            Err(invalid) => return Err(invalid.into()),
        };
        let Some(info) = known.find_recipients::<T>(subscribers, draft.info) else {
            return Ok(PublishOutcome::NotEncoded);
        };
        if !subscribers.has_room(&known.recipients, slow)
            && let Some(in_the_way) =
                subscribers.wait_for(&known.recipients, slow, ticket, clock::now(), woken)
        {
            return Ok(PublishOutcome::Blocked(Box::new(in_the_way)));
        }
        let wanted = known.wanted(info);
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
        known.item = Some(info);
        if known.retains {
            known.last = item.retain(info);
        }
        if item.is_large() {
            *yield_at = yield_at.saturating_sub(LARGE_TURN);
        }
        subscribers.append(&known.recipients, &known.topic, |encoding| item.frame(encoding), woken);
        *published += 1;
        Ok(PublishOutcome::Published)
    }
}

#[cfg(test)]
mod tests;
