//! Closing a service: accepted messages are finished, later ones go elsewhere, and unfinished ones are listed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{CallError, Limits, Mesh, Refusal, Service, ServiceEnd, ServiceRef, WatchEvent};
use meshzero_proto::wire::frame::{self, FrameKind, Header};
use meshzero_proto::wire::hello::{self, Purpose};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::pair::{PATIENCE, Pair, until};

/// Answered when the test releases it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Later(u32);

/// As [`Later`], while the actor handles nothing else.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Alone(u32);

struct Worker {
    gate: Arc<Semaphore>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

async fn pass(gate: Arc<Semaphore>, number: u32) -> u32 {
    gate.acquire().await.expect("it is never closed").forget();
    number
}

impl Handler<Later> for Worker {
    type Result = ResponseFuture<u32>;
    fn handle(&mut self, Later(number): Later, _: &mut Context<Self>) -> ResponseFuture<u32> {
        Box::pin(pass(Arc::clone(&self.gate), number))
    }
}

impl Handler<Alone> for Worker {
    type Result = AtomicResponse<Self, u32>;
    fn handle(&mut self, Alone(number): Alone, _: &mut Context<Self>) -> AtomicResponse<Self, u32> {
        AtomicResponse::new(Box::pin(pass(Arc::clone(&self.gate), number).into_actor(self)))
    }
}

struct Rig {
    pair: Pair,
    gate: Arc<Semaphore>,
    service: Service<Worker>,
    worker: ServiceRef,
}

impl Rig {
    async fn start(drain: Duration) -> Self {
        let mut limits = Limits::default();
        limits.drain = drain;
        let pair = Pair::join_with(limits).await;
        let gate = Arc::new(Semaphore::new(0));
        let shared = Arc::clone(&gate);
        let factory = move || Worker { gate: Arc::clone(&shared) };
        let advertise = pair.here.advertise("worker", factory).handles::<Later>().handles::<Alone>();
        let service = advertise.await.expect("advertised");
        let worker = pair.reach(&service).await;
        Self { pair, gate, service, worker }
    }

