//! News: confirmed subscriptions, order, prefixes, retained items, slow subscribers and groups.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{Blob, GapReason, Limits, News, NewsError, PublishError, Service, Subscription, Value};
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair, until};

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pose {
    x: f32,
    y: f32,
}

#[actix::test]
async fn the_first_item_after_a_subscription_is_never_lost() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.reach(&service).await;
    for round in 0..50 {
        let mut poses = robot.subscribe::<u32>("pose").await.expect("confirmed");
        service.publish("pose", &round).expect("published");
        let news = poses.next().await.expect("goes on").expect("an item");
        assert_eq!((news.item, news.topic.as_str()), (round, "pose"));
    }
}

#[actix::test]
async fn every_subscriber_gets_every_item_of_its_prefix_in_order() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.reach(&service).await;
    let near = pair.here.discover("robot").await.expect("it is here");
    let subscriptions = [
        ("", robot.subscribe::<Pose>("").await.expect("confirmed")),
        ("pose/", robot.subscribe::<Pose>("pose/").await.expect("confirmed")),
        ("pose/left", near.subscribe::<Pose>("pose/left").await.expect("confirmed")),
    ];
    let published: Vec<(String, Pose)> = (0..300u16)
        .map(|number| {
            let topic = ["pose/left", "pose/right", "battery"][usize::from(number) % 3];
            (topic.to_owned(), Pose { x: f32::from(number), y: 0.5 })
        })
        .collect();
    for (topic, pose) in &published {
        service.publish(topic, pose).expect("published");
    }
    for (prefix, mut subscription) in subscriptions {
        for (topic, pose) in published.iter().filter(|(topic, _)| topic.starts_with(prefix)) {
            let news = actix::clock::timeout(PATIENCE, subscription.next()).await.expect("in time");
            let news = news.expect("goes on").expect("an item");
            assert_eq!((news.topic.as_str(), &news.item), (topic.as_str(), pose), "prefix {prefix:?}");
        }
    }
}

#[actix::test]
async fn large_blobs_reach_subscribers_in_the_same_process() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("camera", || Quiet).await.expect("advertised");
    let camera = pair.here.discover("camera").await.expect("it is here");
    let mut subscriptions = [
        camera.subscribe::<(u32, Blob, Blob)>("picture").await.expect("confirmed"),
        camera.subscribe::<(u32, Blob, Blob)>("picture").latest().await.expect("confirmed"),
        pair.reach(&service).await.subscribe::<(u32, Blob, Blob)>("picture").await.expect("confirmed"),
    ];
    for (number, length) in [0, 100, 16 << 10, 400 << 10, 100].into_iter().enumerate() {
        let [first, second] = [1, 2].map(|byte| Blob::from(vec![byte; length]));
        let picture = (number as u32, first, second);
        service.publish("picture", &picture).expect("published");
        for subscription in &mut subscriptions {
            let news = actix::clock::timeout(PATIENCE, subscription.next()).await.expect("in time");
            assert_eq!(news.expect("goes on").expect("an item").item, picture);
        }
    }
}

#[actix::test]
async fn items_of_any_type_reach_a_subscriber_without_the_type() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let mut all = pair.reach(&service).await.subscribe::<Value>("").await.expect("confirmed");
    service.publish("pose", &Pose { x: 1.0, y: 2.5 }).expect("published");
    service.publish("name", &"arm".to_owned()).expect("published");
    let pose = all.next().await.expect("goes on").expect("an item");
    assert_eq!(pose.item["y"], Value::from(2.5));
    assert_eq!(all.next().await.expect("goes on").expect("an item").item, Value::from("arm"));
}

#[actix::test]
async fn an_item_that_does_not_decode_is_an_error_and_the_next_arrives() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let mut poses = pair.reach(&service).await.subscribe::<Pose>("").await.expect("confirmed");
    service.publish("pose", &"nowhere".to_owned()).expect("published");
    service.publish("pose", &Pose { x: 1.0, y: 2.0 }).expect("published");
    let told = poses.next().await.expect("goes on").expect_err("a text is no pose");
    assert!(matches!(told, NewsError::Undecodable { .. }), "{told:?}");
    poses.next().await.expect("goes on").expect("a pose");
}

