//! Failed calls that are retried, and failing instances that are excluded for a while.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{CallError, Mesh, Refusal, RestartPolicy, Service, ServiceRef};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::pair::{PATIENCE, Pair, until};

/// Answered with the number of the worker, unless that fails.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<u32, String>")]
struct Work;

/// Keeps the worker from handling anything else until the test releases it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Hold;

#[derive(Clone)]
struct Worker {
    number: u32,
    /// The number of panics before it works.
    panics: Arc<AtomicU32>,
    /// True while it refuses.
    refuses: Arc<AtomicBool>,
    handled: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

impl Worker {
    fn new(number: u32) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        Self { number, panics: Arc::default(), refuses: Arc::default(), handled: Arc::default(), gate }
    }

    async fn offer(&self, mesh: &Mesh) -> Service<Self> {
        let worker = self.clone();
        let offer = mesh.advertise("worker", move || worker.clone());
        let offer = offer.restart(RestartPolicy::Always);
        offer.handles::<Work>().handles::<Hold>().await.expect("advertised")
    }

    fn panic_times(&self, times: u32) {
        self.panics.store(times, Ordering::SeqCst);
    }

    fn handled(&self) -> u32 {
        self.handled.load(Ordering::SeqCst)
    }
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Work> for Worker {
    type Result = Result<u32, String>;

    fn handle(&mut self, _: Work, _: &mut Context<Self>) -> Self::Result {
        self.handled.fetch_add(1, Ordering::SeqCst);
        let less = |panics: u32| panics.checked_sub(1);
        if self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            panic!("the worker was told to");
        }
        if self.refuses.load(Ordering::SeqCst) { Err("no".to_owned()) } else { Ok(self.number) }
    }
}

impl Handler<Hold> for Worker {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Hold, _: &mut Context<Self>) -> Self::Result {
        let gate = Arc::clone(&self.gate);
        let waits = async move { gate.acquire().await.expect("never closed").forget() };
        AtomicResponse::new(Box::pin(actix::fut::wrap_future::<_, Self>(waits)))
    }
}

async fn until_instances(worker: &ServiceRef, count: usize) {
    until("the instances are connected", || worker.instances().len() == count).await;
}

/// Calls until both have answered.
async fn until_both_answer(worker: &ServiceRef) {
    let answered = async {
        let mut seen = HashSet::new();
        while seen.len() < 2 {
            // An excluded instance gets its chance later.
            if let Ok(Ok(number)) = worker.send(Work).timeout(PATIENCE).await {
                seen.insert(number);
            }
            actix::clock::sleep(Duration::from_millis(1)).await;
        }
    };
    actix::clock::timeout(PATIENCE, answered).await.expect("both answer");
}

#[actix::test]
async fn a_message_that_may_have_been_handled_is_retried_only_if_it_is_idempotent() {
    let pair = Pair::join().await;
    let worker = Worker::new(1);
    let service = worker.offer(&pair.here).await;
    let far = pair.reach(&service).await;
    worker.panic_times(1);
    let error = far.send(Work).timeout(PATIENCE).await.expect_err("it panicked");
    assert!(matches!(error, CallError::Refused { reason: Refusal::Panicked, attempts: 1, .. }), "{error}");
    assert_eq!((worker.handled(), far.stats().calls.retries), (1, 0));
    worker.panic_times(2);
    let reply = far.send(Work).idempotent().timeout(PATIENCE).await.expect("it is tried again");
    assert_eq!((reply, worker.handled(), far.stats().calls.retries), (Ok(1), 4, 2));
    // A message on which its handler always panics is not retried forever.
    worker.panic_times(1_000);
    let error = far.send(Work).idempotent().timeout(PATIENCE).await.expect_err("it always panics");
    assert!(matches!(error, CallError::Refused { reason: Refusal::Panicked, attempts: 3, .. }), "{error}");
    assert!(error.to_string().ends_with("(after 3 attempts)"), "{error}");
    assert_eq!((worker.handled(), error.attempts()), (7, 3));
}

#[actix::test]
async fn the_time_of_a_call_is_that_of_all_its_tries() {
    let pair = Pair::join().await;
    let worker = Worker::new(1);
    let service = worker.offer(&pair.here).await;
    let far = pair.reach(&service).await;
    worker.panic_times(1_000);
    let since = std::time::Instant::now();
    let error = far.send(Work).idempotent().timeout(Duration::from_millis(20)).await.expect_err("it panics");
    // The second try would have to wait for 25 ms at least.
    assert_eq!(error.attempts(), 1, "{error}");
    assert!(since.elapsed() < PATIENCE);
}

