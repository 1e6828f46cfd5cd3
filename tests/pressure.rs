//! Back-pressure: a full service holds up its senders, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{Limits, Mesh, Service, ServiceRef, TrySendError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::pair::{PATIENCE, Pair, until};

/// A piece of work of any size, handled when the test releases it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Lift(#[serde(with = "serde_bytes_as_vec")] Vec<u8>);

mod serde_bytes_as_vec {
    use serde::{Deserialize, Deserializer, Serializer};
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        bytes::Bytes::deserialize(from).map(Into::into)
    }
}

/// Handled at once.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Stop;

#[derive(Clone)]
struct Crane {
    gate: Arc<Semaphore>,
    lifted: Arc<AtomicUsize>,
}

impl Default for Crane {
    fn default() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), lifted: Arc::default() }
    }
}

impl Crane {
    /// An actor that works at once.
    fn running() -> Self {
        let crane = Self::default();
        crane.run();
        crane
    }

    fn run(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    fn lifted(&self) -> usize {
        self.lifted.load(Ordering::SeqCst)
    }

    async fn offer(&self, mesh: &Mesh, name: &str) -> Service<Self> {
        let crane = self.clone();
        let offer = mesh.advertise(name, move || crane.clone());
        offer.handles::<Lift>().handles::<Stop>().await.expect("advertised")
    }
}

impl Actor for Crane {
    type Context = Context<Self>;
}

impl Handler<Lift> for Crane {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Lift, _: &mut Context<Self>) -> Self::Result {
        let (gate, lifted) = (Arc::clone(&self.gate), Arc::clone(&self.lifted));
        let lift = async move {
            gate.acquire().await.expect("never closed").forget();
            lifted.fetch_add(1, Ordering::SeqCst);
        };
        AtomicResponse::new(Box::pin(actix::fut::wrap_future::<_, Self>(lift)))
    }
}

impl Handler<Stop> for Crane {
    type Result = ();

    fn handle(&mut self, _: Stop, _: &mut Context<Self>) {}
}

/// The size of the service's mailbox.
const MAILBOX: usize = 8;

fn little_room() -> Limits {
    let mut limits = Limits::default();
    limits.mailbox = MAILBOX;
    limits.send_queue_bytes = 64 << 10;
    limits
}

fn load() -> Lift {
    Lift(vec![7; 32 << 10])
}

#[actix::test]
async fn waiting_senders_are_all_served_and_the_service_never_exceeds_its_mailbox() {
    let pair = Pair::join_with(little_room()).await;
    let crane = Crane::default();
    let service = crane.offer(&pair.here, "crane").await;
    let (far, near) = (pair.reach(&service).await, pair.here.discover("crane").await.expect("it is here"));
    let mut sends = Vec::new();
    for caller in [&far, &near] {
        sends.extend((0..100).map(|_| actix::spawn(caller.send(load()).timeout(PATIENCE))));
        let teller = caller.clone();
        sends.push(actix::spawn(async move {
            for _ in 0..100 {
                teller.tell(load()).timeout(PATIENCE).await?;
            }
            Ok(())
        }));
    }
    until("it is full", || service.unfinished() == MAILBOX).await;
    assert!(sends.iter().all(|send| !send.is_finished()) && crane.lifted() == 0);
    // One after the other, so that the test can see that there are never more.
    for lifted in 1..=50 {
        crane.gate.add_permits(1);
        until("one is lifted", || crane.lifted() == lifted).await;
        assert!(service.unfinished() <= MAILBOX);
    }
    crane.run();
    for send in sends {
        send.await.expect("no panic").expect("all are served");
    }
    until("the last are lifted", || crane.lifted() == 400).await;
    until("all places are free", || service.unfinished() == 0).await;
}

