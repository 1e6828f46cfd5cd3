//! Tests of publishers without sockets: the items of each subscriber, and waiting for slow ones.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use meshzero_proto::codec::{self, Blob};
use meshzero_proto::news::{self, Policy};
use meshzero_proto::wire::frame::{self, FrameKind, Frames};
use serde::{Deserialize, Serialize, Serializer};

use super::*;

fn topic(text: &str) -> Topic {
    Topic::new(text).expect("a topic")
}

fn publisher(message_bytes: usize, topics: usize, subscriptions: usize) -> Publisher {
    let mut limits = Limits::default();
    (limits.message_bytes, limits.topics, limits.subscriptions) = (message_bytes, topics, subscriptions);
    // Without a task that drives them, its timers are driven by a thread.
    Publisher::new(&limits, &Timers::new().0)
}

/// A publisher whose timers are driven by a task of the test's runtime, so that nothing depends on real time if its
/// clock is paused.
fn publisher_on_test_clock(limits: &Limits) -> Publisher {
    let (timers, task) = Timers::new();
    tokio::spawn(async move { task.run().await });
    Publisher::new(limits, &timers)
}

fn subscribe_as<T: WireType>(publisher: &Publisher, prefix: &str, policy: Policy) -> SubscriberStream {
    let fingerprint = codec::type_info::<T>().fingerprint();
    publisher.subscribe(&Subscribe { prefix: topic(prefix), fingerprint, policy }).expect("room")
}

fn subscribe<T: WireType>(publisher: &Publisher, prefix: &str) -> SubscriberStream {
    subscribe_as::<T>(publisher, prefix, Policy::default())
}

fn publish<T: WireType>(publisher: &Publisher, topic: &str, item: &T) {
    publisher.publish(topic, item).expect("published");
}

/// A waker that counts its calls.
#[derive(Default)]
struct CountingWaker(AtomicU64);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the output of a future that is ready at once.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Returns the available items of a feed as flags and bytes, and gaps as counts.
fn items(feed: &SubscriberStream) -> Vec<(u8, Vec<u8>)> {
    let mut items = Vec::new();
    while let Some(Some(frames)) = poll_once(feed.next()) {
        for (header, payload) in Frames::new(&frames.concat()) {
            items.push(match header.kind {
                FrameKind::News => (header.flags, news::read_item(payload).expect("an item").1.to_vec()),
                kind => (kind as u8, news::read_gap(payload).expect("a gap").0.to_le_bytes().to_vec()),
            });
        }
    }
    items
}

#[test]
fn an_item_reaches_the_subscribers_of_its_topic_in_their_encodings() {
    let publisher = publisher(100, 8, 8);
    let same = [subscribe::<u32>(&publisher, ""), subscribe::<u32>(&publisher, "a")];
    let other = subscribe::<String>(&publisher, "");
    let newest = subscribe_as::<u32>(&publisher, "a", Policy::last(1));
    let other_topic = subscribe::<u32>(&publisher, "b");
    publish(&publisher, "a", &7u32);
    for feed in same {
        assert_eq!(items(&feed), [(frame::BINCODE, vec![7])]);
    }
    assert_eq!(items(&other), [(0, vec![7])]);
    assert_eq!(items(&newest), [(frame::BINCODE, vec![7])]);
    assert!(items(&other_topic).is_empty());
}

#[test]
fn large_items_are_encoded_once_and_shared() {
    let publisher = publisher(1 << 20, 8, 8);
    let feeds = [subscribe::<Vec<u8>>(&publisher, ""), subscribe::<Vec<u8>>(&publisher, "a")];
    publish(&publisher, "a", &vec![7u8; 100_000]);
    let [one, other] = feeds.map(|feed| poll_once(feed.next()).flatten().expect("it is there"));
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
    let pieces = poll_once(feed.next()).flatten().expect("it is there");
    assert!(pieces.iter().any(|piece| piece.as_ptr() == blob.as_ptr()));
    let whole = pieces.concat();
    let (_, payload) = Frames::new(&whole).next().expect("a frame");
    let (_, item) = news::read_item(payload).expect("an item");
    assert_eq!((item.len(), item[0], item[item.len() - 1]), (100_007, 1, 2));
    assert_eq!(poll_once(newest.next()).flatten().map(|pieces| pieces.concat()), Some(whole));
}

