//! Long streams on bad networks: cut in the middle of large messages, stalled until every buffer is full, slow and late.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use meshzero::{Blob, CallError, Limits, UnknownReason};
use meshzero_testing::{Cut, Direction, Event, Fault, FaultProxy, Faults, Links, Outcome, Record};

use super::rig::{Account, Item, Numbered, Rig, Sender, news_records, offer};
use crate::pair::{PATIENCE, Pair, until};

fn large_limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = 16 << 20;
    limits
}

/// Cuts all connections of `proxy` again and again, at times derived from `seed`, until it is dropped.
struct Cutter(tokio::task::JoinHandle<()>);

impl Cutter {
    fn begin(proxy: &std::sync::Arc<FaultProxy>, seed: u64, longest_pause: Duration) -> Self {
        let proxy = std::sync::Arc::downgrade(proxy);
        Self(actix::spawn(async move {
            let mut dice = fastrand::Rng::with_seed(seed);
            while let Some(proxy) = proxy.upgrade() {
                proxy.cut(if dice.bool() { Cut::Reset } else { Cut::Close });
                drop(proxy);
                actix::clock::sleep(longest_pause.mul_f64(dice.f64())).await;
            }
        }))
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends this many messages of all lengths, a third of them calls.
async fn flood(sender: &mut Sender, messages: u64, dice: &mut fastrand::Rng, longest: usize) {
    for _ in 0..messages {
        let length = if dice.u8(..) < 16 { dice.usize(..longest) } else { dice.usize(..200) };
        let padding = Blob::from(vec![dice.u8(..); length]);
        if dice.u8(..3) == 0 {
            sender.call(padding).await;
        } else {
            sender.tell(padding).await;
        }
    }
    sender.finish().await;
}

#[actix::test]
async fn a_flood_over_connections_that_are_cut_all_the_time_arrives_once_and_in_order() {
    let rig = Rig::new().await;
    let proxy = std::sync::Arc::new(rig.proxy());
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut senders = Vec::new();
    for name in 0..4 {
        senders.push(rig.sender(name, &proxy).await);
    }
    let cutting = Cutter::begin(&proxy, seed, Duration::from_millis(60));
    let floods = senders.into_iter().map(|mut sender| {
        actix::spawn(async move {
            let mut dice = fastrand::Rng::with_seed(seed + sender.name);
            flood(&mut sender, 2_500, &mut dice, 300_000).await;
        })
    });
    for flood in floods.collect::<Vec<_>>() {
        flood.await.expect("all is sent");
    }
    drop(cutting);
    until("all are handled", || rig.account.promises(|promises| promises.tally().executed) == 10_000).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!(
        (tally.begun, tally.executed, tally.unknown, tally.not_sent),
        (10_000, 10_000, 0, 0),
        "{tally:?}"
    );
    assert!(proxy.connections() > 5, "{} connections", proxy.connections());
}

#[actix::test]
async fn news_over_connections_that_are_cut_all_the_time_arrive_once_and_in_order() {
    const ITEMS: u64 = 3_000;
    let rig = Rig::new().await;
    let proxy = std::sync::Arc::new(rig.proxy());
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let worker = rig.sender(0, &proxy).await.worker;
    let mut readers = Vec::new();
    for stream in 0..4 {
        let mut news = worker.subscribe::<Item>("").await.expect("confirmed");
        let account = rig.account.clone();
        account.note(Record::Subscribed { stream, by: 1, next: 0 });
        readers.push(actix::spawn(async move {
            while account.promises(|promises| promises.next_item(stream)) < Some(ITEMS) {
                let next = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time");
                account.note(news_records(stream, 1, &next.expect("it continues")));
            }
        }));
    }
    let cutting = Cutter::begin(&proxy, seed, Duration::from_millis(40));
    let mut dice = fastrand::Rng::with_seed(seed);
    for number in 0..ITEMS {
        let length = if dice.u8(..) < 8 { dice.usize(..200_000) } else { dice.usize(..200) };
        let item = Item { number, padding: vec![1; length].into() };
        rig.service.publish_all("line", &item).await.expect("published");
    }
    for reader in readers {
        reader.await.expect("all arrived");
    }
    drop(cutting);
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.items, tally.missed, tally.lost), (4 * ITEMS, 0, 0), "{tally:?}");
}

