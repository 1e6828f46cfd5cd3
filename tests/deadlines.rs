//! Requests that nobody waits for any more: those after their deadline, and those whose callers have gone.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use actix::prelude::*;
use meshzero::{CallError, Limits, Service, ServiceRef, UnknownReason};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::pair::{PATIENCE, Pair, until};

/// Keeps the actor from handling anything else until the test releases it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Hold;

/// Answered at once.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Note(u32);

/// Answered when the test releases it; other messages are handled meanwhile.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Linger(u32);

#[derive(Clone)]
struct Clerk {
    /// Releases one handler for each permit.
    gate: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
    noted: Arc<Mutex<Vec<u32>>>,
}

impl Default for Clerk {
    fn default() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), begun: Arc::default(), noted: Arc::default() }
    }
}

impl Clerk {
    fn waits(&self) -> impl Future<Output = ()> + use<> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&self.gate);
        async move { gate.acquire().await.expect("the gate is never closed").forget() }
    }

    fn note(&self, number: u32) {
        self.noted.lock().expect("no holder of the lock panics").push(number);
    }

    fn noted(&self) -> Vec<u32> {
        self.noted.lock().expect("no holder of the lock panics").clone()
    }

    async fn has_begun(&self, count: usize) {
        until("the handlers have begun", || self.begun.load(Ordering::SeqCst) == count).await;
    }
}

impl Actor for Clerk {
    type Context = Context<Self>;
}

impl Handler<Hold> for Clerk {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Hold, _: &mut Context<Self>) -> Self::Result {
        AtomicResponse::new(Box::pin(actix::fut::wrap_future::<_, Self>(self.waits())))
    }
}

impl Handler<Note> for Clerk {
    type Result = ();

    fn handle(&mut self, Note(number): Note, _: &mut Context<Self>) {
        self.note(number);
    }
}

impl Handler<Linger> for Clerk {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Linger(number): Linger, _: &mut Context<Self>) -> ResponseFuture<()> {
        let (waits, clerk) = (self.waits(), self.clone());
        Box::pin(async move {
            waits.await;
            clerk.note(number);
        })
    }
}

/// A supervised clerk, the state that it shares with the test, and the two ways to call it.
struct Office {
    pair: Pair,
    clerk: Clerk,
    service: Service<Clerk>,
}

impl Office {
    async fn open(limits: Limits) -> Self {
        let pair = Pair::join_with(limits).await;
        let clerk = Clerk::default();
        let make = clerk.clone();
        let offer = pair.here.advertise("clerk", move || make.clone());
        let service = offer.handles::<Hold>().handles::<Note>().handles::<Linger>().await;
        Self { pair, clerk, service: service.expect("advertised") }
    }

    /// A caller in another process, and one in this process.
    async fn callers(&self) -> [ServiceRef; 2] {
        [self.pair.reach(&self.service).await, self.pair.here.discover("clerk").await.expect("it is here")]
    }

    /// Keeps the actor busy until the gate is opened.
    async fn hold(&self) -> tokio::task::JoinHandle<Result<(), CallError>> {
        let clerk = self.pair.here.discover("clerk").await.expect("it is here");
        let before = self.clerk.begun.load(Ordering::SeqCst);
        let held = actix::spawn(clerk.send(Hold).timeout(PATIENCE));
        self.clerk.has_begun(before + 1).await;
        held
    }

    fn open_gate(&self) {
        self.clerk.gate.add_permits(1);
    }
}

/// Sends a request that cannot be handled in time, until its error says that it was not handled. The service's refusal comes 50
/// ms before the caller's own timeout, whose error says that the outcome is unknown, and on a busy machine that may not be
/// enough.
async fn expect_not_sent(clerk: &ServiceRef) {
    for _ in 0..100 {
        match clerk.send(Note(EXPIRED)).timeout(Duration::from_millis(500)).await {
            Err(CallError::NotSent { attempts: 1, .. }) => return,
            Err(CallError::Unknown { reason: UnknownReason::TimedOut { .. }, .. }) => {}
            other => panic!("it waited: {other:?}"),
        }
    }
    panic!("the service never said that it has not handled it");
}

/// The number of the message that must never be handled.
const EXPIRED: u32 = 404;

/// Polls a request once, so that it is sent.
async fn poll_once(request: &mut (impl Future + Unpin)) {
    let is_pending = poll_fn(|task| Poll::Ready(std::pin::Pin::new(&mut *request).poll(task).is_pending()));
    assert!(is_pending.await, "it waits");
}

#[actix::test]
async fn a_request_that_times_out_while_it_waits_is_neither_sent_nor_handled() {
    let office = Office::open(Limits::default()).await;
    for clerk in office.callers().await {
        let held = office.hold().await;
        expect_not_sent(&clerk).await;
        office.open_gate();
        held.await.expect("no panic").expect("a reply");
        clerk.send(Note(2)).timeout(PATIENCE).await.expect("a reply");
    }
    assert_eq!(office.clerk.noted(), [2, 2], "what was late was never handled");
    assert!(office.service.stats().requests.expired >= 2);
}

