//! The subscriptions of a node, as its statistics show them: what each has missed, and how its links are.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use meshzero_proto::id::NodeId;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{GapReason, Missed};

use crate::counts::Counter;
use crate::link_stats::link_stats;
use crate::outbox::Outbox;
use crate::stats::{self, Carries, LinkStats, SubscriptionStats};

/// The subscriptions of one node that have not ended.
#[derive(Debug, Default)]
pub struct Subscriptions(Mutex<Vec<Weak<Subscribed>>>);

impl Subscriptions {
    /// Notes a subscription until nobody holds it.
    pub(crate) fn add(&self, subscribed: &Arc<Subscribed>) {
        let mut all = self.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(subscribed));
    }

    /// What they have counted, in the order of whom they follow.
    pub(crate) fn stats(&self) -> Vec<SubscriptionStats> {
        let all: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut stats: Vec<_> = all.iter().map(|subscribed| subscribed.stats()).collect();
        stats.sort_by(|one, other| (&one.service, &one.topic).cmp(&(&other.service, &other.topic)));
        stats
    }

    /// A panic leaves a list behind that is still right.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Subscribed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of one subscription.
#[derive(Debug)]
pub struct Subscribed {
    service: String,
    topic: Topic,
    missed: Mutex<Missed>,
    lost: Counter,
    links: Mutex<Vec<Weak<FeedLink>>>,
}

impl Subscribed {
    /// A subscription to what `service`, a name, a group or an address, says on topics that begin with `topic`.
    pub(crate) fn new(service: String, topic: Topic) -> Self {
        Self { service, topic, missed: Mutex::default(), lost: Counter::default(), links: Mutex::default() }
    }

    /// Counts items that are missing.
    pub fn missed(&self, count: u64, reason: GapReason) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).add(count, reason);
    }

    /// Counts a publisher that is gone.
    pub fn lost(&self) {
        self.lost.count();
    }

    /// What was counted so far, and how the links are now.
    pub fn stats(&self) -> SubscriptionStats {
        let links: Vec<_> = self.links().iter().filter_map(Weak::upgrade).collect();
        SubscriptionStats {
            service: self.service.clone(),
            topic: self.topic.to_string(),
            missed: *self.missed.lock().unwrap_or_else(PoisonError::into_inner),
            lost: self.lost.get(),
            links: stats::listed(links.iter().map(|link| link.stats()).collect()),
        }
    }

    /// Notes a link until nobody holds it.
    pub(crate) fn add(&self, link: &Arc<FeedLink>) {
        let mut links = self.links();
        links.retain(|other| other.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    fn links(&self) -> MutexGuard<'_, Vec<Weak<FeedLink>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The link of a subscription to one publisher.
#[derive(Debug)]
pub(crate) struct FeedLink {
    /// What leaves.
    pub(crate) outbox: Outbox,
    node: NodeId,
    /// Where it leads to at the moment.
    address: Mutex<SocketAddr>,
}

impl FeedLink {
    /// A link to an endpoint of `node`.
    pub(crate) fn new(outbox: Outbox, node: NodeId, address: SocketAddr) -> Self {
        Self { outbox, node, address: Mutex::new(address) }
    }

    /// It goes on over a connection to this address.
    pub(crate) fn moved(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn stats(&self) -> LinkStats {
        let address = *self.address.lock().unwrap_or_else(PoisonError::into_inner);
        link_stats(&self.outbox, self.node, address, Carries::News)
    }
}
