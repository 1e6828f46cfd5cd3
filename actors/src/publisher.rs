//! What one service publishes: its subscribers, each with a backlog of its own, and the items it retains.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use meshzero_proto::codec::{self, EncodeError, Encoding, TypeInfo, Wire};
use meshzero_proto::name::Topic;
use meshzero_proto::news::{Backlog, Next, Subscribe};
use tokio::sync::Notify;

/// Publishes the news of one service. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    max_bytes: usize,
    max_topics: usize,
    max_subscribers: usize,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Arc<Feed>>,
    topics: BTreeMap<Topic, Known>,
    closed: bool,
}

/// What is known of one topic.
struct Known {
    item: Option<&'static TypeInfo>,
    retains: bool,
    last: Option<Encoded>,
}

/// A topic as `describe` tells it.
#[derive(Debug, Clone)]
pub struct TopicInfo {
    /// The topic.
    pub topic: Topic,
    /// The type of its items; `None` until something was published.
    pub item: Option<&'static TypeInfo>,
    /// Whether its last item reaches those who subscribe later.
    pub retained: bool,
}

/// Why an item was not published. Nobody has received it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishFault {
    /// It cannot be encoded, or is too long.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The service has been closed.
    #[error("the service is closed")]
    Closed,
}

/// One item in the encodings that its subscribers need, each encoded once.
#[derive(Clone, Default)]
struct Encoded {
    bincode: Option<Bytes>,
    message_pack: Option<Bytes>,
}

/// An item on its way to one subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is about.
    pub topic: Topic,
    /// Its encoding.
    pub encoding: Encoding,
    /// The encoded item, shared by all its subscribers.
    pub bytes: Bytes,
}

/// The publisher's side of one subscription: what waits for it.
pub struct Feed {
    subscribe: Subscribe,
    backlog: Mutex<Option<Backlog<Item>>>,
    filled: Arc<Notify>,
}

impl Feed {
    /// A feed that calls `filled` when there is something to take.
    fn new(subscribe: Subscribe, filled: Arc<Notify>) -> Self {
        let backlog = Mutex::new(Some(Backlog::new(subscribe.policy)));
        Self { subscribe, backlog, filled }
    }

    /// Takes what comes next, if anything.
    pub fn next(&self) -> Option<Next<Item>> {
        self.lock().as_mut()?.pop()
    }

    /// Takes nothing more.
    pub fn close(&self) {
        *self.lock() = None;
        self.filled.notify_one();
    }

    /// Whether nothing will come any more.
    pub fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    fn takes(&self, topic: &Topic) -> bool {
        topic.starts_with(self.subscribe.prefix.as_str())
    }

