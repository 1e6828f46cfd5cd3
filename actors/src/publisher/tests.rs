//! Publishers without sockets: what each subscriber gets, and who is waited for.

use std::pin::pin;
use std::task::Context;

use meshzero_proto::codec::{self, Blob};
use meshzero_proto::frame::{self, Frames, Kind};
use meshzero_proto::news::{self, GapReason, Policy};
use serde::{Deserialize, Serialize, Serializer};

use super::*;

fn topic(text: &str) -> Topic {
    Topic::new(text).expect("a topic")
}

fn publisher(message_bytes: usize, topics: usize, subscriptions: usize) -> Publisher {
    let mut limits = Limits::default();
    (limits.message_bytes, limits.topics, limits.subscriptions) = (message_bytes, topics, subscriptions);
    Publisher::new(&limits, &Alarms::new())
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
    let publisher = publisher(100, 8, 8);
    let same = [subscribe::<u32>(&publisher, ""), subscribe::<u32>(&publisher, "a")];
    let other = subscribe::<String>(&publisher, "");
    let newest = subscribe_as::<u32>(&publisher, "a", Policy::last(1));
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
    let publisher = publisher(1 << 20, 8, 8);
    let feeds = [subscribe::<Vec<u8>>(&publisher, ""), subscribe::<Vec<u8>>(&publisher, "a")];
    publish(&publisher, "a", &vec![7u8; 100_000]);
    let [one, other] = feeds.map(|feed| now(feed.next()).flatten().expect("it is there"));
    assert_eq!((one.len(), one[0].as_ptr()), (1, other[0].as_ptr()));
}

#[test]
fn a_large_blob_is_not_even_copied_once() {
    let publisher = publisher(1 << 20, 8, 8);
    let (feed, newest) = (
        subscribe::<(u8, Blob, u8)>(&publisher, ""),
        subscribe_as::<(u8, Blob, u8)>(&publisher, "", Policy::last(1)),
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
    let publisher = publisher(100, 8, 8);
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
    let publisher = publisher(100, 8, 8);
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
    let publisher = publisher(100, 8, 8);
    let feed = subscribe_as::<u32>(&publisher, "", Policy::drop_oldest(2));
    for item in 0..3u32 {
        publish(&publisher, "a", &item);
    }
    let missed = (Kind::Gap as u8, 1u64.to_le_bytes().to_vec());
    assert_eq!(items(&feed), [missed, (frame::BINCODE, vec![1]), (frame::BINCODE, vec![2])]);
    for item in 3..5u32 {
        assert_eq!(now(publisher.publish_all("a", &item)), Some(Ok(())));
    }
    assert_eq!(now(publisher.publish_all("a", &5u32)), None, "there is no room");
    let newest = subscribe_as::<u32>(&publisher, "b", Policy::last(1));
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
    let publisher = publisher(100, 8, 8);
    let feed = subscribe_as::<u32>(&publisher, "", Policy::drop_oldest(4));
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
    let publisher = publisher(100, 1, 1);
    let feed = subscribe::<u32>(&publisher, "");
    let refused = Subscribe { prefix: topic(""), fingerprint: None, policy: Policy::default() };
    assert!(publisher.subscribe(&refused).is_none());
    publish(&publisher, "a", &1u32);
    publish(&publisher, "b", &1u32);
    assert_eq!(publisher.topics().len(), 1, "the other is published, though not described");
    assert!(matches!(publisher.publish("\0", &1u32), Err(PublishFault::Topic(_))));
    publisher.close();
    assert_eq!(now(feed.next()), Some(None));
    assert_eq!(publisher.publish("a", &1u32), Err(PublishFault::Closed));
    drop(feed);
    assert_eq!(publisher.subscribers(), 0);
}