    async fn unfinished(&self, count: usize) {
        until("the messages are accepted", || self.service.unfinished() == count).await;
    }
}

fn is_draining(error: &CallError) -> bool {
    matches!(error, CallError::Refused { reason: Refusal::Draining, .. })
}

#[actix::test]
async fn accepted_messages_are_finished_while_others_are_refused() {
    let rig = Rig::start(PATIENCE).await;
    let mut watch = rig.pair.there.watch("worker");
    watch.next().await.expect("it is there");
    let accepted = actix::spawn(rig.worker.send(Later(1)).timeout(PATIENCE).into_future());
    rig.unfinished(1).await;
    let (address, closing) = (rig.service.address(), actix::spawn(rig.service.close()));
    // The goodbye is sent first.
    let down = actix::clock::timeout(PATIENCE, watch.next()).await.expect("it is said at once");
    assert!(matches!(down, Some(WatchEvent::Down { .. })), "{down:?}");
    let refused = Instant::now();
    let error = rig.worker.send(Later(2)).timeout(PATIENCE).await.expect_err("it drains");
    assert!(is_draining(&error) && error.is_safe_to_repeat(), "{error:?}");
    assert!(refused.elapsed() < PATIENCE / 2, "it waits for nothing");
    let third = Mesh::join().mesh(rig.pair.here.name().as_str()).interfaces("lo").await.expect("joined");
    let within = Duration::from_millis(300);
    let error = third.discover(address.to_string()).within(within).await.expect_err("it drains");
    assert!(error.to_string().contains("it is closing"), "{error}");
    assert!(!closing.is_finished() && !accepted.is_finished());
    rig.gate.add_permits(1);
    assert_eq!(accepted.await.expect("no panic").expect("a reply"), 1);
    assert_eq!(closing.await.expect("no panic"), None);
    assert_eq!(rig.gate.available_permits(), 0, "nothing else was handled");
}

#[actix::test]
async fn callers_of_a_name_go_to_another_instance_while_one_drains() {
    let rig = Rig::start(PATIENCE).await;
    let by_name = rig.pair.there.discover("worker").within(PATIENCE).await.expect("found");
    let accepted = actix::spawn(by_name.send(Later(1)).timeout(PATIENCE).into_future());
    rig.unfinished(1).await;
    let (open, shared) = (Arc::new(Semaphore::new(0)), Arc::clone(&rig.gate));
    let other_gate = Arc::clone(&open);
    let other = rig.pair.here.advertise("worker", move || Worker { gate: Arc::clone(&other_gate) });
    let other = other.handles::<Later>().await.expect("advertised");
    until("both are connected", || by_name.instances().len() == 2).await;
    let closing = actix::spawn(rig.service.close());
    until("one is left", || by_name.instances().len() == 1).await;
    open.add_permits(20);
    for number in 0..20 {
        assert_eq!(by_name.send(Later(number)).timeout(PATIENCE).await.expect("the other replies"), number);
    }
    shared.add_permits(1);
    assert_eq!(accepted.await.expect("no panic").expect("a reply"), 1);
    assert_eq!(closing.await.expect("no panic"), None);
    drop(other);
}

#[actix::test]
async fn a_subscription_begun_while_the_publisher_closes_reaches_its_successor() {
    let rig = Rig::start(PATIENCE).await;
    let accepted = actix::spawn(rig.worker.send(Later(1)).timeout(PATIENCE).into_future());
    rig.unfinished(1).await;
    let mut watch = rig.pair.there.watch("worker");
    watch.next().await.expect("it is there");
    let (address, closing) = (rig.service.address(), actix::spawn(rig.service.close()));
    let down = actix::clock::timeout(PATIENCE, watch.next()).await.expect("it is said at once");
    assert!(matches!(down, Some(WatchEvent::Down { .. })), "{down:?}");
    let subscribing = actix::spawn(rig.worker.subscribe::<u32>("count").into_future());
    rig.gate.add_permits(1);
    assert_eq!(accepted.await.expect("no panic").expect("a reply"), 1);
    assert_eq!(closing.await.expect("no panic"), None);
    let gate = Arc::clone(&rig.gate);
    let next = rig.pair.here.advertise("worker", move || Worker { gate: Arc::clone(&gate) });
    let next = next.at(address.to_string());
    let next = next.handles::<Later>().await.expect("advertised at the same address");
    let mut counts = subscribing.await.expect("no panic").expect("it is subscribed to the next one");
    next.publish("count", &1u32).expect("published");
    let count = actix::clock::timeout(PATIENCE, counts.next()).await.expect("in time").expect("it continues");
    assert_eq!(count.expect("an item").item, 1);
}

#[actix::test]
async fn unfinished_messages_are_listed_and_their_callers_get_an_error() {
    let rig = Rig::start(Duration::from_millis(200)).await;
    let call = |message| actix::spawn(rig.worker.send(message).timeout(PATIENCE).into_future());
    let begun = [call(Later(1)), call(Later(2))];
    rig.unfinished(2).await;
    let alone = actix::spawn(rig.worker.send(Alone(3)).timeout(PATIENCE).into_future());
    rig.unfinished(3).await;
    let waiting = [call(Later(4)), call(Later(5)), call(Later(6))];
    rig.unfinished(6).await;
    let abandoned = rig.service.close().await.expect("it is not finished");
    assert_eq!(abandoned.service.as_str(), "worker");
    assert_eq!(abandoned.messages, [("Alone".to_owned(), 1), ("Later".to_owned(), 5)].into());
    assert_eq!((abandoned.others, abandoned.unfinished()), (0, 6), "{abandoned}");
    for call in waiting {
        let error = call.await.expect("no panic").expect_err("it was not handled");
        assert!(is_draining(&error), "{error:?}");
    }
    for call in begun.into_iter().chain([alone]) {
        let error = call.await.expect("no panic").expect_err("it was not finished");
        assert!(matches!(error, CallError::Unknown { .. }), "{error:?}");
    }
}

#[actix::test]
async fn leaving_lists_the_unfinished_messages_of_every_service_also_of_dropped_ones() {
    let rig = Rig::start(Duration::from_millis(300)).await;
    let _accepted = actix::spawn(rig.worker.send(Later(1)).timeout(PATIENCE).into_future());
    rig.unfinished(1).await;
    let gate = Arc::clone(&rig.gate);
    let other = rig.pair.here.advertise("other", move || Worker { gate: Arc::clone(&gate) });
    let other = other.handles::<Later>().await.expect("advertised");
    drop(rig.service);
    let here = rig.pair.here.discover("other").within(PATIENCE).await.expect("it is here");
    let _local = actix::spawn(here.send(Later(2)).timeout(PATIENCE).into_future());
    until("it is accepted", || other.unfinished() == 1).await;
    let mut abandoned = rig.pair.here.close().await;
    abandoned.sort_by(|one, other| one.service.cmp(&other.service));
    let said: Vec<_> = abandoned.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["other: 1 message (1 of another kind)", "worker: 1 message (1 Later)"]);
    assert_eq!(other.ended().await, ServiceEnd::Closed);
    assert!(rig.pair.here.close().await.is_empty(), "it is told once");
}