#[actix::test]
async fn a_message_of_several_megabytes_that_is_cut_in_its_middle_arrives_whole_and_once() {
    let rig = Rig::with(large_limits()).await;
    let proxy = rig.proxy();
    let mut sender = rig.sender(0, &proxy).await;
    // The most that a connection carries in either direction: every large message needs several connections.
    const MOST: u64 = 3_000_000;
    let short = Fault::after(MOST, Event::Cut(Cut::Reset));
    proxy.all(Faults::both(short));
    proxy.cut(Cut::Reset);
    let lengths = [8 << 20, 5 << 20, 100, 15 << 20, 0];
    for length in lengths {
        sender.call(Blob::from(vec![length as u8 + 3; length])).await;
    }
    sender.finish().await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.replies, tally.executed), (5, 5), "{tally:?}");
    // One direction; a reply and the next message may share connections.
    let least = (lengths.iter().sum::<usize>() as u64).div_ceil(MOST);
    assert!(proxy.connections() >= least, "{} connections", proxy.connections());
}

#[actix::test]
async fn a_connection_stalled_until_all_buffers_are_full_resumes_without_loss() {
    let rig = Rig::new().await;
    let proxy = rig.proxy();
    let mut sender = rig.sender(0, &proxy).await;
    let mut news = sender.worker.subscribe::<Item>("").await.expect("confirmed");
    rig.account.note(Record::Subscribed { stream: 0, by: 1, next: 0 });
    proxy.stall(Direction::Up);
    proxy.stall(Direction::Down);
    let telling = actix::spawn(async move {
        for _ in 0..300 {
            sender.tell(Blob::from(vec![1; 100_000])).await;
            sender.call(Blob::from(vec![1; 100_000])).await;
        }
        sender.finish().await;
    });
    let publisher = rig.service.publisher();
    let publishing = actix::spawn(async move {
        for number in 0..300 {
            let item = Item { number, padding: vec![1; 100_000].into() };
            publisher.publish_all("line", &item).await.expect("published");
        }
    });
    // Longer than the silence after which the other host is probed.
    actix::clock::sleep(Duration::from_secs(4)).await;
    let is_held_up =
        rig.account.promises(|promises| promises.tally().sent) < 300 && !publishing.is_finished();
    assert!(is_held_up && !telling.is_finished(), "the sender is blocked");
    proxy.release(Direction::Down);
    proxy.release(Direction::Up);
    for _ in 0..300 {
        let next = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time");
        rig.account.note(news_records(0, 1, &next.expect("it continues")));
    }
    telling.await.expect("no panic");
    publishing.await.expect("no panic");
    until("all are handled", || rig.service.unfinished() == 0).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.executed, tally.items, tally.missed, tally.unknown), (600, 300, 0, 0), "{tally:?}");
}

#[actix::test]
async fn on_a_line_that_is_slow_late_and_uneven_everything_arrives_in_order() {
    let rig = Rig::new().await;
    let proxy = rig.proxy();
    proxy.seed(7);
    proxy.all(Faults::both(Fault {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(30),
        bytes_per_second: Some(400_000),
        ..Fault::default()
    }));
    let mut sender = rig.sender(0, &proxy).await;
    let begun = Instant::now();
    let mut dice = fastrand::Rng::with_seed(3);
    flood(&mut sender, 400, &mut dice, 20_000).await;
    assert!(begun.elapsed() > Duration::from_millis(40));
    until("all are handled", || rig.account.promises(|promises| promises.tally().executed) == 400).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.begun, tally.unknown, tally.not_sent), (400, 0, 0), "{tally:?}");
}

#[actix::test]
async fn a_connection_that_is_kept_alive_and_carries_nothing_is_replaced_and_others_are_served() {
    let mut limits = Limits::default();
    limits.keep_alive = Duration::from_secs(1);
    let rig = Rig::with(limits).await;
    let (proxy, clean) = (rig.proxy(), rig.proxy());
    proxy.next(Faults { down: Fault::after(400, Event::Swallow), ..Faults::default() });
    let mut sender = rig.sender(0, &proxy).await;
    let mut other = rig.sender(1, &clean).await;
    for _ in 0..60 {
        sender.call(Blob::from(vec![1; 10])).await;
        sender.tell(Blob::from(vec![1; 10])).await;
        other.call(Blob::from(vec![1; 10])).await;
    }
    let begun = Instant::now();
    other.finish().await;
    sender.finish().await;
    eprintln!("it took {:?}", begun.elapsed());
    until("all are handled", || rig.account.promises(|promises| promises.tally().executed) == 180).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.replies, tally.unknown, tally.executed), (120, 0, 180), "{tally:?}");
    assert!(proxy.connections() > 1, "another carries on");
}

