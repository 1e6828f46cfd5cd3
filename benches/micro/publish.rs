//! The cost of publishing for the publisher's thread, by the number of subscribers over loopback.

use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use meshzero::{Service, Subscription};
use tokio::sync::Mutex;

use crate::message::{Echoes, POSE, Pose};
use crate::rig::Rig;

/// Items that are published before the subscribers receive them, fewer than the limit of their queues.
const ITEMS: u64 = 256;
/// The topic of the items.
pub(crate) const TOPIC: &str = "pose";

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for subscribers in [0, 1, 8] {
        let mut newsroom = None;
        group.bench_with_input(
            BenchmarkId::from_parameter(subscribers),
            &subscribers,
            |bencher, subscribers| {
                let newsroom = newsroom.get_or_insert_with(|| Newsroom::new(*subscribers));
                bencher.iter_custom(|items| newsroom.publish(items));
            },
        );
    }
    group.finish();
}

/// A service that publishes, and its subscribers at the other node.
pub(crate) struct Newsroom {
    pub(crate) subscriptions: Rc<Mutex<Vec<Subscription<Pose>>>>,
    pub(crate) service: Service<Echoes>,
    pub(crate) rig: Rig,
}

impl Newsroom {
    pub(crate) fn new(subscribers: usize) -> Self {
        let rig = Rig::join();
        let service = rig.offer("newsroom");
        let seen = rig.reach(&rig.there, &service.address().to_string());
        let subscribe = || rig.run(seen.subscribe::<Pose>(TOPIC).into_future()).expect("subscribed");
        let subscriptions = (0..subscribers).map(|_| subscribe()).collect();
        Self { subscriptions: Rc::new(Mutex::new(subscriptions)), service, rig }
    }

    /// The time of publishing, without that of receiving.
    fn publish(&self, items: u64) -> Duration {
        let (publisher, subscriptions) = (self.service.publisher(), Rc::clone(&self.subscriptions));
        self.rig.run(async move {
            let mut subscriptions = subscriptions.lock().await;
            let (mut left, mut taken) = (items, Duration::ZERO);
            while left > 0 {
                let now = left.min(ITEMS);
                let started = Instant::now();
                for _ in 0..now {
                    publisher.publish(TOPIC, &POSE).expect("published");
                }
                taken += started.elapsed();
                for subscription in &mut *subscriptions {
                    take(subscription, now).await;
                }
                left -= now;
            }
            taken
        })
    }
}

/// Receives this many items, which must all arrive.
pub(crate) async fn take(subscription: &mut Subscription<Pose>, items: u64) {
    for _ in 0..items {
        let news = subscription.next().await.expect("the mesh is there").expect("nothing is missed");
        assert_eq!(news.item, POSE);
    }
}