/// An item that publishes another one while it is serialised, and may panic then.
#[derive(Deserialize)]
struct Interrupted {
    blobs: (Blob, Blob),
    #[serde(skip)]
    meanwhile: Option<(Publisher, bool)>,
}

impl Serialize for Interrupted {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut pair = to.serialize_tuple(2)?;
        pair.serialize_element(&self.blobs.0)?;
        if let Some((publisher, panics)) = &self.meanwhile {
            publish(publisher, "meanwhile", &Blob::from(vec![9; 50_000]));
            if *panics {
                // Without the panic hook, because this is not a failure of the test.
                std::panic::resume_unwind(Box::new("half an item"));
            }
        }
        pair.serialize_element(&self.blobs.1)?;
        pair.end()
    }
}

#[test]
fn an_item_published_while_another_is_encoded_is_separate_and_a_partial_item_is_discarded() {
    let publisher = publisher(1 << 20, 8, 8);
    let feed = subscribe::<(Blob, Blob)>(&publisher, "");
    let blob = |byte| Blob::from(vec![byte; 100_000]);
    let item =
        |panics| Interrupted { blobs: (blob(1), blob(2)), meanwhile: Some((publisher.clone(), panics)) };
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| publisher.publish("half", &item(true))));
    assert!(panicked.is_err());
    publish(&publisher, "whole", &item(false));
    publish(&publisher, "small", &7u8);
    let items = items(&feed);
    let lengths: Vec<_> = items.iter().map(|(_, item)| item.len()).collect();
    // Each blob has five bytes before it, and the pair one.
    assert_eq!(lengths, [50_003, 50_003, 200_011, 1]);
    assert!(items[..2].iter().all(|(_, item)| item[3..].iter().all(|byte| *byte == 9)));
    let (_, whole) = &items[2];
    assert!(
        whole[6..100_006].iter().all(|byte| *byte == 1) && whole[100_011..].iter().all(|byte| *byte == 2)
    );
}

/// An item that can be encoded in one of the two encodings only.
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
    publisher.publish("a", &Picky(2_000)).expect_err("it cannot be encoded for the other");
    assert_eq!((items(&same).len(), items(&other).len()), (0, 0));
    publisher.publish("b", &Picky(2_000)).expect_err("nor for this topic");
    assert!(publisher.topics()[1].item.is_none(), "nothing was published there");
}

