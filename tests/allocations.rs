//! Allocations of the data path in steady state: none for a message, and a few for each batch.
//!
//! One test in a process of its own, because the allocator counts for all threads. Both nodes are in this process, so the
//! counts are those of sender and receiver together.

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{Mesh, Service, ServiceRef};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The messages before the count begins: they establish connections, and fill the buffers that are reused.
const WARM_UP: u64 = 20_000;
const MESSAGES: u64 = 50_000;

/// Calls in flight at once.
const WINDOW: u64 = 64;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Count {
    number: u64,
    position: [f64; 6],
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Double(u64);

struct Counter(Arc<AtomicU64>);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Count> for Counter {
    type Result = ();

    fn handle(&mut self, _: Count, _: &mut Context<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Handler<Double> for Counter {
    type Result = u64;

    fn handle(&mut self, Double(number): Double, _: &mut Context<Self>) -> u64 {
        2 * number
    }
}

fn count(number: u64) -> Count {
    Count { number, position: [0.5; 6] }
}

async fn tells(service: &ServiceRef, handled: &AtomicU64, messages: u64) {
    let until = handled.load(Ordering::Relaxed) + messages;
    for number in 0..messages {
        service.tell(count(number)).await.expect("told");
    }
    while handled.load(Ordering::Relaxed) < until {
        tokio::task::yield_now().await;
    }
}

async fn calls(service: &ServiceRef, calls: u64) {
    let in_turn = async || {
        for number in 0..calls / WINDOW {
            assert_eq!(service.send(Double(number)).await.expect("a reply"), 2 * number);
        }
    };
    futures_util::future::join_all((0..WINDOW).map(|_| in_turn())).await;
}

/// Publishes these numbers of items, and returns the allocations for each.
async fn news(counter: &ServiceRef, service: &Service<Counter>, items: &[u64]) -> Vec<f64> {
    let mut subscription = counter.subscribe::<Count>("count").wait().await.expect("subscribed");
    let mut allocations = Vec::new();
    for &items in items {
        let region = Region::new(ALLOCATOR);
        let publishing = async {
            for number in 0..items {
                service.publish_all("count", &count(number)).await.expect("published");
            }
        };
        let receiving = async {
            for number in 0..items {
                let item =
                    subscription.next().await.expect("the service goes on").expect("nothing is missed");
                assert_eq!(item.item.number, number);
            }
        };
        futures_util::future::join(publishing, receiving).await;
        allocations.push(region.change().allocations as f64 / items as f64);
    }
    allocations
}

#[actix::test]
async fn a_message_allocates_nothing() {
    let mesh = format!("test-{:032x}", fastrand::u128(..));
    let join = || Mesh::join().mesh(&mesh).interfaces("lo");
    let (here, there) = (join().await.expect("joins"), join().await.expect("joins"));
    let handled = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&handled);
    let service = here
        .advertise("counter", move || Counter(Arc::clone(&counted)))
        .handles::<Count>()
        .handles::<Double>()
        .await
        .expect("advertised");
    let counter = there.discover("counter").within(PATIENCE).await.expect("found");

    tells(&counter, &handled, WARM_UP).await;
    let region = Region::new(ALLOCATOR);
    tells(&counter, &handled, MESSAGES).await;
    let per_tell = region.change().allocations as f64 / MESSAGES as f64;

    calls(&counter, WARM_UP).await;
    let region = Region::new(ALLOCATOR);
    calls(&counter, MESSAGES).await;
    let per_call = region.change().allocations as f64 / MESSAGES as f64;

    let per_item = news(&counter, &service, &[WARM_UP, MESSAGES]).await[1];
    println!("allocations: {per_tell:.4} a tell, {per_call:.4} a call, {per_item:.4} an item");
    assert!(per_tell < 0.05 && per_call < 0.05 && per_item < 0.05, "{per_tell} {per_call} {per_item}");
    here.close().await;
    there.close().await;
}