#[actix::test]
async fn a_subscription_whose_connection_is_kept_alive_and_carries_nothing_continues_over_another() {
    const ITEMS: u64 = 200;
    // Without a race it takes as long as detecting that the old connection is dead.
    for races in [Limits::default().races_per_second, 0] {
        let mut limits = Limits::default();
        (limits.keep_alive, limits.races_per_second) = (Duration::from_secs(1), races);
        let rig = Rig::with(limits).await;
        let proxy = rig.proxy();
        let worker = rig.sender(0, &proxy).await.worker;
        proxy.next(Faults { down: Fault::after(2_000, Event::Swallow), ..Faults::default() });
        let mut news = worker.subscribe::<Item>("").await.expect("confirmed");
        rig.account.note(Record::Subscribed { stream: 0, by: 1, next: 0 });
        for number in 0..ITEMS {
            let item = Item { number, padding: vec![1; 100].into() };
            rig.service.publish_all("line", &item).await.expect("published");
        }
        let begun = Instant::now();
        while rig.account.promises(|promises| promises.next_item(0)) < Some(ITEMS) {
            let next = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time");
            rig.account.note(news_records(0, 1, &next.expect("it continues")));
        }
        eprintln!("{races} races a second: it took {:?}", begun.elapsed());
        let tally = rig.account.settle(Links::Lasted);
        assert_eq!((tally.items, tally.missed, tally.lost), (ITEMS, 0, 0), "{tally:?}");
        let traffic = rig.pair.there.traffic();
        assert_eq!(traffic.races_won > 0, races > 0, "{traffic:?}");
    }
}

#[actix::test]
async fn a_latest_only_subscriber_that_was_cut_off_is_not_sent_superseded_items() {
    const ITEMS: u64 = 200;
    const PADDING: u64 = 1_000;
    let mut limits = Limits::default();
    // The connection is replaced when the proxy cuts it, and not before.
    limits.races_per_second = 0;
    let rig = Rig::with(limits).await;
    let proxy = rig.proxy();
    let worker = rig.sender(0, &proxy).await.worker;
    let mut news = worker.subscribe::<Item>("").latest().await.expect("confirmed");
    rig.account.note(Record::Subscribed { stream: 0, by: 1, next: 0 });
    let (written, read) = (|| rig.pair.here.traffic().bytes_written, || rig.pair.there.traffic().bytes_read);
    proxy.stall(Direction::Down);
    let read_before = read();
    for number in 0..ITEMS {
        let before = written();
        let item = Item { number, padding: vec![1; PADDING as usize].into() };
        rig.service.publish("line", &item).expect("published");
        until("it is written", || written() >= before + PADDING).await;
    }
    let connections = proxy.connections();
    proxy.cut(Cut::Reset);
    until("another connection is there", || proxy.connections() > connections).await;
    proxy.release(Direction::Down);
    while rig.account.promises(|promises| promises.next_item(0)) < Some(ITEMS) {
        let next = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time");
        rig.account.note(news_records(0, 1, &next.expect("it continues")));
    }
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.items + tally.missed, tally.lost), (ITEMS, 0), "{tally:?}");
    assert!(read() - read_before < 20 * PADDING, "{} bytes arrived", read() - read_before);
}

#[actix::test]
async fn a_call_on_a_line_that_answers_nothing_ends_at_its_deadline() {
    let rig = Rig::new().await;
    let proxy = rig.proxy();
    let mut sender = rig.sender(0, &proxy).await;
    proxy.stall(Direction::Down);
    sender.allowed = Duration::from_millis(500);
    for _ in 0..20 {
        sender.call(Blob::from(vec![1; 10])).await;
    }
    sender.finish().await;
    proxy.release(Direction::Down);
    sender.allowed = PATIENCE;
    sender.call(Blob::default()).await;
    sender.finish().await;
    until("what was sent is handled", || rig.service.unfinished() == 0).await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.replies, tally.unknown + tally.not_sent), (1, 20), "{tally:?}");
}

#[actix::test]
async fn a_refusing_port_means_a_dead_process_and_unsent_messages_wait_for_the_next() {
    let rig = Rig::new().await;
    let proxy = rig.proxy();
    let mut sender = rig.sender(0, &proxy).await;
    sender.call(Blob::default()).await;
    sender.finish().await;
    proxy.refuse();
    proxy.cut(Cut::Reset);
    until("the link has ended", || sender.worker.instances().is_empty()).await;
    let error = sender.worker.send(Numbered { sender: 9, number: 0, padding: Blob::default() });
    let error = error.timeout(Duration::from_millis(100)).await.expect_err("nobody is there");
    assert!(error.is_safe_to_repeat(), "{error}");
    sender.call(Blob::default()).await;
    sender.call(Blob::default()).await;
    proxy.accept();
    sender.finish().await;
    let tally = rig.account.settle(Links::Ended);
    assert_eq!(tally.replies, 3, "{tally:?}");
}