#[test]
fn a_retained_item_is_sent_first_in_the_encoding_of_the_subscriber() {
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
fn a_slow_subscriber_misses_the_oldest_unless_the_publisher_waits() {
    let publisher = publisher(100, 8, 8);
    let feed = subscribe_as::<u32>(&publisher, "", Policy::drop_oldest(2));
    for item in 0..3u32 {
        publish(&publisher, "a", &item);
    }
    let missed = (FrameKind::Gap as u8, 1u64.to_le_bytes().to_vec());
    assert_eq!(items(&feed), [missed, (frame::BINCODE, vec![1]), (frame::BINCODE, vec![2])]);
    for item in 3..5u32 {
        assert_eq!(poll_once(publisher.publish_all("a", &item)), Some(Ok(())));
    }
    assert_eq!(poll_once(publisher.publish_all("a", &5u32)), None, "there is no room");
    let newest = subscribe_as::<u32>(&publisher, "b", Policy::last(1));
    assert_eq!(
        poll_once(publisher.publish_all("b", &6u32)),
        None,
        "nor for this one, which the slow one gets as well"
    );
    assert_eq!(items(&feed), [(frame::BINCODE, vec![3]), (frame::BINCODE, vec![4])]);
    assert_eq!(poll_once(publisher.publish_all("b", &5u32)), Some(Ok(())));
    assert_eq!((items(&feed).len(), items(&newest).len()), (1, 1));
}

/// Returns the available items and gaps of a feed as text.
fn drain_as_text(feed: &SubscriberStream) -> Vec<String> {
    let mut items = Vec::new();
    while let Some(Some(frames)) = poll_once(feed.next()) {
        items.extend(texts(&frames));
    }
    items
}

fn texts(frames: &[Bytes]) -> Vec<String> {
    let text = |header: frame::Header, payload: &[u8]| match header.kind {
        FrameKind::News => {
            let (topic, item) = news::read_item(payload).expect("an item");
            format!("{} {}", String::from_utf8_lossy(topic), item[0])
        }
        _ => {
            let (count, reason) = news::read_gap(payload).expect("a gap");
            format!("-{count} {reason:?}")
        }
    };
    Frames::new(&frames.concat()).map(|(header, payload)| text(header, payload)).collect()
}

#[test]
fn the_last_few_of_each_topic_arrive_and_the_rest_is_reported() {
    let publisher = publisher(100, 8, 8);
    let few = subscribe_as::<u32>(&publisher, "", Policy::last(2));
    let all = subscribe::<u32>(&publisher, "");
    for (topic, item) in [("a", 1u32), ("a", 2), ("b", 3), ("a", 4), ("a", 5)] {
        publish(&publisher, topic, &item);
    }
    assert_eq!(drain_as_text(&few), ["-2 Superseded", "a 4", "a 5", "b 3"]);
    assert_eq!(drain_as_text(&all), ["a 1", "a 2", "b 3", "a 4", "a 5"]);
    let totals = publisher.totals();
    assert_eq!((totals.published, totals.delivered, totals.missed.superseded), (5, 8, 2));
    assert_eq!((totals.missed.total(), totals.subscribers), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_subscriber_receives_the_newest_item_after_each_period() {
    let publisher = publisher_on_test_clock(&Limits::default());
    let every = Duration::from_millis(100);
    let rated = subscribe_as::<u32>(&publisher, "", Policy { every: Some(every), ..Policy::default() });
    let started = clock::now();
    for item in 0..50u32 {
        publish(&publisher, "a", &item);
    }
    publish(&publisher, "b", &50u32);
    let first = texts(&rated.next().await.expect("open"));
    assert_eq!(first, ["a 0", "b 50"]);
    let second = texts(&rated.next().await.expect("open"));
    assert_eq!(second, ["-48 Rate", "a 49"]);
    assert!(clock::now() - started >= every);
    assert_eq!(publisher.totals().missed.rate, 48);
}

#[test]
fn items_held_back_by_a_rate_come_before_the_end() {
    let publisher = publisher(100, 8, 8);
    let every = Some(Duration::from_secs(3_600));
    let rated = subscribe_as::<u32>(&publisher, "", Policy { every, ..Policy::default() });
    (0..4u32).for_each(|item| publish(&publisher, "a", &item));
    assert_eq!(drain_as_text(&rated), ["a 0"]);
    publisher.close();
    assert_eq!(drain_as_text(&rated), ["-2 Rate", "a 3"]);
    assert_eq!(poll_once(rated.next()), Some(None));
}

#[test]
fn a_retained_item_counts_towards_the_rate() {
    let publisher = publisher(100, 8, 8);
    publisher.declare(topic("state"), None, true);
    publish(&publisher, "state", &1u32);
    let every = Some(Duration::from_secs(3_600));
    let rated = subscribe_as::<u32>(&publisher, "", Policy { every, ..Policy::default() });
    publish(&publisher, "state", &2u32);
    publish(&publisher, "other", &3u32);
    assert_eq!(drain_as_text(&rated), ["state 1", "other 3"]);
    publisher.close();
    assert_eq!(drain_as_text(&rated), ["state 2"]);
}

#[test]
fn a_subscriber_that_insists_keeps_publish_from_dropping_items() {
    let publisher = publisher(100, 8, 8);
    let insisting = subscribe_as::<u32>(&publisher, "a", Policy { items: 2, ..Policy::wait() });
    let quick = subscribe::<u32>(&publisher, "");
    publish(&publisher, "a", &0u32);
    publish(&publisher, "a", &1u32);
    assert_eq!(publisher.publish("a", &2u32), Err(PublishError::Full));
    assert_eq!(drain_as_text(&quick), ["a 0", "a 1"], "nobody has received the other one");
    publish(&publisher, "b", &3u32);
    assert_eq!(drain_as_text(&quick), ["b 3"], "an item that it did not subscribe to is published");
    assert_eq!(drain_as_text(&insisting), ["a 0", "a 1"]);
    publish(&publisher, "a", &4u32);
    assert_eq!(
        (drain_as_text(&insisting), drain_as_text(&quick)),
        (vec!["a 4".to_owned()], vec!["a 4".to_owned()])
    );
    let totals = publisher.totals();
    assert_eq!(
        (totals.published, totals.refused, totals.missed),
        (4, 1, meshzero_proto::news::Missed::default())
    );
}

#[tokio::test]
async fn an_endless_publisher_yields_to_others() {
    let publisher = publisher(100, 8, 8);
    let publishing = tokio::spawn({
        let publisher = publisher.clone();
        async move { while publisher.publish_all("a", &1u32).await.is_ok() {} }
    });
    // On one thread, so this is reached only if the loop yields.
    while publisher.totals().published < 3 * YIELD_INTERVAL {
        tokio::task::yield_now().await;
    }
    publisher.close();
    publishing.await.expect("it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_subscriber_is_waited_for_and_its_missed_items_are_reported() {
    let mut limits = Limits::default();
    limits.news_patience = Duration::from_millis(50);
    let publisher = publisher_on_test_clock(&limits);
    let few = |policy| Policy { items: 2, ..policy };
    let stopped = [
        subscribe_as::<u32>(&publisher, "", few(Policy::wait())),
        subscribe_as::<u32>(&publisher, "", few(Policy::default())),
        subscribe_as::<u32>(
            &publisher,
            "",
            Policy { every: Some(Duration::from_secs(60)), ..few(Policy::wait()) },
        ),
    ];
    let quick = subscribe_as::<u32>(&publisher, "", Policy { items: 1_000, ..Policy::wait() });
    let started = clock::now();
    let topics = ["a", "b", "c", "d", "e"];
    for (item, topic) in (0u32..).zip(topics) {
        publisher.publish_all(topic, &item).await.expect("published");
    }
    assert!(clock::now() - started >= limits.news_patience);
    assert_eq!(publisher.totals().given_up, 3, "each once, though more is published");
    publish(&publisher, "f", &5u32);
    assert_eq!(drain_as_text(&quick), ["a 0", "b 1", "c 2", "d 3", "e 4", "f 5"]);
    let [log, oldest, rated] = &stopped;
    assert_eq!(drain_as_text(log), ["-4 Patience", "e 4", "f 5"]);
    assert_eq!(drain_as_text(oldest), ["-4 Overflow", "e 4", "f 5"]);
    assert_eq!(drain_as_text(rated), ["-4 Patience", "e 4", "f 5"]);
    // They have caught up, and are waited for again.
    publish(&publisher, "a", &6u32);
    publish(&publisher, "b", &7u32);
    assert_eq!(publisher.publish("c", &8u32), Err(PublishError::Full));
    assert_eq!(poll_once(publisher.publish_all("c", &8u32)), None);
    let missed = publisher.totals().missed;
    assert_eq!((missed.patience, missed.overflow), (8, 4));
}

#[test]
fn a_subscriber_whose_connection_makes_progress_is_waited_for() {
    let mut limits = Limits::default();
    limits.news_patience = Duration::from_millis(20);
    let publisher = Publisher::new(&limits, &Timers::new().0);
    let feed = subscribe_as::<u32>(&publisher, "", Policy { items: 1, ..Policy::wait() });
    let (written, is_moving) = (AtomicU64::new(0), Arc::new(AtomicBool::new(true)));
    let moves = Arc::clone(&is_moving);
    feed.watch(move || match moves.load(Ordering::Relaxed) {
        true => written.fetch_add(1, Ordering::Relaxed),
        false => 0,
    });
    publish(&publisher, "a", &0u32);
    let started = Instant::now();
    while started.elapsed() < 5 * limits.news_patience {
        assert_eq!(publisher.publish("a", &1u32), Err(PublishError::Full));
        std::thread::yield_now();
    }
    is_moving.store(false, Ordering::Relaxed);
    while publisher.publish("a", &1u32) == Err(PublishError::Full) {
        assert!(started.elapsed() < Duration::from_secs(30), "it is given up");
        std::thread::yield_now();
    }
    assert_eq!(drain_as_text(&feed), ["-1 Patience", "a 1"]);
}

#[test]
fn backlogs_are_limited_and_share_the_total() {
    let mut limits = Limits::default();
    (limits.backlog_items, limits.backlog_bytes, limits.news_bytes) = (10, 1_000, 2_000);
    let publisher = Publisher::new(&limits, &Timers::new().0);
    let greedy = Policy { items: u32::MAX, bytes: u64::MAX, ..Policy::default() };
    let first = subscribe_as::<Vec<u8>>(&publisher, "", greedy);
    for item in 0..20u8 {
        publish(&publisher, "a", &vec![item]);
    }
    assert_eq!(drain_as_text(&first)[0], "-10 Overflow");
    let fill = |feed: &SubscriberStream| {
        for _ in 0..10 {
            publish(&publisher, "a", &vec![7u8; 200]);
        }
        drain_as_text(feed)[0].clone()
    };
    assert_eq!(fill(&first), "-5 Overflow", "four and the newest fit into 1,000 bytes");
    let others: Vec<_> = ["", "a"]
        .into_iter()
        .flat_map(|prefix| [Policy::last(10), greedy].map(|policy| (prefix, policy)))
        .map(|(prefix, policy)| subscribe_as::<Vec<u8>>(&publisher, prefix, policy))
        .collect();
    assert_eq!(fill(&first), "-7 Overflow", "each of four backlogs has 500 bytes");
    assert_eq!(drain_as_text(&others[0])[0], "-7 Overflow", "also one that is no log");
    drop(others);
    assert_eq!(fill(&first), "-5 Overflow");
}

#[tokio::test]
async fn a_waiting_publisher_continues_when_the_slow_subscriber_reads_or_leaves() {
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

#[tokio::test(start_paused = true)]
async fn waiting_publishers_get_room_in_the_order_in_which_they_began_to_wait() {
    let publisher = publisher_on_test_clock(&Limits::default());
    let feed = subscribe_as::<u32>(&publisher, "a", Policy { items: 2, ..Policy::wait() });
    let read = || drain_as_text(&feed);
    publish(&publisher, "a", &0u32);
    publish(&publisher, "a", &1u32);
    let woken = Arc::new(CountingWaker::default());
    let waker = Waker::from(Arc::clone(&woken));
    let waiting = |item: u32| -> Pin<Box<dyn Future<Output = Result<(), PublishError>>>> {
        let publisher = publisher.clone();
        Box::pin(async move { publisher.publish_all("a", &item).await })
    };
    let poll = |publishing: &mut Pin<Box<dyn Future<Output = _>>>| {
        publishing.as_mut().poll(&mut Context::from_waker(&waker)).map(|done: Result<(), _>| done.is_ok())
    };
    let mut futures: Vec<_> = (2..6).map(waiting).collect();
    for future in &mut futures {
        assert_eq!(poll(future), Poll::Pending);
    }
    assert_eq!(read(), ["a 0", "a 1"]);
    assert!(woken.0.load(Ordering::Relaxed) > 0);
    // There is room for two of them, and newcomers must not take it.
    let mut newcomer = waiting(9);
    assert_eq!(poll(&mut newcomer), Poll::Pending, "nobody overtakes");
    assert_eq!(publisher.publish("a", &9u32), Err(PublishError::Full));
    publisher.publish("b", &7u32).expect("nobody waits for the subscribers of this topic");
    assert_eq!(poll_once(publisher.publish_all("b", &7u32)), Some(Ok(())));
    let mut third = futures.remove(1);
    assert_eq!(poll(&mut third), Poll::Pending);
    drop(futures.remove(0));
    assert_eq!(poll(&mut third), Poll::Ready(true), "the one before has given up");
    let [mut fourth, mut fifth] = <[_; 2]>::try_from(futures).ok().expect("two are left");
    assert_eq!(poll(&mut fifth), Poll::Pending);
    assert_eq!(poll(&mut fourth), Poll::Ready(true));
    assert_eq!(poll(&mut fifth), Poll::Pending, "there is no room");
    assert_eq!(read(), ["a 3", "a 4"]);
    assert_eq!(poll(&mut newcomer), Poll::Pending);
    assert_eq!(poll(&mut fifth), Poll::Ready(true));
    drop(fifth);
    assert_eq!(poll(&mut newcomer), Poll::Ready(true));
    assert_eq!(read(), ["a 5", "a 9"]);
    publish(&publisher, "a", &10u32);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_publisher_that_is_not_polled_delays_others_for_a_moment_only() {
    let publisher = publisher_on_test_clock(&Limits::default());
    let feed = subscribe_as::<u32>(&publisher, "", Policy { items: 1, ..Policy::wait() });
    publish(&publisher, "a", &0u32);
    let mut unpolled = Box::pin(publisher.publish_all("a", &1u32));
    assert!(unpolled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let other = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.publish_all("a", &2u32).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(drain_as_text(&feed), ["a 0"]);
    let started = clock::now();
    other.await.expect("it does not panic").expect("it goes on");
    assert!(clock::now() - started < Duration::from_millis(100));
    assert_eq!(drain_as_text(&feed), ["a 2"]);
    unpolled.await.expect("it is polled again");
    assert_eq!(drain_as_text(&feed), ["a 1"]);
}

/// A full log of 8 items, of which a reader takes a few at a time, and a publisher that waits for room in it.
async fn filled(
    item: &Vec<u8>,
) -> (Publisher, SubscriberStream, tokio::task::JoinHandle<Result<(), PublishError>>) {
    let publisher = publisher_on_test_clock(&Limits::default());
    let feed =
        subscribe_as::<Vec<u8>>(&publisher, "", Policy { items: 8, bytes: 16 << 20, ..Policy::wait() });
    (0..8).for_each(|_| publish(&publisher, "a", item));
    let (waiting, item) = (publisher.clone(), item.clone());
    let waiting = tokio::spawn(async move { waiting.publish_all("a", &item).await });
    tokio::task::yield_now().await;
    (publisher, feed, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_finds_room_wakes_those_before_it() {
    let item = vec![7u8; 300_000];
    let (publisher, feed, waiting) = filled(&item).await;
    assert!(poll_once(feed.next()).flatten().is_some_and(|frames| frames.concat().len() < 4 * item.len()));
    assert!(!waiting.is_finished(), "there is room, though not much");
    assert_eq!(publisher.publish("a", &item), Err(PublishError::Full), "nobody overtakes");
    let started = clock::now();
    waiting.await.expect("it does not panic").expect("it is its turn");
    assert_eq!(clock::now(), started);
    publish(&publisher, "a", &item);
    assert_eq!(publisher.totals().given_up, 0);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_ignores_room_delays_others_for_a_moment_only() {
    let item = vec![7u8; 300_000];
    let (publisher, feed, waiting) = filled(&item).await;
    waiting.abort();
    assert!(waiting.await.is_err());
    let mut unpolled = Box::pin(publisher.publish_all("a", &item));
    assert!(unpolled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(poll_once(feed.next()).flatten().is_some());
    let started = clock::now();
    publisher.publish_all("a", &item).await.expect("it goes on");
    assert!(clock::now() - started < Duration::from_millis(100));
    unpolled.await.expect("it is polled again");
}

#[tokio::test(start_paused = true)]
async fn publishers_that_wait_repeatedly_get_room_in_turn() {
    let publisher = publisher_on_test_clock(&Limits::default());
    let feed = subscribe_as::<u32>(&publisher, "", Policy { items: 4, ..Policy::wait() });
    for number in 0..3u32 {
        let publisher = publisher.clone();
        tokio::spawn(async move { while publisher.publish_all("a", &number).await.is_ok() {} });
    }
    let mut counts = [0; 3];
    while counts.iter().sum::<i32>() < 300 {
        let frames = feed.next().await.expect("open");
        for (_, payload) in Frames::new(&frames.concat()) {
            counts[usize::from(payload[payload.len() - 1])] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count >= 80), "{counts:?}");
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
    assert!(matches!(publisher.publish("\0", &1u32), Err(PublishError::Topic(_))));
    publisher.close();
    assert_eq!(items(&feed).len(), 2, "items published before are still delivered");
    assert_eq!(poll_once(feed.next()), Some(None));
    assert_eq!(publisher.publish("a", &1u32), Err(PublishError::Closed));
    drop(feed);
    assert_eq!(publisher.subscribers(), 0);
}
