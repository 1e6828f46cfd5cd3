//! Calls: replies, tells, order, timeouts, cancelling, large messages, and services of the same process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{CallError, Limits, Mesh, TrySendError, UnknownReason, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Add(u64);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<u64>")]
struct History;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<u8>")]
struct Echo(#[serde(with = "serde_bytes_as_vec")] Vec<u8>);

mod serde_bytes_as_vec {
    use serde::{Deserialize, Deserializer, Serializer};
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        bytes::Bytes::deserialize(from).map(Into::into)
    }
}

/// Answered when the test releases it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Wait;

/// Blocks callers until it is opened.
#[derive(Clone, Default)]
struct Gate {
    opened: Arc<Notify>,
    reached: Arc<AtomicUsize>,
}

impl Gate {
    /// Returns a factory of counters that wait at this gate.
    fn factory(&self) -> impl Fn() -> Counter + Send + 'static {
        let gate = self.clone();
        move || Counter { gate: gate.clone(), ..Counter::default() }
    }

    /// Waits until a caller is blocked here.
    async fn is_reached(&self) {
        until("the handler waits", || self.reached.load(Ordering::SeqCst) == 1).await;
    }

    /// Releases one caller.
    fn open(&self) {
        self.opened.notify_one();
    }
}

/// Limits under which a service handles one message, and all others wait outside its mailbox.
fn one_at_a_time() -> Limits {
    let mut limits = Limits::default();
    limits.mailbox = 1;
    limits
}

#[derive(Default)]
struct Counter {
    added: Vec<u64>,
    gate: Gate,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = u64;
    fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) -> u64 {
        self.added.push(number);
        self.added.iter().sum()
    }
}

impl Handler<History> for Counter {
    type Result = Vec<u64>;
    fn handle(&mut self, _: History, _: &mut Context<Self>) -> Vec<u64> {
        self.added.clone()
    }
}

impl Handler<Echo> for Counter {
    type Result = Vec<u8>;
    fn handle(&mut self, Echo(bytes): Echo, _: &mut Context<Self>) -> Vec<u8> {
        bytes
    }
}

impl Handler<Wait> for Counter {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Wait, _: &mut Context<Self>) -> ResponseFuture<()> {
        let gate = self.gate.clone();
        gate.reached.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { gate.opened.notified().await })
    }
}

impl Handler<Value> for Counter {
    type Result = Value;
    fn handle(&mut self, value: Value, _: &mut Context<Self>) -> Value {
        Value::list([value, Value::from("heard")])
    }
}

#[actix::test]
async fn a_call_over_tcp_has_its_reply() {
    let pair = Pair::join().await;
    let service =
        pair.here.advertise("counter", Counter::default).handles::<Add>().await.expect("advertised");
    let counter = pair.reach(&service).await;
    assert_eq!(counter.send(Add(2)).await.expect("a reply"), 2);
    assert_eq!(counter.send(Add(40)).await.expect("a reply"), 42);
}

#[actix::test]
async fn a_running_actor_is_advertised_by_its_address() {
    let pair = Pair::join().await;
    let addr = Counter::default().start();
    let service =
        pair.here.advertise_addr("counter", addr.clone()).handles::<Add>().await.expect("advertised");
    let counter = pair.reach(&service).await;
    assert_eq!(counter.send(Add(2)).await.expect("a reply"), 2);
    assert_eq!(addr.send(Add(3)).await.expect("the actor is the same"), 5);
    assert_eq!(service.addr(), addr);
}

#[actix::test]
async fn messages_of_one_sender_are_handled_in_order() {
    for hosted in [true, false] {
        let pair = Pair::join().await;
        let offer = match hosted {
            true => pair.here.advertise("counter", Counter::default),
            false => pair.here.advertise_addr("counter", Counter::default().start()),
        };
        let service = offer.handles::<Add>().handles::<History>().await.expect("advertised");
        let counter = pair.reach(&service).await;
        for number in 0..500 {
            if number % 7 == 0 {
                counter.send(Add(number)).timeout(PATIENCE).await.expect("a reply");
            } else {
                counter.try_send(Add(number)).expect("there is room for 500 small messages");
            }
        }
        let history = counter.send(History).timeout(PATIENCE).await.expect("a reply");
        assert_eq!(history, (0..500).collect::<Vec<_>>(), "hosted: {hosted}");
    }
}