    fn push(&self, item: Item) {
        if let Some(backlog) = self.lock().as_mut() {
            let topic = item.topic.clone();
            backlog.push(&topic, item.bytes.len(), item);
        }
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Backlog<Item>>> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher {
    /// A publisher without subscribers. Items have at most `max_bytes`; at most `max_topics` topics are retained or
    /// described; at most `max_subscribers` subscribe.
    pub fn new(max_bytes: usize, max_topics: usize, max_subscribers: usize) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { state, max_bytes, max_topics, max_subscribers }) }
    }

    /// Declares a topic, so that it is described, or retained, before anything is published.
    pub fn declare(&self, topic: Topic, item: Option<&'static TypeInfo>, retains: bool) {
        let mut state = self.lock();
        if let Some(known) = state.know(&topic, self.shared.max_topics) {
            known.retains |= retains;
            known.item = item.or(known.item.take());
        }
    }

    /// Hands `item` to every subscriber whose prefix `topic` begins with. Never waits.
    ///
    /// # Errors
    /// [`PublishFault`]; nobody has received the item.
    pub fn publish<T: Wire>(&self, topic: &Topic, item: &T) -> Result<(), PublishFault> {
        let info = codec::type_info::<T>();
        let mut state = self.lock();
        if state.closed {
            return Err(PublishFault::Closed);
        }
        let takers: Vec<_> =
            state.subscribers.iter().filter(|feed| feed.takes(topic)).map(Arc::clone).collect();
        let max = self.shared.max_bytes;
        let known = state.know(topic, self.shared.max_topics);
        // Everything is encoded before anything is handed out, so that an error means that nobody has it.
        let mut encoded = Encoded::default();
        let mut items = Vec::with_capacity(takers.len());
        for feed in &takers {
            let (encoding, bytes) = encoded.get(item, wanted(info, &feed.subscribe), max)?;
            items.push(Item { topic: topic.clone(), encoding, bytes });
        }
        if let Some(known) = known {
            if known.retains {
                encoded.get(item, Encoding::MessagePack, max)?;
                encoded.get(item, wanted_by_twins(info), max)?;
                known.last = Some(encoded);
            }
            known.item = Some(info);
        }
        takers.iter().zip(items).for_each(|(feed, item)| feed.push(item));
        Ok(())
    }

    /// Adds a subscriber, whose feed begins with the retained items of its topics; `None` if there are as many
    /// as may be, or the service is closed.
    pub fn subscribe(&self, subscribe: Subscribe, filled: Arc<Notify>) -> Option<Arc<Feed>> {
        let mut state = self.lock();
        if state.closed || state.subscribers.len() >= self.shared.max_subscribers {
            return None;
        }
        let feed = Arc::new(Feed::new(subscribe, filled));
        for (topic, known) in &state.topics {
            let (Some(last), Some(info)) = (&known.last, &known.item) else { continue };
            let kept = last.have(wanted(info, &feed.subscribe)).or_else(|| last.have(Encoding::MessagePack));
            if feed.takes(topic)
                && let Some((encoding, bytes)) = kept
            {
                feed.push(Item { topic: topic.clone(), encoding, bytes });
            }
        }
        state.subscribers.push(Arc::clone(&feed));
        Some(feed)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, feed: &Arc<Feed>) {
        self.lock().subscribers.retain(|other| !Arc::ptr_eq(other, feed));
        feed.close();
    }

    /// How many subscribe at the moment.
    pub fn subscribers(&self) -> usize {
        self.lock().subscribers.len()
    }

    /// The topics that were declared or published, in alphabetical order.
    pub fn topics(&self) -> Vec<TopicInfo> {
        let state = self.lock();
        let topics = state.topics.iter();
        topics
            .map(|(topic, known)| TopicInfo {
                topic: topic.clone(),
                item: known.item,
                retained: known.retains,
            })
            .collect()
    }

    /// Publishes nothing more and ends all subscriptions.
    pub fn close(&self) {
        let subscribers = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.subscribers)
        };
        subscribers.iter().for_each(|feed| feed.close());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is known of `topic`, if it is one of the first `max`.
    fn know(&mut self, topic: &Topic, max: usize) -> Option<&mut Known> {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= max {
                return None;
            }
            self.topics.insert(topic.clone(), Known { item: None, retains: false, last: None });
        }
        self.topics.get_mut(topic)
    }
}

/// The encoding that a subscriber wants an item of this type in.
fn wanted(item: &TypeInfo, subscribe: &Subscribe) -> Encoding {
    meshzero_proto::catalogue::agreed(item.fingerprint(), subscribe.fingerprint)
}

/// The encoding that a subscriber with the same type wants.
fn wanted_by_twins(item: &TypeInfo) -> Encoding {
    meshzero_proto::catalogue::agreed(item.fingerprint(), item.fingerprint())
}

impl Encoded {
    /// The item as `wanted`, encoded now if it has not been yet. A value that bincode cannot hold comes as
    /// MessagePack.
    fn get<T: Wire>(
        &mut self,
        item: &T,
        wanted: Encoding,
        max: usize,
    ) -> Result<(Encoding, Bytes), EncodeError> {
        if let Some(found) = self.have(wanted) {
            return Ok(found);
        }
        let mut bytes = Vec::new();
        let encoding = codec::encode_preferring(item, wanted, max, &mut bytes)?;
        let bytes = Bytes::from(bytes);
        match encoding {
            Encoding::Bincode => self.bincode = Some(bytes.clone()),
            Encoding::MessagePack => self.message_pack = Some(bytes.clone()),
        }
        Ok((encoding, bytes))
    }