#[actix::test]
async fn handlers_of_a_closing_service_may_call_others() {
    #[derive(Message, Serialize, Deserialize)]
    #[rtype(result = "u32")]
    struct Ask;

    struct Asking {
        gate: Arc<Semaphore>,
        worker: ServiceRef,
    }

    impl Actor for Asking {
        type Context = Context<Self>;
    }

    impl Handler<Ask> for Asking {
        type Result = ResponseFuture<u32>;
        fn handle(&mut self, Ask: Ask, _: &mut Context<Self>) -> ResponseFuture<u32> {
            let (gate, worker) = (Arc::clone(&self.gate), self.worker.clone());
            Box::pin(async move {
                let number = pass(gate, 20).await;
                number + worker.send(Later(1)).timeout(PATIENCE).await.expect("others are there")
            })
        }
    }

    let rig = Rig::start(PATIENCE).await;
    let gate = Arc::new(Semaphore::new(0));
    let (worker, shared) = (rig.worker.clone(), Arc::clone(&gate));
    let asking = move || Asking { gate: Arc::clone(&shared), worker: worker.clone() };
    let asking = rig.pair.there.advertise("asking", asking).handles::<Ask>().await.expect("advertised");
    let found = rig.pair.here.discover("asking").within(PATIENCE).await.expect("found");
    let mut watch = rig.pair.here.watch("asking");
    watch.next().await.expect("it is there");
    let asked = actix::spawn(found.send(Ask).timeout(PATIENCE).into_future());
    until("it is accepted", || asking.unfinished() == 1).await;
    let there = rig.pair.there.clone();
    let leaving = actix::spawn(async move { there.close().await });
    let down = actix::clock::timeout(PATIENCE, watch.next()).await.expect("it says goodbye at once");
    assert!(matches!(down, Some(WatchEvent::Down { .. })), "{down:?}");
    gate.add_permits(1);
    rig.gate.add_permits(1);
    assert_eq!(asked.await.expect("no panic").expect("a reply"), 21);
    assert!(leaving.await.expect("no panic").is_empty());
}

