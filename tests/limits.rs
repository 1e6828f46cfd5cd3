//! Limits and timeouts at their extremes.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{CallError, Limits, Mesh, RestartPolicy, SubscribeError, zero};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::mortal::Mortal;
use crate::pair::{PATIENCE, Pair};

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u8")]
struct Ping;

impl Handler<Ping> for Quiet {
    type Result = u8;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> u8 {
        1
    }
}

/// A handler that never replies.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u8")]
struct Never;

impl Handler<Never> for Quiet {
    type Result = ResponseFuture<u8>;

    fn handle(&mut self, _: Never, _: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

/// The shortest and longest times, and those at the boundaries of clocks and systems.
const TIMES: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_secs(32_768),
    Duration::from_millis(u32::MAX as u64),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_millis(u64::MAX),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

/// Times longer than any test.
const NEVER: [Duration; 4] = [
    Duration::from_secs(32_768),
    Duration::from_millis(u64::MAX),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

type Time = fn(&mut Limits) -> &mut Duration;

const LIMITS: [(&str, Time); 6] = [
    ("handshake", |limits| &mut limits.handshake),
    ("reconnect", |limits| &mut limits.reconnect),
    ("news_patience", |limits| &mut limits.news_patience),
    ("drain", |limits| &mut limits.drain),
    ("request_timeout", |limits| &mut limits.request_timeout),
    ("keep_alive", |limits| &mut limits.keep_alive),
];

type Count = fn(&mut Limits, usize);

const COUNTS: [(&str, Count); 20] = [
    ("message_bytes", |limits, count| limits.message_bytes = count),
    ("decoded_factor", |limits, count| limits.decoded_factor = count),
    ("nesting", |limits, count| limits.nesting = u32::try_from(count).unwrap_or(u32::MAX)),
    ("values", |limits, count| limits.values = count),
    ("handshakes", |limits, count| limits.handshakes = count),
    ("connections", |limits, count| limits.connections = count),
    ("connections_per_address", |limits, count| limits.connections_per_address = count),
    ("requests_in_flight", |limits, count| limits.requests_in_flight = count),
    ("mailbox", |limits, count| limits.mailbox = count),
    ("send_queue_bytes", |limits, count| limits.send_queue_bytes = count),
    ("unacknowledged_bytes", |limits, count| limits.unacknowledged_bytes = count),
    ("races_per_second", |limits, count| limits.races_per_second = u32::try_from(count).unwrap_or(u32::MAX)),
    ("subscriptions", |limits, count| limits.subscriptions = count),
    ("backlog_items", |limits, count| limits.backlog_items = count),
    ("backlog_bytes", |limits, count| limits.backlog_bytes = count),
    ("news_bytes", |limits, count| limits.news_bytes = count),
    ("topics", |limits, count| limits.topics = count),
    ("instances", |limits, count| limits.instances = count),
    ("instances_per_source", |limits, count| limits.instances_per_source = count),
    ("instances_per_node", |limits, count| limits.instances_per_node = count),
];

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics on all threads from here on: those of tasks would go unnoticed.
fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
}

fn nothing_panicked() {
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
}

/// Returns the output of `future` if it ends within a short time: with some limits it cannot.
async fn shortly<F: IntoFuture>(future: F) -> Option<F::Output> {
    actix::clock::timeout(Duration::from_millis(400), future.into_future()).await.ok()
}

/// Uses a mesh of two nodes with these limits, as far as they allow, and checks that both still work. Returns the reason if the
/// limits are rejected.
async fn use_shortly(limits: Limits) -> Result<(), String> {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let join = || Mesh::join().mesh(&name).interfaces("lo").limits(limits.clone());
    let (here, there) = match (join().await, join().await) {
        (Ok(here), Ok(there)) => (here, there),
        (Err(error), _) | (_, Err(error)) => return Err(error.to_string()),
    };
    let service = here.advertise("robot", || Quiet).handles::<Ping>().retains("pose").await;
    if let Ok(service) = service {
        if let Some(Ok(robot)) = shortly(there.discover(service.address().to_string())).await {
            shortly(robot.send(Ping)).await;
            shortly(robot.tell(Ping)).await;
            shortly(robot.describe()).await;
            if let Some(Ok(mut poses)) = shortly(robot.subscribe::<u32>("pose").wait()).await {
                shortly(service.publish_all("pose", &1)).await;
                shortly(service.publish_all("pose", &2)).await;
                shortly(poses.next()).await;
            }
        }
        if let Some(Ok(robot)) = shortly(here.discover("robot")).await {
            shortly(robot.send(Ping)).await;
        }
        shortly(service.close()).await;
    }
    shortly(there.close()).await;
    here.stats().await.map_err(|error| error.to_string())?;
    Ok(())
}

/// Uses meshes with all these limits, several at a time.
async fn use_all(limits: Vec<(String, Limits)>) {
    let mut using = JoinSet::new();
    for (what, limits) in limits {
        if using.len() >= 8 {
            using.join_next().await.expect("some are in use").expect("no panic");
        }
        using.spawn_local(async move {
            let used = actix::clock::timeout(PATIENCE, use_shortly(limits)).await;
            let used = used.unwrap_or_else(|_| panic!("{what}: it does not end"));
            if let Err(problem) = used {
                let name = what.split(' ').next().unwrap_or_default();
                assert!(problem.contains(name) && problem.contains(" at least"), "{what}: {problem}");
            }
        });
    }
    while let Some(used) = using.join_next().await {
        used.expect("no panic");
    }
    nothing_panicked();
}

#[actix::test]
async fn every_time_among_the_limits_saturates_or_is_refused_with_its_range() {
    count_panics();
    let mut all = Vec::new();
    for (name, field) in LIMITS {
        for time in TIMES {
            let mut limits = Limits::default();
            *field(&mut limits) = time;
            all.push((format!("{name} = {time:?}"), limits));
        }
    }
    use_all(all).await;
}

#[actix::test]
async fn every_count_of_the_limits_may_be_extreme_or_is_refused_with_its_range() {
    count_panics();
    let mut all = Vec::new();
    for (name, set) in COUNTS {
        for count in [0, 1, u32::MAX as usize, usize::MAX] {
            let mut limits = Limits::default();
            set(&mut limits, count);
            all.push((format!("{name} = {count}"), limits));
        }
    }
    use_all(all).await;
}

#[actix::test]
async fn the_longest_times_saturate() {
    let mut limits = Limits::default();
    for (_, field) in LIMITS {
        *field(&mut limits) = Duration::MAX;
    }
    let pair = Pair::join_with(limits).await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.there.discover("robot").within(PATIENCE).await.expect("it is found");
    let mut poses = robot.subscribe::<u32>("pose").await.expect("confirmed");
    service.publish("pose", &1).expect("published");
    let news = actix::clock::timeout(PATIENCE, poses.next()).await.expect("in time");
    assert_eq!(news.expect("goes on").expect("an item").item, 1);
    service.close().await;
    let gone = pair.there.discover("robot").within(Duration::from_millis(100)).await;
    assert!(gone.is_err(), "it is closed: {gone:?}");
}

#[actix::test]
async fn a_peer_that_dies_ends_calls_however_long_links_may_wait() {
    count_panics();
    for never in NEVER {
        let mut limits = Limits::default();
        (limits.reconnect, limits.keep_alive, limits.request_timeout) = (never, never, never);
        let name = format!("test-{:032x}", fastrand::u128(..));
        let join = Mesh::join().mesh(&name).interfaces("lo").limits(limits);
        let mortal = Mortal::join::<_, Never>(join.clone(), || Quiet).await;
        let mesh = join.await.expect("joined");
        let robot = mesh.discover(&*mortal.address).within(PATIENCE).await.expect("found");
        let call = actix::spawn(robot.send(Never).timeout(never));
        let sent = async {
            while robot.stats().links.iter().all(|link| link.written == 0) {
                tokio::task::yield_now().await;
            }
        };
        actix::clock::timeout(PATIENCE, sent).await.expect("it is under way");
        let dying = mortal.die();
        let ended = actix::clock::timeout(PATIENCE, call).await.expect("it ends").expect("no panic");
        assert!(matches!(ended, Err(CallError::Unknown { .. })), "{ended:?}");
        dying.join().expect("no panic");
    }
    nothing_panicked();
}

#[actix::test]
async fn every_time_of_a_verb_may_be_extreme() {
    count_panics();
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || Quiet).handles::<Ping>().await.expect("advertised");
    let robot = pair.reach(&service).await;
    for time in TIMES {
        let restart = RestartPolicy::Limited { restarts: u32::MAX, within: time };
        let name = format!("robot/{}", time.as_nanos());
        let other = pair.here.advertise(name, || Quiet).handles::<Ping>().restart(restart);
        let other = other.await.expect("advertised");
        other.close().await;
        let _ = shortly(robot.send(Ping).timeout(time)).await.expect("it ends");
        let _ = shortly(robot.tell(Ping).timeout(time)).await.expect("it ends");
        shortly(pair.there.discover("robot").within(time)).await;
        shortly(pair.there.discover("nobody").within(time)).await;
        shortly(pair.there.discover_all().within(time)).await;
        shortly(pair.there.discover_group("nobody").within(time)).await;
    }
    for rate in [f64::MIN_POSITIVE, 1e-300, 1e-9, 1e300, f64::MAX] {
        let news = robot.subscribe::<u32>("pose").at_most(rate).latest().await;
        let mut news = news.expect("confirmed");
        for item in 0..3 {
            service.publish("pose", &item).expect("published");
        }
        let first = actix::clock::timeout(PATIENCE, news.next()).await.expect("the first arrives at once");
        first.expect("goes on").expect("an item");
    }
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = robot.subscribe::<u32>("pose").at_most(rate).await;
        assert!(matches!(refused, Err(SubscribeError::Rate(_))), "{rate}: {refused:?}");
    }
    for time in TIMES {
        let name = format!("test-{:032x}", fastrand::u128(..));
        let mesh = Mesh::join().mesh(&name).interfaces("lo").await.expect("joined");
        let _service = mesh.advertise("robot", || Quiet).await.expect("advertised");
        actix::clock::timeout(PATIENCE, mesh.close_within(time)).await.expect("nothing is under way");
    }
    nothing_panicked();
}

#[test]
fn every_timeout_of_the_blocking_verbs_may_be_extreme() {
    count_panics();
    let mine = zero::advertise("limits/mine").expect("advertised");
    for time in TIMES {
        let found = zero::discover("limits/mine", time).or_else(|_| zero::discover("limits/mine", 10));
        assert_eq!(found.expect("found").to_string(), mine.to_string());
        let listed = thread::spawn(move || zero::discover_all(time).map(|all| all.len()));
        // A query without a time limit ends as soon as a result is known.
        let begun = Instant::now();
        while !listed.is_finished() {
            assert!(begun.elapsed() < PATIENCE, "{time:?}: it does not end");
            thread::sleep(Duration::from_millis(1));
        }
        listed.join().expect("no panic").expect("listed");
        if time < Duration::from_secs(1) {
            assert!(zero::discover("limits/nobody", time).is_err());
            let heard = zero::wait_for_news_from::<String>(mine, "x", time);
            assert!(!matches!(heard, Ok(Some(_))), "nobody publishes: {heard:?}");
            let came = zero::wait_for_message_from::<String>(mine, time);
            assert!(!matches!(came, Ok(Some(_))), "nobody calls: {came:?}");
        }
    }
    nothing_panicked();
}