#[actix::test]
async fn a_request_that_waits_for_a_full_service_is_cancelled_as_well() {
    let mut limits = Limits::default();
    limits.mailbox = 1;
    let office = Office::open(limits).await;
    let clerk = office.pair.reach(&office.service).await;
    let held = office.hold().await;
    let late: Vec<_> = (0..20)
        .map(|_| {
            let clerk = clerk.clone();
            actix::spawn(async move { expect_not_sent(&clerk).await })
        })
        .collect();
    for late in late {
        late.await.expect("all are told");
    }
    office.open_gate();
    held.await.expect("no panic").expect("a reply");
    clerk.send(Note(99)).timeout(PATIENCE).await.expect("a reply");
    assert_eq!(office.clerk.noted(), [99]);
}

#[actix::test]
async fn a_request_that_has_begun_is_not_reported_as_unhandled() {
    let office = Office::open(Limits::default()).await;
    for (number, clerk) in (1..).zip(office.callers().await) {
        let late = clerk.send(Linger(number)).timeout(Duration::from_secs(1)).await;
        let error = late.expect_err("it lingers");
        assert!(
            matches!(error, CallError::Unknown { reason: UnknownReason::TimedOut { .. }, .. }),
            "{error}"
        );
        office.open_gate();
        until("it runs to its end", || office.clerk.noted().contains(&number)).await;
    }
    assert_eq!(office.service.stats().requests.expired, 0);
}

#[actix::test]
async fn the_shortest_time_is_kept_first() {
    let office = Office::open(Limits::default()).await;
    let clerk = office.pair.reach(&office.service).await;
    let held = office.hold().await;
    let call = |number: u32, millis| {
        let request = clerk.send(Note(number)).timeout(Duration::from_millis(millis));
        actix::spawn(async move {
            let error = request.await.expect_err("it waited");
            (number, error)
        })
    };
    // Each is due sooner than those before it.
    let since = std::time::Instant::now();
    let calls = [call(1, 900), call(2, 600), call(3, 300)];
    for (call, (number, millis)) in calls.into_iter().rev().zip([(3, 300), (2, 600), (1, 900)]) {
        let (which, error) = call.await.expect("no panic");
        assert_eq!(which, number);
        assert!(since.elapsed() >= Duration::from_millis(millis - 60), "{error} too soon");
    }
    let ended = || {
        let counts = office.service.stats().requests;
        counts.expired + counts.cancelled
    };
    until("the service knows as well", || ended() == 3).await;
    office.open_gate();
    held.await.expect("no panic").expect("a reply");
}

#[actix::test]
async fn a_dropped_request_that_waits_is_not_handled() {
    let office = Office::open(Limits::default()).await;
    for clerk in office.callers().await {
        let held = office.hold().await;
        let mut dropped = clerk.send(Note(1)).timeout(PATIENCE);
        poll_once(&mut dropped).await;
        until("it has arrived", || office.service.unfinished() == 2).await;
        drop(dropped);
        // The reply to a later message shows that this one has arrived.
        clerk.describe().await.expect("it describes itself");
        office.open_gate();
        held.await.expect("no panic").expect("a reply");
        clerk.send(Note(2)).timeout(PATIENCE).await.expect("a reply");
    }
    assert_eq!(office.clerk.noted(), [2, 2], "what was dropped was never handled");
    assert_eq!(office.service.stats().requests.cancelled, 1, "the other one is of this program");
}

#[actix::test]
async fn a_dropped_request_whose_handler_has_begun_runs_to_its_end_as_with_actix() {
    let office = Office::open(Limits::default()).await;
    for (number, clerk) in (1..).zip(office.callers().await) {
        let mut dropped = clerk.send(Linger(number)).timeout(PATIENCE);
        poll_once(&mut dropped).await;
        office.clerk.has_begun(number as usize).await;
        drop(dropped);
        clerk.send(Note(0)).timeout(PATIENCE).await.expect("others are handled");
        office.open_gate();
        until("it runs to its end", || office.clerk.noted().contains(&number)).await;
    }
    until("all places are free", || office.service.unfinished() == 0).await;
}

#[actix::test]
async fn a_running_actor_handles_nothing_late_that_has_not_entered_its_mailbox() {
    let mut limits = Limits::default();
    limits.mailbox = 1;
    let pair = Pair::join_with(limits).await;
    let clerk = Clerk::default();
    let offer = pair.here.advertise_addr("clerk", clerk.clone().start());
    let service = offer.handles::<Linger>().handles::<Note>().await.expect("advertised");
    let far = pair.reach(&service).await;
    let lingering = actix::spawn(far.send(Linger(1)).timeout(PATIENCE));
    clerk.has_begun(1).await;
    expect_not_sent(&far).await;
    clerk.gate.add_permits(1);
    lingering.await.expect("no panic").expect("a reply");
    far.send(Note(3)).timeout(PATIENCE).await.expect("a reply");
    assert_eq!(clerk.noted(), [1, 3]);
}