#[actix::test]
async fn values_reach_the_value_handler_and_typed_handlers_by_name() {
    let pair = Pair::join().await;
    let offer = pair.here.advertise("counter", Counter::default).handles::<Add>().handles_values();
    let service = offer.await.expect("advertised");
    let counter = pair.reach(&service).await;
    let reply = counter.send(Value::from("hello")).await.expect("a reply");
    assert_eq!(reply, Value::list(["hello", "heard"]));
    let reply = counter.send(Value::from(5)).named("Add").await.expect("a reply");
    assert_eq!(reply, Value::from(5));
    // The same within the process, without a socket.
    let counter = pair.here.discover("counter").within(PATIENCE).await.expect("it is here");
    let reply = counter.send(Value::from(5)).named("Add").await.expect("a reply");
    assert_eq!(reply, Value::from(10));
}

#[actix::test]
async fn a_call_that_is_late_ends_at_its_deadline_and_leaves_the_rest_usable() {
    let pair = Pair::join().await;
    let service = pair
        .here
        .advertise("counter", Counter::default)
        .handles::<Wait>()
        .handles::<Add>()
        .await
        .expect("advertised");
    for counter in [pair.reach(&service).await, pair.here.discover("counter").await.expect("it is here")] {
        let late = counter.send(Wait).timeout(Duration::from_millis(50)).await;
        match late {
            Err(CallError::Unknown { reason: UnknownReason::TimedOut { after }, .. }) => {
                assert_eq!(after, Duration::from_millis(50));
            }
            other => panic!("{other:?}"),
        }
        counter.send(Add(1)).await.expect("the next call has its reply");
    }
}

#[actix::test]
async fn a_message_that_waits_past_its_deadline_is_not_handled() {
    let pair = Pair::join_with(one_at_a_time()).await;
    let gate = Gate::default();
    let service = pair
        .here
        .advertise("counter", gate.factory())
        .handles::<Wait>()
        .handles::<Add>()
        .handles::<History>()
        .await
        .expect("advertised");
    let counter = pair.reach(&service).await;
    let first = counter.clone();
    let first = actix::spawn(async move { first.send(Wait).timeout(PATIENCE).await });
    gate.is_reached().await;
    // The mailbox is full now: this message waits outside until its timeout.
    let late = counter.send(Add(1)).timeout(Duration::from_millis(50)).await;
    assert!(late.is_err(), "{late:?}");
    gate.open();
    first.await.expect("no panic").expect("the first has its reply");
    let history = counter.send(History).timeout(PATIENCE).await.expect("a reply");
    assert_eq!(history, [] as [u64; 0], "what was late was never handled");
}

#[actix::test]
async fn dropping_a_request_cancels_it_at_the_other_end() {
    let pair = Pair::join_with(one_at_a_time()).await;
    let gate = Gate::default();
    let service = pair
        .here
        .advertise("counter", gate.factory())
        .handles::<Wait>()
        .handles::<Add>()
        .handles::<History>();
    let service = service.await.expect("advertised");
    let counter = pair.here.discover("counter").await.expect("it is here");
    let blocked = counter.clone();
    let blocked = actix::spawn(async move { blocked.send(Wait).timeout(PATIENCE).await });
    gate.is_reached().await;
    let remote = pair.reach(&service).await;
    let mut dropped = Box::pin(remote.send(Add(1)).timeout(PATIENCE));
    let sent = std::future::poll_fn(|task| std::task::Poll::Ready(dropped.as_mut().poll(task).is_pending()));
    assert!(sent.await, "it has set out and waits");
    drop(dropped);
    gate.open();
    blocked.await.expect("no panic").expect("a reply");
    let history = remote.send(History).timeout(PATIENCE).await.expect("a reply");
    assert_eq!(history, [] as [u64; 0], "the dropped request was never handled");
}

#[actix::test]
async fn the_longest_message_passes_and_a_longer_one_is_refused_where_it_starts() {
    let pair = Pair::join().await;
    let service =
        pair.here.advertise("counter", Counter::default).handles::<Echo>().await.expect("advertised");
    let counter = pair.reach(&service).await;
    let longest = vec![7; (1 << 20) - 16];
    let reply = counter.send(Echo(longest.clone())).timeout(PATIENCE).await.expect("a reply");
    assert!(reply == longest);
    let error = counter.send(Echo(vec![7; (1 << 20) + 1])).await.expect_err("too long");
    assert!(error.is_safe_to_repeat(), "{error}");
    assert!(error.to_string().contains("1048576"), "{error}");
    counter.send(Echo(vec![1])).await.expect("the connection continues");
}

