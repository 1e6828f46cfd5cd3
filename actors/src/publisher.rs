//! What one service publishes: the logs that its subscribers read, and the items it retains.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use meshzero_proto::catalogue::agreed;
use meshzero_proto::codec::{EncodeError, Encoding, TypeInfo, Wire};
use meshzero_proto::name::{InvalidName, Topic};
use meshzero_proto::news::{Log, Subscribe};

use crate::encoded::{Encoded, write_item};
use crate::readers::Readers;
use crate::topics::{Known, Topics};

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
    readers: Readers,
    topics: Topics,
    encoded: Encoded,
    closed: bool,
}

/// What became of an item.
enum Published {
    Now,
    /// There is no room for it yet.
    Later,
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
    /// There can be no such topic.
    #[error(transparent)]
    Topic(#[from] InvalidName),
    /// It cannot be encoded, or is too long.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The service has been closed.
    #[error("the service is closed")]
    Closed,
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
        let mut state = self.shared.lock();
        let most = self.shared.max_topics;
        if let Ok(Some(known)) = state.topics.know(&topic, most) {
            known.retains |= retains;
            known.item = item.or(known.item.take());
        }
    }

    /// Hands `item` to every subscriber whose prefix `topic` begins with. Never waits.
    ///
    /// # Errors
    /// [`PublishFault`]; nobody has received the item.
    pub fn publish<T: Wire>(&self, topic: &str, item: &T) -> Result<(), PublishFault> {
        let mut woken = Vec::new();
        let published = self.shared.lock().publish(&self.shared, topic, item, None, &mut woken);
        woken.into_iter().for_each(Waker::wake);
        match published {
            Ok(Published::Now | Published::Later) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// As [`Publisher::publish`], once there is room for the item at every subscriber who would otherwise miss an older
    /// one.
    ///
    /// # Errors
    /// [`PublishFault`]; nobody has received the item.
    ///
    /// # Cancel safety
    /// Dropping the future before it has ended publishes nothing.
    pub async fn publish_all<T: Wire>(&self, topic: &str, item: &T) -> Result<(), PublishFault> {
        poll_fn(|task| self.poll_publish_all(task, topic, item)).await
    }

    #[inline(always)]
    fn poll_publish_all<T: Wire>(
        &self,
        task: &mut Context<'_>,
        topic: &str,
        item: &T,
    ) -> Poll<Result<(), PublishFault>> {
        let mut woken = Vec::new();
        let mut state = self.shared.lock();
        let published = state.publish(&self.shared, topic, item, Some(task.waker()), &mut woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        match published {
            Ok(Published::Now) => Poll::Ready(Ok(())),
            Ok(Published::Later) => Poll::Pending,
            Err(fault) => Poll::Ready(Err(fault)),
        }
    }

    /// Adds a subscriber, whose feed begins with the retained items of its topics; `None` if there are as many
    /// as may be, or the service is closed.
    pub fn subscribe(&self, subscribe: &Subscribe) -> Option<Feed> {
        let mut state = self.shared.lock();
        if state.closed || state.readers.len() >= self.shared.max_subscribers {
            return None;
        }
        let prefix = subscribe.prefix.as_str();
        let known = state.topics.known.iter();
        let mut retained: Vec<_> = known.filter(|known| known.topic.starts_with(prefix)).collect();
        retained.sort_by_key(|known| &known.topic);
        let first = retained.iter().filter_map(|known| {
            let info = known.last.item?;
            known.last.frame(agreed(info.fingerprint(), subscribe.fingerprint))
        });
        let first = first.collect();
        let id = state.readers.join(subscribe, first);
        drop(state);
        Some(Feed { publisher: Arc::clone(&self.shared), id })
    }

    /// How many subscribe at the moment.
    pub fn subscribers(&self) -> usize {
        self.shared.lock().readers.len()
    }

    /// The topics that were declared or published, in alphabetical order.
    pub fn topics(&self) -> Vec<TopicInfo> {
        let state = self.shared.lock();
        let topics = state.topics.known.iter().map(|known| TopicInfo {
            topic: known.topic.clone(),
            item: known.item,
            retained: known.retains,
        });
        let mut topics: Vec<_> = topics.collect();
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        topics
    }

    /// Publishes nothing more. Subscriptions end when they have had what was published.
    pub fn close(&self) {
        let woken = {
            let mut state = self.shared.lock();
            state.closed = true;
            state.readers.wake_all()
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The publisher's side of one subscription. Dropping it ends the subscription.
pub struct Feed {
    publisher: Arc<Shared>,
    id: u64,
}

impl Feed {
    /// Waits for what comes next, as whole frames; `None` when the publisher has closed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&self) -> Option<Vec<Bytes>> {
        poll_fn(|task| self.poll_next(task)).await
    }

    fn poll_next(&self, task: &mut Context<'_>) -> Poll<Option<Vec<Bytes>>> {
        let mut woken = Vec::new();
        let mut state = self.publisher.lock();
        let frames = state.readers.read(self.id, task.waker(), &mut woken);
        let is_over = state.closed;
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        match frames {
            None if !is_over => Poll::Pending,
            frames => Poll::Ready(frames),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let woken = self.publisher.lock().readers.leave(self.id);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Publishes an item. With a waker, only if there is room for it at everybody; if not, that is called when there may be.
    #[inline(always)]
    fn publish<T: Wire>(
        &mut self,
        shared: &Shared,
        topic: &str,
        item: &T,
        waits: Option<&Waker>,
        woken: &mut Vec<Waker>,
    ) -> Result<Published, PublishFault> {
        let Self { readers, topics, encoded, closed } = self;
        if *closed {
            return Err(PublishFault::Closed);
        }
        let mut unknown;
        let known = match topics.know(topic, shared.max_topics)? {
            Some(known) => known,
            None => {
                unknown = Known::new(Topic::new(topic)?);
                &mut unknown
            }
        };
        let info = known.find_takers::<T>(readers);
        if let Some(publisher) = waits
            && !readers.has_room(&known.takers, publisher)
        {
            return Ok(Published::Later);
        }
        let (topic, max) = (&known.topic, shared.max_bytes);
        if !known.retains
            && !known.is_large
            && let Some((log, keep, wanted)) = readers.only_log(&known.takers)
        {
            let frame = log.write();
            write_item(frame.buffer, topic, item, wanted, max)?;
            let length = frame.end();
            log.append_written(length, keep);
            (known.item, known.is_large) = (Some(info), Log::is_large(length));
            return Ok(Published::Now);
        }
        encoded.clear();
        // Everything is encoded before anything is handed out, so that an error means that nobody has it.
        for taker in &known.takers {
            encoded.make(topic, item, taker.encoding, max)?;
        }
        if known.retains {
            encoded.make(topic, item, Encoding::MessagePack, max)?;
            encoded.make(topic, item, agreed(info.fingerprint(), info.fingerprint()), max)?;
            known.last = encoded.retain(info);
        }
        (known.item, known.is_large) = (Some(info), encoded.is_large());
        readers.append(&known.takers, topic, |encoding| encoded.frame(encoding), woken);
        Ok(Published::Now)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use meshzero_proto::codec::{self, Blob};
    use meshzero_proto::frame::{self, Frames, Kind};
    use meshzero_proto::news::{self, Policy};
    use serde::{Deserialize, Serialize, Serializer};

    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::new(text).expect("a topic")
    }

    fn subscribe_as<T: Wire>(publisher: &Publisher, prefix: &str, policy: Policy) -> Feed {
        let fingerprint = codec::type_info::<T>().fingerprint();
        publisher.subscribe(&Subscribe { prefix: topic(prefix), fingerprint, policy }).expect("room")
    }

    fn subscribe<T: Wire>(publisher: &Publisher, prefix: &str) -> Feed {
        subscribe_as::<T>(publisher, prefix, Policy::default())
    }

    fn publish<T: Wire>(publisher: &Publisher, topic: &str, item: &T) {
        publisher.publish(topic, item).expect("published");
    }

    /// What a future gives at once.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    /// What is there for a feed, as flags and items, and as how many are missing.
    fn items(feed: &Feed) -> Vec<(u8, Vec<u8>)> {
        let mut items = Vec::new();
        while let Some(Some(frames)) = now(feed.next()) {
            for (header, payload) in Frames::new(&frames.concat()) {
                items.push(match header.kind {
                    Kind::News => (header.flags, news::read_item(payload).expect("an item").1.to_vec()),
                    kind => (kind as u8, news::read_gap(payload).expect("a gap").0.to_le_bytes().to_vec()),
                });
            }
        }
        items
    }

    #[test]
    fn an_item_reaches_those_who_asked_for_its_topic_in_the_encoding_that_they_read() {
        let publisher = Publisher::new(100, 8, 8);
        let same = [subscribe::<u32>(&publisher, ""), subscribe::<u32>(&publisher, "a")];
        let other = subscribe::<String>(&publisher, "");
        let newest = subscribe_as::<u32>(&publisher, "a", Policy::Latest);
        let elsewhere = subscribe::<u32>(&publisher, "b");
        publish(&publisher, "a", &7u32);
        for feed in same {
            assert_eq!(items(&feed), [(frame::BINCODE, vec![7])]);
        }
        assert_eq!(items(&other), [(0, vec![7])]);
        assert_eq!(items(&newest), [(frame::BINCODE, vec![7])]);
        assert!(items(&elsewhere).is_empty());
    }

    #[test]
    fn large_items_are_encoded_once_and_shared() {
        let publisher = Publisher::new(1 << 20, 8, 8);
        let feeds = [subscribe::<Vec<u8>>(&publisher, ""), subscribe::<Vec<u8>>(&publisher, "a")];
        publish(&publisher, "a", &vec![7u8; 100_000]);
        let [one, other] = feeds.map(|feed| now(feed.next()).flatten().expect("it is there"));
        assert_eq!((one.len(), one[0].as_ptr()), (1, other[0].as_ptr()));
    }

    #[test]
    fn a_large_blob_is_not_even_copied_once() {
        let publisher = Publisher::new(1 << 20, 8, 8);
        let (feed, newest) = (
            subscribe::<(u8, Blob, u8)>(&publisher, ""),
            subscribe_as::<(u8, Blob, u8)>(&publisher, "", Policy::Latest),
        );
        let blob = Bytes::from(vec![7; 100_000]);
        publish(&publisher, "a", &(1u8, Blob::from(blob.clone()), 2u8));
        let pieces = now(feed.next()).flatten().expect("it is there");
        assert!(pieces.iter().any(|piece| piece.as_ptr() == blob.as_ptr()));
        let whole = pieces.concat();
        let (_, payload) = Frames::new(&whole).next().expect("a frame");
        let (_, item) = news::read_item(payload).expect("an item");
        assert_eq!((item.len(), item[0], item[item.len() - 1]), (100_007, 1, 2));
        assert_eq!(now(newest.next()).flatten().map(|pieces| pieces.concat()), Some(whole));
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
        publish(&publisher, "a", &Picky(1));
        assert_eq!((items(&same).len(), items(&other).len()), (1, 1));
        publisher.publish("a", &Picky(2_000)).expect_err("it has no form for the other");
        assert_eq!((items(&same).len(), items(&other).len()), (0, 0));
        publisher.publish("b", &Picky(2_000)).expect_err("nor here");
        assert!(publisher.topics()[1].item.is_none(), "nothing was published there");
    }

    #[test]
    fn a_retained_item_comes_first_in_the_encoding_that_is_wanted() {
        let publisher = Publisher::new(100, 8, 8);
        publisher.declare(topic("state"), None, true);
        publish(&publisher, "state", &1u32);
        publish(&publisher, "state", &2u32);
        let feed = subscribe::<u32>(&publisher, "");
        publish(&publisher, "other", &3u32);
        assert_eq!(items(&feed), [(frame::BINCODE, vec![2]), (frame::BINCODE, vec![3])]);
        assert_eq!(items(&subscribe::<String>(&publisher, "")), [(0, vec![2])]);
        assert!(items(&subscribe::<u32>(&publisher, "other")).is_empty());
    }

    #[test]
    fn who_is_slow_misses_the_oldest_unless_the_publisher_waits() {
        let publisher = Publisher::new(100, 8, 8);
        let feed = subscribe_as::<u32>(&publisher, "", Policy::DropOldest { items: 2 });
        for item in 0..3u32 {
            publish(&publisher, "a", &item);
        }
        let missed = (Kind::Gap as u8, 1u64.to_le_bytes().to_vec());
        assert_eq!(items(&feed), [missed, (frame::BINCODE, vec![1]), (frame::BINCODE, vec![2])]);
        for item in 3..5u32 {
            assert_eq!(now(publisher.publish_all("a", &item)), Some(Ok(())));
        }
        assert_eq!(now(publisher.publish_all("a", &5u32)), None, "there is no room");
        let newest = subscribe_as::<u32>(&publisher, "b", Policy::Latest);
        assert_eq!(
            now(publisher.publish_all("b", &6u32)),
            None,
            "nor for this one, which the slow one gets as well"
        );
        assert_eq!(items(&feed), [(frame::BINCODE, vec![3]), (frame::BINCODE, vec![4])]);
        assert_eq!(now(publisher.publish_all("b", &5u32)), Some(Ok(())));
        assert_eq!((items(&feed).len(), items(&newest).len()), (1, 1));
    }

    #[tokio::test]
    async fn a_publisher_that_waits_goes_on_when_the_slow_one_reads_or_leaves() {
        let publisher = Publisher::new(100, 8, 8);
        let feed = subscribe_as::<u32>(&publisher, "", Policy::DropOldest { items: 4 });
        let publishing = tokio::spawn({
            let publisher = publisher.clone();
            async move {
                for item in 0..100u32 {
                    publisher.publish_all("a", &item).await.expect("published");
                }
            }
        });
        let mut read = Vec::new();
        while read.len() < 50 {
            let frames = feed.next().await.expect("open");
            read.extend(Frames::new(&frames.concat()).map(|(_, payload)| payload[payload.len() - 1]));
        }
        assert!(read.iter().copied().eq(0..read.len() as u8), "all, in order");
        drop(feed);
        publishing.await.expect("the rest is published to nobody");
    }

    #[test]
    fn subscribers_and_topics_are_bounded_and_closing_ends_them() {
        let publisher = Publisher::new(100, 1, 1);
        let feed = subscribe::<u32>(&publisher, "");
        let refused = Subscribe { prefix: topic(""), fingerprint: None, policy: Policy::default() };
        assert!(publisher.subscribe(&refused).is_none());
        publish(&publisher, "a", &1u32);
        publish(&publisher, "b", &1u32);
        assert_eq!(publisher.topics().len(), 1, "the other is published, though not described");
        assert!(matches!(publisher.publish("\0", &1u32), Err(PublishFault::Topic(_))));
        publisher.close();
        assert_eq!(items(&feed).len(), 2, "what was published before is still had");
        assert_eq!(now(feed.next()), Some(None));
        assert_eq!(publisher.publish("a", &1u32), Err(PublishFault::Closed));
        drop(feed);
        assert_eq!(publisher.subscribers(), 0);
    }
}
