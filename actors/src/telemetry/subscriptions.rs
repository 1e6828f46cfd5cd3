//! The registry of a node's subscriptions, for its statistics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::telemetry::stats::SubscriptionStats;

/// A subscription that can be asked for its counters.
pub trait SubscriptionSource: Send + Sync {
    /// Returns what was counted so far, and how the links are now.
    fn stats(&self) -> SubscriptionStats;
}

/// The subscriptions of one node that have not ended.
#[derive(Default)]
pub(crate) struct SubscriptionRegistry(Mutex<Vec<Weak<dyn SubscriptionSource>>>);

impl SubscriptionRegistry {
    /// Registers a subscription until nobody holds it.
    pub(crate) fn add<S: SubscriptionSource + 'static>(&self, subscription: &Arc<S>) {
        let subscription: Weak<S> = Arc::downgrade(subscription);
        let mut all = self.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(subscription);
    }

    /// Returns what they have counted, in the order of whom they follow.
    pub(crate) fn stats(&self) -> Vec<SubscriptionStats> {
        let all: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut stats: Vec<_> = all.iter().map(|subscription| subscription.stats()).collect();
        stats.sort_by(|one, other| (&one.service, &one.topic).cmp(&(&other.service, &other.topic)));
        stats
    }

    /// A panic leaves a list behind that is still right.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn SubscriptionSource>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