#[actix::test]
async fn a_retained_item_reaches_later_subscribers() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).retains("pose").await.expect("advertised");
    service.publish("pose", &Pose { x: 1.0, y: 0.0 }).expect("published");
    service.publish("pose", &Pose { x: 2.0, y: 0.0 }).expect("published");
    service.publish("gone", &1).expect("published");
    let robot = pair.reach(&service).await;
    let mut typed = robot.subscribe::<Pose>("").await.expect("confirmed");
    let mut untyped = robot.subscribe::<Value>("").await.expect("confirmed");
    service.publish("pose", &Pose { x: 3.0, y: 0.0 }).expect("published");
    for x in [2.0, 3.0] {
        assert_eq!(typed.next().await.expect("goes on").expect("an item").item.x, x);
        let item = untyped.next().await.expect("goes on").expect("an item").item;
        assert_eq!(item["x"], Value::from(f64::from(x)));
    }
}

#[actix::test]
async fn a_slow_subscriber_gets_an_exact_count_of_missed_items_and_delays_nobody() {
    const ITEMS: u64 = 40_000;
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.reach(&service).await;
    let mut slow = robot.subscribe::<(u64, Vec<u64>)>("").keep(8).await.expect("confirmed");
    let mut quick = robot.subscribe::<(u64, Vec<u64>)>("").keep(u32::MAX).await.expect("confirmed");
    let payload = vec![u64::MAX; 64];
    for number in 0..ITEMS {
        service.publish("n", &(number, payload.clone())).expect("published");
        if number % 4 == 3 {
            for expected in number - 3..=number {
                let news = actix::clock::timeout(PATIENCE, quick.next())
                    .await
                    .expect("the quick one is not delayed");
                assert_eq!(news.expect("goes on").expect("an item").item.0, expected);
            }
        }
    }
    let (mut next, mut missed) = (0, 0);
    while next < ITEMS {
        match slow.next().await.expect("goes on") {
            Ok(news) => {
                assert_eq!(news.item.0, next, "in order, after what was missed");
                next += 1;
            }
            Err(NewsError::Missed { count, .. }) => {
                missed += count;
                next += count;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(next, ITEMS);
    assert!(missed > 0, "a backlog of 8 cannot hold what the sockets do not");
}

#[actix::test]
async fn latest_only_ends_with_the_newest_and_counts_what_was_replaced() {
    const ITEMS: u64 = 20_000;
    let pair = Pair::join().await;
    let service = pair.here.advertise("game", || Quiet).await.expect("advertised");
    let game = pair.reach(&service).await;
    let mut snapshots = game.subscribe::<(u64, Vec<u64>)>("").latest().await.expect("confirmed");
    let payload = vec![u64::MAX; 64];
    for number in 0..ITEMS {
        service.publish("snapshot", &(number, payload.clone())).expect("published");
    }
    let (mut last, mut seen) = (None, 0);
    while last != Some(ITEMS - 1) {
        let news = actix::clock::timeout(PATIENCE, snapshots.next()).await.expect("the newest arrives");
        let news = news.expect("goes on").expect("an item");
        assert!(last < Some(news.item.0), "never back in time");
        last = Some(news.item.0);
        seen += 1 + news.skipped;
    }
    assert_eq!(seen, ITEMS, "what came and what was replaced is all that was published");
}

/// An item that fills the sockets soon: its number, and ballast.
type Load = (u64, Vec<u64>);

fn load(number: u64) -> Load {
    (number, vec![u64::MAX; 64])
}

async fn next(subscription: &mut Subscription<Load>) -> Result<News<Load>, NewsError> {
    let news = actix::clock::timeout(PATIENCE, subscription.next()).await.expect("something comes");
    news.expect("goes on")
}

/// Receives items until the last item of each topic has accounted for all of `items`. Returns the number received and the number
/// missed, with the reason.
async fn take_all(subscription: &mut Subscription<Load>, items: u64) -> (u64, Vec<(u64, GapReason)>) {
    let (mut came, mut gaps, mut accounted) = (0, Vec::new(), 0);
    let mut last = std::collections::HashMap::new();
    while accounted < items {
        match next(subscription).await {
            Ok(news) => {
                let number = news.item.0;
                assert!(last.insert(news.topic, number) < Some(number), "in order");
                for (count, reason) in
                    [(news.skipped, GapReason::Superseded), (news.thinned, GapReason::Rate)]
                {
                    if count > 0 {
                        gaps.push((count, reason));
                    }
                    accounted += count;
                }
                came += 1;
                accounted += 1;
            }
            Err(NewsError::Missed { count, reason, .. }) => {
                gaps.push((count, reason));
                accounted += count;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(accounted, items, "exactly all");
    (came, gaps)
}

/// Publishes this many items on two topics, while a fast subscriber, which must get every one, receives them.
async fn publish_beside_a_fast_subscriber(pair: &Pair, service: &Service<Quiet>, items: u64) {
    let mut quick = pair.reach(service).await.subscribe::<Load>("").keep(u32::MAX).await.expect("confirmed");
    for number in 0..items {
        service.publish(["a", "b"][number as usize % 2], &load(number)).expect("published");
        if number % 8 == 7 {
            for expected in number - 7..=number {
                assert_eq!(next(&mut quick).await.expect("nothing is missed").item.0, expected);
            }
        }
    }
}

#[actix::test]
async fn the_last_few_of_each_topic_reach_a_slow_subscriber() {
    const ITEMS: u64 = 40_000;
    let pair = Pair::join().await;
    let service = pair.here.advertise("chat", || Quiet).await.expect("advertised");
    let mut slow = pair.reach(&service).await.subscribe::<Load>("").last(3).await.expect("confirmed");
    publish_beside_a_fast_subscriber(&pair, &service, ITEMS).await;
    let mut last = [Vec::new(), Vec::new()];
    let mut accounted = 0;
    while accounted < ITEMS {
        let news = next(&mut slow).await.expect("nothing but what was asked for");
        accounted += 1 + news.skipped;
        last[usize::from(news.topic.as_str() == "b")].push(news.item.0);
    }
    for (numbers, topic) in last.iter().zip(0..) {
        assert!(numbers.is_sorted(), "in order");
        let newest: Vec<_> = (ITEMS - 6..ITEMS).filter(|number| number % 2 == topic).collect();
        assert!(numbers.ends_with(&newest), "the last three of topic {topic}");
    }
    assert_eq!(accounted, ITEMS);
    assert!(service.publisher().totals().missed.superseded > 0, "a slow one is noticed at the publisher");
}

#[actix::test]
async fn at_a_rate_as_many_arrive_as_were_asked_for_and_the_newest_is_among_them() {
    const ITEMS: u64 = 4_000;
    const RATE: f64 = 20.0;
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.reach(&service).await;
    let mut slow = robot.subscribe::<Load>("").at_most(RATE).await.expect("confirmed");
    let mut newest = robot.subscribe::<Load>("").at_most(RATE).latest().await.expect("confirmed");
    let begun = std::time::Instant::now();
    publish_beside_a_fast_subscriber(&pair, &service, ITEMS).await;
    let (came, gaps) = take_all(&mut slow, ITEMS).await;
    let periods = (begun.elapsed().as_secs_f64() * RATE).floor() as u64;
    assert!(came >= 4, "the first and the newest of both topics");
    assert!(came <= 2 * (periods + 1), "{came} in {periods} periods of two topics");
    assert!(gaps.iter().all(|(_, reason)| *reason == GapReason::Rate), "{gaps:?}");
    let (came, gaps) = take_all(&mut newest, ITEMS).await;
    assert!(came >= 2 && gaps.iter().any(|(_, reason)| *reason == GapReason::Rate));
    assert!(service.publisher().totals().missed.rate > ITEMS, "of both");
    robot.subscribe::<Load>("").at_most(-1.0).await.expect_err("there is no such rate");
}

#[actix::test]
async fn a_publisher_waits_for_a_subscriber_that_wants_every_item() {
    const ITEMS: u64 = 20_000;
    let pair = Pair::join().await;
    let service = pair.here.advertise("shop", || Quiet).await.expect("advertised");
    let shop = pair.reach(&service).await;
    let mut slow = shop.subscribe::<Load>("").wait().keep(16).await.expect("confirmed");
    let mut quick = shop.subscribe::<Load>("").await.expect("confirmed");
    // `publish` fails at some point, and the refused item reaches nobody.
    let mut published = 0;
    while service.publish("a", &load(published)).is_ok() {
        assert_eq!(next(&mut quick).await.expect("nothing is missed").item.0, published);
        published += 1;
        assert!(published < 10 * ITEMS, "sockets are not that large");
    }
    assert!(matches!(service.publish("a", &load(published)), Err(PublishError::Full)));
    let publisher = service.publisher();
    let publishing = actix::spawn(async move {
        for number in published..ITEMS.max(published) + 100 {
            publisher.publish_all("a", &load(number)).await.expect("published");
        }
    });
    let all = ITEMS.max(published) + 100;
    let taking = actix::spawn(async move {
        for number in published..all {
            assert_eq!(next(&mut quick).await.expect("nothing is missed").item.0, number);
        }
    });
    for number in 0..all {
        assert_eq!(next(&mut slow).await.expect("nothing is missed").item.0, number);
    }
    publishing.await.expect("all was published");
    taking.await.expect("all was taken");
    let totals = service.publisher().totals();
    assert_eq!((totals.published, totals.delivered), (all, 2 * all));
    assert_eq!((totals.missed.total(), totals.given_up, totals.refused), (0, 0, 2));
}

#[actix::test]
async fn a_stopped_subscriber_blocks_nobody_forever() {
    const ITEMS: u64 = 40_000;
    let mut limits = Limits::default();
    limits.news_patience = Duration::from_millis(200);
    let pair = Pair::join_with(limits).await;
    let service = pair.here.advertise("shop", || Quiet).await.expect("advertised");
    let shop = pair.reach(&service).await;
    let mut stopped = shop.subscribe::<Load>("").wait().keep(16).await.expect("confirmed");
    let mut quick = shop.subscribe::<Load>("").wait().await.expect("confirmed");
    let publisher = service.publisher();
    let publishing = actix::spawn(async move {
        for number in 0..ITEMS {
            publisher.publish_all("a", &load(number)).await.expect("published");
        }
    });
    for number in 0..ITEMS {
        assert_eq!(next(&mut quick).await.expect("nothing is missed").item.0, number);
    }
    publishing.await.expect("all was published");
    let totals = service.publisher().totals();
    assert_eq!(totals.given_up, 1);
    let (came, gaps) = take_all(&mut stopped, ITEMS).await;
    let missed = gaps.iter().map(|(count, _)| count).sum::<u64>();
    assert!(gaps.iter().all(|(_, reason)| *reason == GapReason::Patience), "{gaps:?}");
    assert_eq!((came + missed, totals.missed.patience), (ITEMS, missed), "counted at both ends alike");
    assert!(missed > 0);
}

#[actix::test]
async fn a_subscriber_that_takes_its_time_is_not_one_that_has_stopped() {
    let mut limits = Limits::default();
    limits.news_patience = Duration::from_secs(2);
    let pair = Pair::join_with(limits.clone()).await;
    let service = pair.here.advertise("shop", || Quiet).await.expect("advertised");
    let mut slow = pair.reach(&service).await.subscribe::<Load>("").wait().await.expect("confirmed");
    let publisher = service.publisher();
    let publishing = actix::spawn(async move {
        for number in 0.. {
            publisher.publish_all("a", &load(number)).await.expect("published");
        }
    });
    // So few that the connection accepts nothing for all that time.
    let begun = std::time::Instant::now();
    for number in 0.. {
        assert_eq!(next(&mut slow).await.expect("nothing is missed").item.0, number);
        if begun.elapsed() > 2 * limits.news_patience {
            break;
        }
        actix::clock::sleep(Duration::from_millis(4)).await;
    }
    assert_eq!(service.publisher().totals().given_up, 0);
    publishing.abort();
}

#[actix::test]
async fn a_subscription_follows_its_publisher_through_a_restart() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let address = service.address().to_string();
    let robot = pair.here.discover("robot").await.expect("it is here");
    let mut news = robot.subscribe::<u32>("").await.expect("confirmed");
    service.publish("n", &1).expect("published");
    assert_eq!(news.next().await.expect("goes on").expect("an item").item, 1);
    service.close().await;
    let lost = news.next().await.expect("goes on").expect_err("the publisher is gone");
    assert!(matches!(lost, NewsError::Lost { .. }), "{lost:?}");
    let again = pair.here.advertise("robot", || Quiet).at(&address).await.expect("advertised again");
    let publisher = again.publisher();
    let publishing = actix::spawn(async move {
        loop {
            publisher.publish("n", &2).expect("published");
            actix::clock::sleep(Duration::from_millis(5)).await;
        }
    });
    let item = actix::clock::timeout(PATIENCE, news.next()).await.expect("it is back").expect("goes on");
    assert_eq!(item.expect("an item").item, 2);
    publishing.abort();
}

#[actix::test]
async fn a_subscription_to_an_address_continues_with_the_next_service_there() {
    let pair = Pair::join().await;
    let first = pair.here.advertise("first", || Quiet).await.expect("advertised");
    let address = first.address().to_string();
    let mut news = pair.reach(&first).await.subscribe::<u32>("").await.expect("confirmed");
    first.close().await;
    let lost = news.next().await.expect("goes on").expect_err("the publisher is gone");
    assert!(matches!(lost, NewsError::Lost { .. }), "{lost:?}");
    let second = pair.here.advertise("second", || Quiet).at(&address).await.expect("advertised");
    until("it is subscribed to", || second.publisher().subscribers() == 1).await;
    second.publish("n", &2).expect("published");
    assert_eq!(news.next().await.expect("goes on").expect("an item").item, 2);
}

struct Collector(Arc<Mutex<Vec<u32>>>);

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<News<u32>> for Collector {
    type Result = ();
    fn handle(&mut self, news: News<u32>, _: &mut Context<Self>) {
        self.0.lock().expect("no panic").push(news.item);
    }
}

#[actix::test]
async fn an_actor_subscribes_until_its_guard_is_dropped() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.reach(&service).await;
    let collected = Arc::new(Mutex::new(Vec::new()));
    let collector = Collector(Arc::clone(&collected)).start();
    let guard = robot.subscribe_to("", collector.recipient()).await.expect("confirmed");
    for number in 0..10 {
        service.publish("n", &number).expect("published");
    }
    until("all has come", || collected.lock().expect("no panic").len() == 10).await;
    assert_eq!(*collected.lock().expect("no panic"), (0..10).collect::<Vec<_>>());
    assert_eq!(service.publisher().subscribers(), 1);
    drop(guard);
    until("the subscription has ended", || service.publisher().subscribers() == 0).await;
}

#[actix::test]
async fn a_group_subscription_includes_later_members() {
    let pair = Pair::join().await;
    let first = pair.here.advertise("chat/ann", || Quiet).await.expect("advertised");
    let _other = pair.here.advertise("chatter", || Quiet).await.expect("advertised");
    let group = pair.here.discover_group("chat").except(["chat/me"]);
    let mut lines = group.subscribe::<String>("line").await.expect("confirmed");
    first.publish("line", &"hello".to_owned()).expect("published");
    let news = lines.next().await.expect("goes on").expect("an item");
    assert_eq!((news.from.as_str(), news.item.as_str()), ("chat/ann", "hello"));
    let second = pair.here.advertise("chat/bob", || Quiet).await.expect("advertised");
    let excluded = pair.here.advertise("chat/me", || Quiet).await.expect("advertised");
    until("it is subscribed to", || second.publisher().subscribers() == 1).await;
    second.publish("line", &"hi".to_owned()).expect("published");
    let news = lines.next().await.expect("goes on").expect("an item");
    assert_eq!((news.from.as_str(), news.item.as_str()), ("chat/bob", "hi"));
    assert_eq!(excluded.publisher().subscribers(), 0);
}