#[actix::test]
async fn senders_that_do_not_wait_get_an_error_or_their_messages_are_dropped_and_counted() {
    let pair = Pair::join_with(little_room()).await;
    let crane = Crane::default();
    let service = crane.offer(&pair.here, "crane").await;
    let near = pair.here.discover("crane").await.expect("it is here");
    for accepted in 0..MAILBOX {
        near.try_send(load()).unwrap_or_else(|error| panic!("there is room for {accepted}: {error}"));
    }
    match near.try_send(load()) {
        Err(TrySendError::Full(Lift(message))) => assert_eq!(message.len(), 32 << 10),
        other => panic!("{other:?}"),
    }
    assert_eq!(near.stats().calls.dropped, 0, "an error is not a dropped message");
    (0..5).for_each(|_| near.do_send(load()));
    assert_eq!((near.stats().calls.dropped, service.unfinished()), (5, MAILBOX));

    // Between two processes the connection buffers messages as well, up to a limit.
    let far = pair.reach(&service).await;
    let mut sent = 0u64;
    let filled = async {
        while far.stats().calls.dropped < 10 {
            far.do_send(load());
            sent += 1;
            actix::clock::sleep(Duration::from_millis(1)).await;
        }
    };
    actix::clock::timeout(PATIENCE, filled).await.expect("some are dropped");
    let accepted = (sent - far.stats().calls.dropped) as usize;
    crane.run();
    until("what was accepted is lifted", || crane.lifted() == MAILBOX + accepted).await;
    // The buffers of the system's sockets hold most of it.
    assert!(accepted * (32 << 10) < 64 << 20, "{accepted}");
}

/// Sends tells until it is stopped.
fn flood(crane: &ServiceRef, is_over: &Arc<AtomicBool>, bytes: usize) -> tokio::task::JoinHandle<usize> {
    let (crane, is_over) = (crane.clone(), Arc::clone(is_over));
    actix::spawn(async move {
        let mut told = 0;
        while !is_over.load(Ordering::SeqCst)
            && crane.tell(Lift(vec![7; bytes])).timeout(PATIENCE).await.is_ok()
        {
            told += 1;
        }
        told
    })
}

/// The duration of the slowest of many calls, one after the other.
async fn longest_call(crane: &ServiceRef) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        let since = Instant::now();
        crane.send(Stop).timeout(PATIENCE).await.expect("a reply");
        longest = longest.max(since.elapsed());
    }
    longest
}

#[actix::test]
async fn a_flood_holds_up_neither_other_services_nor_discovery_nor_a_stop_of_another_caller() {
    /// The limit of a call's duration; on a quiet machine none takes a hundredth of it.
    const BOUND: Duration = Duration::from_secs(2);
    let pair = Pair::join_with(little_room()).await;
    let name = pair.here.name().to_string();
    let third = Mesh::join().mesh(&name).interfaces("lo").await.expect("the third node joins");
    let (stuck, busy, quiet) = (Crane::default(), Crane::running(), Crane::running());
    let stuck_service = stuck.offer(&pair.here, "stuck").await;
    let busy_service = busy.offer(&pair.here, "busy").await;
    let quiet_service = quiet.offer(&pair.here, "quiet").await;
    let is_over = Arc::new(AtomicBool::new(false));
    // One actor that handles nothing, and one that handles as much as it can, of small messages and of large ones.
    let mut floods = vec![flood(&pair.reach(&stuck_service).await, &is_over, 1 << 10)];
    for bytes in [1 << 10, 256 << 10] {
        floods.push(flood(&pair.reach(&busy_service).await, &is_over, bytes));
    }
    until("the one is full", || stuck_service.unfinished() == MAILBOX).await;
    until("the other works", || busy.lifted() > 100).await;

    let stop = third.discover("busy").within(PATIENCE).await.expect("found");
    let longest = longest_call(&stop).await;
    assert!(longest < BOUND, "a stop of another caller took {longest:?}");
    let other = third.discover("quiet").within(PATIENCE).await.expect("found");
    let longest = longest_call(&other).await;
    assert!(longest < BOUND, "a call of another service took {longest:?}");
    let same_caller = pair.reach(&quiet_service).await;
    let longest = longest_call(&same_caller).await;
    assert!(longest < BOUND, "a call of another service by the flooding caller took {longest:?}");
    let since = Instant::now();
    let _late = quiet.offer(&pair.here, "late").await;
    third.discover("late").within(PATIENCE).await.expect("found");
    assert!(since.elapsed() < BOUND, "discovery took {:?}", since.elapsed());

    is_over.store(true, Ordering::SeqCst);
    stuck.run();
    let mut told = 0;
    for flood in floods {
        told += flood.await.expect("no panic");
    }
    until("nothing was lost", || stuck.lifted() + busy.lifted() == told).await;
}
