//! The counters of one subscription: missed items, lost publishers, and the state of its links.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use meshzero_proto::id::NodeId;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{GapReason, Missed};
use parking_lot::{Mutex, MutexGuard};

use crate::link::send_queue::SendQueue;
use crate::link::stats::link_stats;
use crate::telemetry::counters::Counter;
use crate::telemetry::stats::{self, LinkPurpose, LinkStats, SubscriptionStats};
use crate::telemetry::subscriptions::SubscriptionSource;

/// The counters of one subscription.
#[derive(Debug)]
pub struct SubscriptionCounters {
    service: String,
    topic: Topic,
    missed: Mutex<Missed>,
    lost: Counter,
    links: Mutex<Vec<Weak<FeedLink>>>,
}

impl SubscriptionCounters {
    /// The counters of a subscription to `service` (a name, a group or an address), for topics that begin with `topic`.
    pub(crate) fn new(service: String, topic: Topic) -> Self {
        Self { service, topic, missed: Mutex::default(), lost: Counter::default(), links: Mutex::default() }
    }

    /// Counts items that are missing.
    pub fn count_missed(&self, count: u64, reason: GapReason) {
        self.missed.lock().add(count, reason);
    }

    /// Counts a publisher that is gone.
    pub fn count_lost(&self) {
        self.lost.count();
    }

    /// Adds a link, until nobody holds it.
    pub(crate) fn add(&self, link: &Arc<FeedLink>) {
        let mut links = self.links();
        links.retain(|other| other.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    fn links(&self) -> MutexGuard<'_, Vec<Weak<FeedLink>>> {
        self.links.lock()
    }
}

impl SubscriptionSource for SubscriptionCounters {
    fn stats(&self) -> SubscriptionStats {
        let links: Vec<_> = self.links().iter().filter_map(Weak::upgrade).collect();
        SubscriptionStats {
            service: self.service.clone(),
            topic: self.topic.to_string(),
            missed: *self.missed.lock(),
            lost: self.lost.get(),
            links: stats::listed(links.iter().map(|link| link.stats()).collect()),
        }
    }
}

/// The link of a subscription to one publisher.
#[derive(Debug)]
pub(crate) struct FeedLink {
    /// The queue of frames to be sent.
    pub(crate) send_queue: SendQueue,
    node: NodeId,
    /// The address that it is connected to at the moment.
    address: Mutex<SocketAddr>,
}

impl FeedLink {
    /// A link to an endpoint of `node`.
    pub(crate) fn new(send_queue: SendQueue, node: NodeId, address: SocketAddr) -> Self {
        Self { send_queue, node, address: Mutex::new(address) }
    }

    /// Records a new connection to this address.
    pub(crate) fn set_address(&self, address: SocketAddr) {
        *self.address.lock() = address;
    }

    fn stats(&self) -> LinkStats {
        let address = *self.address.lock();
        link_stats(&self.send_queue, self.node, address, LinkPurpose::News)
    }
}