#[actix::test]
async fn a_network_that_is_down_for_longer_than_links_wait_ends_pending_calls_as_unknown() {
    let mut limits = Limits::default();
    limits.reconnect = Duration::from_millis(500);
    let rig = Rig::with(limits).await;
    let proxy = rig.proxy();
    let mut sender = rig.sender(0, &proxy).await;
    sender.call(Blob::default()).await;
    sender.finish().await;
    // Requests are read, replies never arrive, and new connections do not help: they are accepted and stay silent.
    proxy.stall(Direction::Down);
    proxy.all(Faults::both(Fault::after(0, Event::Swallow)));
    let begun = Instant::now();
    let number = sender.next;
    sender.next += 1;
    let allowed = PATIENCE;
    let kind = meshzero_testing::Kind::Call;
    rig.account.note(Record::Started { sender: 0, number, kind, allowed });
    let request =
        sender.worker.send(Numbered { sender: 0, number, padding: Blob::default() }).timeout(allowed);
    let request = actix::spawn(request);
    until("it is executed", || rig.account.promises(|promises| promises.tally().executed) == 2).await;
    proxy.cut(Cut::Reset);
    let error = request.await.expect("no panic").expect_err("there is no reply");
    assert!(matches!(error, CallError::Unknown { reason: UnknownReason::Lost, .. }), "{error:?}");
    rig.account.note(Record::Ended { sender: 0, number, outcome: Outcome::Unknown, took: begun.elapsed() });
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    proxy.all(Faults::default());
    proxy.release(Direction::Down);
    sender.call(Blob::default()).await;
    sender.finish().await;
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.replies, tally.unknown, tally.executed), (2, 1, 3), "{tally:?}");
}

#[actix::test]
async fn a_subscriber_on_a_line_that_is_too_slow_gets_an_exact_count_of_missed_items() {
    const ITEMS: u64 = 4_000;
    let rig = Rig::new().await;
    let proxy = rig.proxy();
    let worker = rig.sender(0, &proxy).await.worker;
    let narrow = Fault { bytes_per_second: Some(500_000), ..Fault::default() };
    proxy.all(Faults { down: narrow, ..Faults::default() });
    let mut subscriptions = vec![
        worker.subscribe::<Item>("").keep(8).await.expect("confirmed"),
        worker.subscribe::<Item>("").latest().await.expect("confirmed"),
    ];
    for number in 0..ITEMS {
        let item = Item { number, padding: vec![1; 1_000].into() };
        rig.service.publish("line", &item).expect("published");
        if number % 100 == 99 {
            actix::clock::sleep(Duration::from_millis(5)).await;
        }
    }
    for (stream, news) in (0..).zip(&mut subscriptions) {
        rig.account.note(Record::Subscribed { stream, by: 1, next: 0 });
        while rig.account.promises(|promises| promises.next_item(stream)) < Some(ITEMS) {
            let next = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time");
            rig.account.note(news_records(stream, 1, &next.expect("it continues")));
        }
    }
    let tally = rig.account.settle(Links::Lasted);
    assert_eq!((tally.items + tally.missed, tally.lost), (2 * ITEMS, 0), "{tally:?}");
    assert!(tally.missed > 0, "{tally:?}");
}

#[actix::test]
async fn two_nodes_that_dial_each_other_at_the_same_time_both_reach_the_other() {
    for _ in 0..20 {
        let pair = Pair::join().await;
        let account = Account::new();
        let (here, there) =
            tokio::join!(offer(&pair.here, 1, "here", &account), offer(&pair.there, 2, "there", &account));
        let (to_there, to_here) = tokio::join!(
            pair.here.discover("there").within(PATIENCE).into_future(),
            pair.there.discover("here").within(PATIENCE).into_future(),
        );
        let mut senders = [
            Sender::new(1, to_there.expect("it is there"), &account),
            Sender::new(2, to_here.expect("it is here"), &account),
        ];
        for _ in 0..20 {
            for sender in &mut senders {
                sender.call(Blob::default()).await;
                sender.tell(Blob::default()).await;
            }
        }
        for sender in &mut senders {
            sender.finish().await;
        }
        until("all are handled", || account.promises(|promises| promises.tally().executed) == 80).await;
        let tally = account.settle(Links::Lasted);
        assert_eq!((tally.replies, tally.sent), (40, 40), "{tally:?}");
        drop((here, there));
    }
}