#[actix::test]
async fn subscribers_get_all_that_was_published_before_the_close() {
    let pair = Pair::join().await;
    let gate = Arc::new(Semaphore::new(0));
    let service = pair.here.advertise("news", move || Worker { gate: Arc::clone(&gate) }).await;
    let service = service.expect("advertised");
    let mut there = pair.reach(&service).await.subscribe::<u32>("").await.expect("confirmed");
    let here = pair.here.discover("news").within(PATIENCE).await.expect("it is here");
    let mut here = here.subscribe::<u32>("").await.expect("confirmed");
    for number in 0..1_000u32 {
        service.publish("number", &number).expect("published");
    }
    let closing = actix::spawn(service.close());
    for news in [&mut there, &mut here] {
        for number in 0..1_000u32 {
            let item = actix::clock::timeout(PATIENCE, news.next()).await.expect("in time").expect("goes on");
            assert_eq!(item.expect("nothing was missed").item, number);
        }
    }
    assert_eq!(closing.await.expect("no panic"), None);
}

#[actix::test]
async fn a_silent_stranger_blocks_nothing() {
    let rig = Rig::start(PATIENCE).await;
    let silent: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect(rig.service.address()).expect("the endpoint listens"))
        .collect();
    let begun = Instant::now();
    assert_eq!(rig.service.close().await, None);
    assert!(begun.elapsed() < Limits::default().handshake, "{:?}", begun.elapsed());
    drop(silent);
}

#[actix::test]
async fn callers_of_this_process_get_an_error_for_waiting_messages_and_may_cancel_them_meanwhile() {
    let rig = Rig::start(Duration::ZERO).await;
    let near = rig.pair.here.discover("worker").within(PATIENCE).await.expect("found");
    let begun = actix::spawn(near.send(Alone(1)).timeout(PATIENCE).into_future());
    rig.unfinished(1).await;
    let waits = actix::spawn(near.send(Later(2)).timeout(PATIENCE).into_future());
    rig.unfinished(2).await;
    rig.service.close().await;
    let error = waits.await.expect("no panic").expect_err("it is turned away");
    assert!(is_draining(&error) && error.is_safe_to_repeat(), "{error:?}");
    begun.abort();

    let rig = Rig::start(PATIENCE).await;
    let near = rig.pair.here.discover("worker").within(PATIENCE).await.expect("found");
    let begun = actix::spawn(near.send(Alone(1)).timeout(PATIENCE).into_future());
    rig.unfinished(1).await;
    let waits = actix::spawn(near.send(Later(2)).timeout(PATIENCE).into_future());
    rig.unfinished(2).await;
    let closing = actix::spawn(rig.service.close());
    until("it is withdrawn from callers", || near.instances().is_empty()).await;
    waits.abort();
    waits.await.expect_err("it was cancelled");
    rig.gate.add_permits(1);
    assert_eq!(begun.await.expect("no panic").expect("a reply"), 1);
    assert_eq!(closing.await.expect("no panic"), None, "nothing else was left");
}

#[actix::test]
async fn a_link_that_was_opened_for_the_loser_of_a_race_ends_at_its_goodbye() {
    let mut limits = Limits::default();
    // The time for which an endpoint keeps a link that has lost its connection.
    limits.reconnect = Duration::from_secs(3600);
    let pair = Pair::join_with(limits).await;
    let service = pair
        .there
        .advertise("worker", || Worker { gate: Arc::new(Semaphore::new(0)) })
        .await
        .expect("advertised");
    let mut goodbye = Vec::new();
    frame::write(&mut goodbye, Header::new(FrameKind::Bye, 0), b"");
    let connections = || service.stats().connections;
    for (opened, purpose) in (1..).zip([Purpose::Requests, Purpose::News]) {
        let mut loser = TcpStream::connect(service.address()).await.expect("it listens");
        loser.write_all(&hello::encode_hello(&pair.stranger_hello(purpose))).await.expect("sent");
        until("the endpoint has answered", || connections().opened == opened).await;
        // The answer is still unread, so that closing resets the connection.
        loser.write_all(&goodbye).await.expect("sent");
        drop(loser);
        until("the link has ended", || connections().open == 0).await;
    }
    assert_eq!(connections().given_up, 0);
}