    fn have(&self, wanted: Encoding) -> Option<(Encoding, Bytes)> {
        match wanted {
            Encoding::Bincode => self.bincode.clone().map(|bytes| (wanted, bytes)),
            Encoding::MessagePack => self.message_pack.clone().map(|bytes| (wanted, bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::name::Topic;
    use meshzero_proto::news::Policy;
    use serde::{Deserialize, Serialize, Serializer};

    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::new(text).expect("a topic")
    }

    fn subscribe<T: Wire>(publisher: &Publisher, prefix: &str) -> Arc<Feed> {
        let fingerprint = codec::type_info::<T>().fingerprint();
        let subscribe = Subscribe { prefix: topic(prefix), fingerprint, policy: Policy::default() };
        publisher.subscribe(subscribe, Arc::default()).expect("room")
    }

    fn items(feed: &Feed) -> Vec<(Encoding, Bytes)> {
        std::iter::from_fn(|| feed.next())
            .map(|next| match next {
                Next::Item(item) => (item.encoding, item.bytes),
                Next::Gap(count, reason) => panic!("{count} are missing: {reason:?}"),
            })
            .collect()
    }

    #[test]
    fn an_item_is_encoded_once_for_all_who_want_it_alike() {
        let publisher = Publisher::new(100, 8, 8);
        let same = [subscribe::<u32>(&publisher, ""), subscribe::<u32>(&publisher, "a")];
        let other = subscribe::<String>(&publisher, "");
        let elsewhere = subscribe::<u32>(&publisher, "b");
        publisher.publish(&topic("a"), &7u32).expect("published");
        let [first, second] = same.map(|feed| items(&feed));
        assert_eq!(first, second);
        assert_eq!((first[0].0, first[0].1.as_ptr()), (Encoding::Bincode, second[0].1.as_ptr()));
        assert_eq!(items(&other)[0].0, Encoding::MessagePack);
        assert!(items(&elsewhere).is_empty());
    }

    /// Can be written in one of the two encodings only.
    #[derive(Deserialize)]
    struct Picky(u32);

    impl Serialize for Picky {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            if self.0 > 1_000 && to.is_human_readable() {
                return Err(serde::ser::Error::custom("too large for people"));
            }
            to.serialize_u32(self.0)
        }
    }

    #[test]
    fn an_item_that_cannot_be_encoded_for_one_subscriber_reaches_none() {
        let publisher = Publisher::new(100, 8, 8);
        let same = subscribe::<Picky>(&publisher, "");
        let other = subscribe::<String>(&publisher, "");
        publisher.publish(&topic("a"), &Picky(1)).expect("published");
        assert_eq!((items(&same).len(), items(&other).len()), (1, 1));
        publisher.publish(&topic("a"), &Picky(2_000)).expect_err("it has no form for the other");
        assert_eq!((items(&same).len(), items(&other).len()), (0, 0));
    }

    #[test]
    fn a_retained_item_comes_in_the_encoding_that_is_wanted() {
        let publisher = Publisher::new(100, 8, 8);
        publisher.declare(topic("state"), None, true);
        publisher.publish(&topic("state"), &1u32).expect("published");
        publisher.publish(&topic("state"), &2u32).expect("published");
        assert_eq!(items(&subscribe::<u32>(&publisher, "")), [(Encoding::Bincode, Bytes::from_static(&[2]))]);
        assert_eq!(items(&subscribe::<String>(&publisher, ""))[0].0, Encoding::MessagePack);
        assert!(items(&subscribe::<u32>(&publisher, "other")).is_empty());
    }

    #[test]
    fn subscribers_and_topics_are_bounded_and_closing_ends_them() {
        let publisher = Publisher::new(100, 1, 1);
        let feed = subscribe::<u32>(&publisher, "");
        let refused = Subscribe { prefix: topic(""), fingerprint: None, policy: Policy::default() };
        assert!(publisher.subscribe(refused, Arc::default()).is_none());
        publisher.publish(&topic("a"), &1u32).expect("published");
        publisher.publish(&topic("b"), &1u32).expect("published, though not described");
        assert_eq!(publisher.topics().len(), 1);
        publisher.close();
        assert!(feed.is_closed());
        assert_eq!(publisher.publish(&topic("a"), &1u32), Err(PublishFault::Closed));
    }
}
