//! Pipelines: many calls of one caller at a time, some of which are not polled while others are made.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use actix::prelude::*;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use meshzero::{Limits, Mesh, Service, ServiceRef, Value};
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair, poll, until};

/// The number of calls of a pipeline.
const CALLS: u64 = 3_000;

/// Answered at once.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Work(u64);

/// Answered by a future.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Wait(u64);

/// Noted, in order.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct N(u64);

#[derive(Clone, Default)]
struct Worker {
    noted: Arc<Mutex<Vec<u64>>>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Work> for Worker {
    type Result = u64;

    fn handle(&mut self, Work(number): Work, _: &mut Context<Self>) -> u64 {
        number + 1
    }
}

impl Handler<Wait> for Worker {
    type Result = ResponseFuture<u64>;

    fn handle(&mut self, Wait(number): Wait, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async move {
            tokio::task::yield_now().await;
            number + 1
        })
    }
}

impl Handler<N> for Worker {
    type Result = ();

    fn handle(&mut self, N(number): N, _: &mut Context<Self>) {
        self.noted.lock().expect("no holder of the lock panics").push(number);
    }
}

impl Worker {
    async fn offer(&self, mesh: &Mesh) -> Service<Self> {
        let worker = self.clone();
        let offer = mesh.advertise("worker", move || worker.clone());
        offer.handles::<Work>().handles::<Wait>().handles::<N>().await.expect("advertised")
    }

    /// As [`Worker::offer`], with an actor that the program runs itself.
    async fn offer_own(&self, mesh: &Mesh) -> Service<Self> {
        let offer = mesh.advertise_addr("worker", self.clone().start());
        offer.handles::<Work>().handles::<Wait>().handles::<N>().await.expect("advertised")
    }

    fn noted(&self) -> Vec<u64> {
        self.noted.lock().expect("no holder of the lock panics").clone()
    }
}

/// The node of the caller.
#[derive(Debug, Clone, Copy)]
enum Caller {
    InTheProcess,
    OverTcp,
}

const CALLERS: [Caller; 2] = [Caller::InTheProcess, Caller::OverTcp];

/// The owner of the actor.
#[derive(Debug, Clone, Copy)]
enum Owner {
    TheMesh,
    TheProgram,
}

const RUNS: [Owner; 2] = [Owner::TheMesh, Owner::TheProgram];

/// A worker, and its service as one caller has it.
struct Scene {
    worker: Worker,
    _pair: Pair,
    _service: Service<Worker>,
    handle: ServiceRef,
}

impl Scene {
    async fn set(caller: Caller, runs: Owner, limits: Limits) -> Self {
        let pair = Pair::join_with(limits).await;
        let worker = Worker::default();
        let service = match runs {
            Owner::TheMesh => worker.offer(&pair.here).await,
            Owner::TheProgram => worker.offer_own(&pair.here).await,
        };
        let mesh = match caller {
            Caller::InTheProcess => &pair.here,
            Caller::OverTcp => &pair.there,
        };
        let handle = mesh.discover("worker").within(PATIENCE).await.expect("it is found");
        Self { worker, _pair: pair, _service: service, handle }
    }
}

fn limited(mailbox: usize, requests_in_flight: usize) -> Limits {
    let mut limits = Limits::default();
    limits.mailbox = mailbox;
    limits.requests_in_flight = requests_in_flight;
    limits
}

/// Every reply is followed by one more call, a tell, and a call in a task of its own before the pipeline is polled again.
async fn pipeline(handle: &ServiceRef, width: usize, asks: impl Fn(u64) -> Asked) {
    let mut replies = stream::iter(0..CALLS).map(asks).buffer_unordered(width);
    let mut ended = 0;
    while let Some(reply) = replies.next().await {
        reply.expect("it is answered");
        handle.send(Work(7)).timeout(PATIENCE).await.expect("the one between is answered");
        if ended % 100 == 0 {
            handle.tell(N(ended)).timeout(PATIENCE).await.expect("the tell sets out");
        }
        ended += 1;
    }
    assert_eq!(ended, CALLS);
}

type Asked = Pin<Box<dyn Future<Output = Result<u64, meshzero::CallError>>>>;

#[actix::test]
async fn a_pipeline_continues_while_its_calls_are_not_polled() {
    for caller in CALLERS {
        for runs in RUNS {
            for width in [300, 2_000] {
                let scene = Scene::set(caller, runs, Limits::default()).await;
                let handle = &scene.handle;
                let what = format!("{caller:?}, run by {runs:?}, {width} at a time");
                let at_once = |number| -> Asked { Box::pin(handle.send(Work(number)).timeout(PATIENCE)) };
                let all = tokio::time::timeout(PATIENCE, pipeline(handle, width, at_once));
                all.await.unwrap_or_else(|_| panic!("it stands still: {what}"));
                let later = |number| -> Asked { Box::pin(handle.send(Wait(number)).timeout(PATIENCE)) };
                let all = tokio::time::timeout(PATIENCE, pipeline(handle, width, later));
                all.await.unwrap_or_else(|_| panic!("it stands still with futures: {what}"));
            }
        }
    }
}

