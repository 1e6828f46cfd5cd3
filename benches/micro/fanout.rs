//! One publisher and eight subscribers over loopback, until each of them has received everything.

use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use meshzero::{Publisher, Subscription};
use tokio::task::JoinSet;

use crate::message::{POSE, Pose};
use crate::publish::{Newsroom, TOPIC, take};

const SUBSCRIBERS: usize = 8;
/// Items of one round.
const ITEMS: u64 = 1_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out");
    group.throughput(Throughput::Elements(ITEMS * SUBSCRIBERS as u64));
    let mut newsroom = None;
    group.bench_function("8_subscribers", |bencher| {
        let newsroom = newsroom.get_or_insert_with(|| Newsroom::new(SUBSCRIBERS));
        bencher.iter_custom(|rounds| fan_out(newsroom, rounds));
    });
    group.finish();
}

fn fan_out(newsroom: &Newsroom, rounds: u64) -> Duration {
    let (publisher, subscriptions) = (newsroom.service.publisher(), Rc::clone(&newsroom.subscriptions));
    newsroom.rig.run(async move {
        let mut subscriptions = subscriptions.lock().await;
        let started = Instant::now();
        for _ in 0..rounds {
            *subscriptions = round(&publisher, mem::take(&mut *subscriptions)).await;
        }
        started.elapsed()
    })
}

/// Publishes the items, while each subscriber receives them in a task of its own.
async fn round(publisher: &Publisher, subscriptions: Vec<Subscription<Pose>>) -> Vec<Subscription<Pose>> {
    let mut taking = JoinSet::new();
    for mut subscription in subscriptions {
        taking.spawn_local(async move {
            take(&mut subscription, ITEMS).await;
            subscription
        });
    }
    for _ in 0..ITEMS {
        publisher.publish_all(TOPIC, &POSE).await.expect("published");
    }
    taking.join_all().await
}
