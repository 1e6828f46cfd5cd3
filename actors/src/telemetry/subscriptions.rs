//! The registry of a node's subscriptions, for its statistics.

use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use crate::telemetry::stats::SubscriptionStats;

/// A subscription whose counters can be read.
pub trait SubscriptionSource: Send + Sync {
    /// Returns the counts so far, and the current state of the links.
    fn stats(&self) -> SubscriptionStats;
}

/// The subscriptions of one node that have not ended.
#[derive(Default)]
pub(crate) struct SubscriptionRegistry(Mutex<Vec<Weak<dyn SubscriptionSource>>>);

impl SubscriptionRegistry {
    /// Registers a subscription for its lifetime.
    pub(crate) fn add<S: SubscriptionSource + 'static>(&self, subscription: &Arc<S>) {
        let subscription: Weak<S> = Arc::downgrade(subscription);
        let mut all = self.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(subscription);
    }

    /// Returns the statistics of all subscriptions, in the order of the services that they follow.
    pub(crate) fn stats(&self) -> Vec<SubscriptionStats> {
        let all: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut stats: Vec<_> = all.iter().map(|subscription| subscription.stats()).collect();
        stats.sort_by(|left, right| (&left.service, &left.topic).cmp(&(&right.service, &right.topic)));
        stats
    }

    /// Locks the list, which is still valid after a panic.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn SubscriptionSource>>> {
        self.0.lock()
    }
}