#[actix::test]
async fn try_send_returns_the_message_when_the_service_is_full() {
    let mut limits = one_at_a_time();
    limits.send_queue_bytes = 4 << 10;
    let pair = Pair::join_with(limits).await;
    let gate = Gate::default();
    let service =
        pair.here.advertise("counter", gate.factory()).handles::<Wait>().handles::<Echo>().handles::<Add>();
    let service = service.await.expect("advertised");
    let counter = pair.reach(&service).await;
    counter.try_send(Wait).expect("the first has room");
    gate.is_reached().await;
    let mut accepted = 0;
    let full = loop {
        match counter.try_send(Echo(vec![0; 64 << 10])) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 10_000, "600 MB are more than any queue of ours");
        actix::clock::sleep(Duration::from_millis(1)).await;
    };
    match full {
        TrySendError::Full(Echo(message)) => assert_eq!(message.len(), 64 << 10),
        other => panic!("{other:?}"),
    }
    gate.open();
    counter.send(Add(1)).timeout(PATIENCE).await.expect("what waits for room gets it");
}

#[actix::test]
async fn a_recipient_passes_messages_on() {
    let pair = Pair::join().await;
    let service =
        pair.here.advertise("counter", Counter::default).handles::<Add>().await.expect("advertised");
    let recipient: Recipient<Add> = pair.reach(&service).await.recipient();
    recipient.do_send(Add(1));
    assert_eq!(recipient.send(Add(2)).await.expect("a reply"), 3);
}

/// Fails to serialise, so it can only arrive where nothing is serialised.
#[derive(Message)]
#[rtype(result = "u64")]
struct NeverEncoded(u64);

impl Serialize for NeverEncoded {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this must not be serialised"))
    }
}

impl<'de> Deserialize<'de> for NeverEncoded {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

impl Handler<NeverEncoded> for Counter {
    type Result = u64;
    fn handle(&mut self, NeverEncoded(number): NeverEncoded, _: &mut Context<Self>) -> u64 {
        number
    }
}

#[actix::test]
async fn a_service_of_the_same_process_is_called_without_serialising() {
    let pair = Pair::join().await;
    let hosted = pair.here.advertise("hosted", Counter::default).handles::<NeverEncoded>();
    let hosted = hosted.await.expect("advertised");
    let foreign = pair.here.advertise_addr("foreign", Counter::default().start()).handles::<NeverEncoded>();
    let foreign = foreign.await.expect("advertised");
    for name in ["hosted", "foreign"] {
        let service = pair.here.discover(name).await.expect("it is here");
        assert_eq!(service.send(NeverEncoded(7)).await.expect("a reply"), 7, "{name}");
    }
    for service in [pair.reach(&hosted).await, pair.reach(&foreign).await] {
        let error = service.send(NeverEncoded(7)).await.expect_err("over a socket it must be serialised");
        assert!(error.to_string().contains("must not be serialised"), "{error}");
    }
}

#[test]
fn a_plain_program_without_an_executor_calls_and_is_called() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    meshzero::block_on(async {
        let mesh = Mesh::join().mesh(&name).interfaces("lo").await.expect("joined");
        let service = mesh.advertise("counter", Counter::default).handles::<Add>().await.expect("advertised");
        let counter = mesh.discover("counter").within(PATIENCE).await.expect("found");
        assert_eq!(counter.send(Add(2)).timeout(PATIENCE).await.expect("a reply"), 2);
        service.close().await;
        mesh.close().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokio_program_calls_and_is_called() {
    let pair = Pair::join().await;
    let service =
        pair.here.advertise("counter", Counter::default).handles::<Add>().await.expect("advertised");
    let counter = pair.reach(&service).await;
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let counter = counter.clone();
            tokio::spawn(async move { counter.send(Add(1)).timeout(PATIENCE).await })
        })
        .collect();
    let mut sums = Vec::new();
    for call in calls {
        sums.push(call.await.expect("no panic").expect("a reply"));
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=200).collect::<Vec<_>>(), "each was handled exactly once");
}

#[actix::test]
async fn calls_beyond_the_limit_of_pending_ones_wait_in_order() {
    let limits = {
        let mut limits = Limits::default();
        limits.requests_in_flight = 4;
        limits
    };
    let pair = Pair::join_with(limits).await;
    let service =
        pair.here.advertise("counter", Counter::default).handles::<Add>().await.expect("advertised");
    let counter = pair.reach(&service).await;
    let calls: Vec<_> = (0..100).map(|_| actix::spawn(counter.send(Add(1)).timeout(PATIENCE))).collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.expect("no panic").expect("a reply"), number as u64 + 1, "in order");
    }
}