#[actix::test]
async fn messages_that_a_closing_service_has_not_handled_are_handled_by_another() {
    let pair = Pair::join().await;
    let (closing, staying) = (Worker::new(1), Worker::new(2));
    let first = closing.offer(&pair.here).await;
    let worker = pair.there.discover("worker").within(PATIENCE).await.expect("found");
    until_instances(&worker, 1).await;
    let held = actix::spawn(worker.send(Hold).timeout(PATIENCE));
    until("the worker is busy", || first.unfinished() == 1).await;
    let waiting: Vec<_> = (0..20).map(|_| actix::spawn(worker.send(Work).timeout(PATIENCE))).collect();
    until("they wait", || first.unfinished() == 21).await;
    let _second = staying.offer(&pair.there).await;
    until_instances(&worker, 2).await;
    first.close().await;
    for call in waiting {
        assert_eq!(call.await.expect("no panic").expect("the other replies"), Ok(2));
    }
    assert_eq!((closing.handled(), staying.handled()), (0, 20));
    assert_eq!(worker.stats().calls.retries, 20);
    // Its handler had begun, and its progress is unknown.
    let error = held.await.expect("no panic").expect_err("it never ends");
    assert!(!error.is_safe_to_repeat(), "{error}");
}

#[actix::test]
async fn waiting_for_the_successor_of_a_closing_service_takes_at_most_a_second() {
    let pair = Pair::join().await;
    let closing = Worker::new(1);
    let first = closing.offer(&pair.here).await;
    let worker = pair.reach(&first).await;
    let held = actix::spawn(worker.send(Hold).timeout(PATIENCE));
    until("the worker is busy", || first.unfinished() == 1).await;
    let waiting = actix::spawn(worker.send(Work).timeout(10 * PATIENCE));
    until("it waits", || first.unfinished() == 2).await;
    first.close().await;
    let ended = actix::clock::timeout(PATIENCE, waiting).await.expect("long before its deadline");
    let error = ended.expect("no panic").expect_err("nobody takes its place");
    assert!(error.is_safe_to_repeat(), "{error}");
    held.await.expect("no panic").expect_err("it never ends");
}

#[actix::test]
async fn an_instance_that_keeps_failing_is_excluded_and_tried_again_later() {
    let pair = Pair::join().await;
    let (ill, well) = (Worker::new(1), Worker::new(2));
    let first = ill.offer(&pair.here).await;
    let _second = well.offer(&pair.there).await;
    let worker = pair.there.discover("worker").within(PATIENCE).await.expect("found");
    until_instances(&worker, 2).await;
    // Its actor is blocked, so that its replies are late; and it gets messages as long as it seems to be no busier than the
    // other.
    let held = pair.reach(&first).await;
    let held = actix::spawn(held.send(Hold).timeout(PATIENCE));
    until("the worker is busy", || first.unfinished() == 1).await;
    let fail = async {
        while worker.stats().calls.ejected == 0 {
            // A reply of the other instance is no success of this one.
            let _ = worker.send(Work).timeout(Duration::from_millis(200)).await;
        }
    };
    actix::clock::timeout(PATIENCE, fail).await.expect("it is set aside");
    let mut in_time = 0;
    for _ in 0..50 {
        // One of these calls may be the probe of the instance that still fails.
        if let Ok(reply) = worker.send(Work).timeout(Duration::from_millis(200)).await {
            assert_eq!(reply, Ok(2));
            in_time += 1;
        }
    }
    assert!(in_time > 25, "half of them would have been late");
    ill.gate.add_permits(1);
    held.await.expect("no panic").expect("a reply");
    until_both_answer(&worker).await;
    assert!(worker.stats().calls.probes >= 1);
}

#[actix::test]
async fn an_instance_whose_handler_panics_is_excluded_and_one_that_replies_with_an_error_is_not() {
    let pair = Pair::join().await;
    let (ill, well) = (Worker::new(1), Worker::new(2));
    let _first = ill.offer(&pair.here).await;
    let _second = well.offer(&pair.there).await;
    let worker = pair.there.discover("worker").within(PATIENCE).await.expect("found");
    until_instances(&worker, 2).await;
    ill.refuses.store(true, Ordering::SeqCst);
    for _ in 0..100 {
        worker.send(Work).timeout(PATIENCE).await.expect("a reply, if not the best").unwrap_or_default();
    }
    assert!(ill.handled() > 5 && worker.stats().calls.ejected == 0);
    ill.refuses.store(false, Ordering::SeqCst);
    ill.panic_times(5);
    let mut panicked = 0;
    for _ in 0..1_000 {
        panicked += u32::from(worker.send(Work).timeout(PATIENCE).await.is_err());
        if panicked == 5 {
            break;
        }
    }
    assert_eq!((panicked, worker.stats().calls.ejected), (5, 1));
    until_both_answer(&worker).await;
    assert_eq!(worker.stats().calls.probes, 1);
}

#[actix::test]
async fn the_only_instance_is_never_excluded() {
    let pair = Pair::join().await;
    let worker = Worker::new(1);
    let service = worker.offer(&pair.here).await;
    let far = pair.reach(&service).await;
    worker.panic_times(20);
    for _ in 0..20 {
        far.send(Work).timeout(PATIENCE).await.expect_err("it panics");
    }
    assert_eq!(far.send(Work).timeout(PATIENCE).await.expect("a reply"), Ok(1));
    assert_eq!(far.stats().calls.ejected, 0);
}