#[actix::test]
async fn waiting_calls_that_are_not_polled_block_nobody() {
    let limits = limited(1, 1);
    for caller in CALLERS {
        for runs in RUNS {
            let scene = Scene::set(caller, runs, limits.clone()).await;
            let handle = &scene.handle;
            let mut calls: Vec<_> =
                (0..50).map(|number| Box::pin(handle.send(Wait(number)).timeout(PATIENCE))).collect();
            assert!(calls.iter_mut().all(|call| poll(call).is_pending()));
            let mut tells: Vec<_> =
                (0..50).map(|number| Box::pin(handle.tell(N(number)).timeout(PATIENCE))).collect();
            assert!(tells.iter_mut().all(|tell| poll(tell).is_pending()));
            handle.send(Work(1)).timeout(PATIENCE).await.expect("the last of all is answered");
            assert_eq!(scene.worker.noted(), (0..50).collect::<Vec<_>>(), "{caller:?}, {runs:?}");
            drop((calls, tells));
            // Nothing is left of them.
            handle.send(Work(1)).timeout(PATIENCE).await.expect("it is answered");
        }
    }
}

#[actix::test]
async fn a_request_dropped_while_it_waits_is_not_handled_and_gives_its_place_back() {
    let limits = limited(2, 1_024);
    let scene = Scene::set(Caller::InTheProcess, Owner::TheMesh, limits).await;
    let handle = &scene.handle;
    // On this one thread the actor does not run in between.
    let mut calls: Vec<_> = (0..1_000).map(|number| Box::pin(handle.send(N(number)))).collect();
    assert!(calls.iter_mut().all(|call| poll(call).is_pending()));
    calls.clear();
    assert!(handle.try_send(N(7)).is_ok(), "all places are free again");
    handle.send(Work(1)).timeout(PATIENCE).await.expect("it is answered");
    assert_eq!(scene.worker.noted(), [7]);
}

/// Every way in which a message can be sent, each with the next number.
async fn in_all_ways(handle: &ServiceRef, first: u64) -> Vec<u64> {
    let n = |at| N(first + at);
    let value = |at| handle.send(Value::from(first + at)).named("N").timeout(PATIENCE);
    let trace = meshzero::trace::begin();
    let (told, ..) = tokio::join!(
        handle.tell(n(0)),
        value(1),
        handle.send(n(2)).timeout(PATIENCE),
        handle.send(n(3)).named("N").timeout(PATIENCE),
        value(4).idempotent(),
        handle.tell(n(5)),
        async { handle.send(n(6)).trace(trace).timeout(PATIENCE).await },
        value(7),
        handle.send(n(8)).idempotent().timeout(PATIENCE),
        async {
            handle.do_send(n(9));
        },
        value(10).trace(trace),
        handle.tell(n(11)),
    );
    told.expect("it sets out");
    (first..first + 12).collect()
}

#[actix::test]
async fn messages_of_one_sender_are_handled_in_order_whichever_way_they_go() {
    for caller in CALLERS {
        for runs in RUNS {
            let scene = Scene::set(caller, runs, Limits::default()).await;
            let mut sent = Vec::new();
            for round in 0..200 {
                sent.extend(in_all_ways(&scene.handle, round * 12).await);
            }
            until("all are handled", || scene.worker.noted().len() >= sent.len()).await;
            assert_eq!(scene.worker.noted(), sent, "{caller:?}, {runs:?}");
        }
    }
}

#[actix::test]
async fn messages_of_one_sender_are_handled_in_order_where_all_have_to_wait() {
    for caller in CALLERS {
        for runs in RUNS {
            let limits = limited(1, 2);
            let scene = Scene::set(caller, runs, limits).await;
            let handle = &scene.handle;
            let calls = (0..600_u64).map(|number| async move {
                match number % 3 {
                    0 => handle.send(N(number)).timeout(PATIENCE).await,
                    1 => handle.send(Value::from(number)).named("N").timeout(PATIENCE).await.map(drop),
                    _ => handle.tell(N(number)).timeout(PATIENCE).await,
                }
            });
            let ended = join_all(calls).await;
            assert!(ended.iter().all(Result::is_ok), "{ended:?}");
            until("all are handled", || scene.worker.noted().len() >= 600).await;
            assert_eq!(scene.worker.noted(), (0..600).collect::<Vec<_>>(), "{caller:?}, {runs:?}");
        }
    }
}

#[actix::test]
async fn messages_that_wait_for_the_first_instance_are_handled_in_order() {
    for caller in CALLERS {
        let pair = Pair::join().await;
        let mesh = match caller {
            Caller::InTheProcess => &pair.here,
            Caller::OverTcp => &pair.there,
        };
        let worker = Worker::default();
        let first = worker.offer(&pair.here).await;
        let handle = mesh.discover("worker").within(PATIENCE).await.expect("it is found");
        first.close().await;
        until("nobody is connected", || handle.instances().is_empty()).await;
        // Each in a task of its own, started in order, like those of a sender that does not wait for replies.
        let mut waiting = Vec::new();
        for number in 0..200_u64 {
            let handle = handle.clone();
            let mut call: Pin<Box<dyn Future<Output = _>>> = match number % 2 {
                0 => Box::pin(async move { handle.send(N(number)).timeout(PATIENCE).await }),
                _ => Box::pin(async move { handle.tell(N(number)).timeout(PATIENCE).await }),
            };
            assert!(poll(&mut call).is_pending());
            waiting.push(call);
        }
        let service = worker.offer(&pair.here).await;
        until("it is connected", || !handle.instances().is_empty()).await;
        let last = async {
            handle.send(N(200)).timeout(PATIENCE).await.expect("it is answered");
        };
        tokio::time::timeout(2 * PATIENCE, last).await.expect("in time");
        assert_eq!(worker.noted(), (0..201).collect::<Vec<_>>(), "{caller:?}");
        for call in waiting {
            call.await.expect("it set out");
        }
        drop(service);
    }
}
