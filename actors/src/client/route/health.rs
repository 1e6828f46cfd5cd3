//! The health of a route's instances: ejected ones, those being probed, and the retry budget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use meshzero_proto::call::outlier::{EjectionPolicy, Outliers};
use meshzero_proto::call::retry::RetryBudget;
use meshzero_proto::id::InstanceId;
use parking_lot::{Mutex, MutexGuard};

use crate::telemetry::counters::CallCounters;

/// The health of the instances of one route. While no instance fails, calls read one flag only.
pub(crate) struct Health {
    state: Mutex<HealthState>,
    /// Set while failures of any instance are recorded.
    failures_recorded: AtomicBool,
    /// Set while an instance is ejected.
    any_ejected: AtomicBool,
    pub(crate) counters: CallCounters,
}

struct HealthState {
    outliers: Outliers<InstanceId>,
    budget: RetryBudget,
}

impl Default for Health {
    fn default() -> Self {
        let state = HealthState {
            outliers: Outliers::new(EjectionPolicy::default()),
            budget: RetryBudget::default(),
        };
        Self {
            state: Mutex::new(state),
            failures_recorded: AtomicBool::new(false),
            any_ejected: AtomicBool::new(false),
            counters: CallCounters::default(),
        }
    }
}

impl Health {
    /// Returns whether failures of any instance are recorded.
    #[inline]
    pub(crate) fn has_failures(&self) -> bool {
        self.failures_recorded.load(Ordering::Relaxed)
    }

    /// Returns whether an instance is ejected, so that calls may have to probe it.
    #[inline]
    pub(crate) fn has_ejected(&self) -> bool {
        self.any_ejected.load(Ordering::Relaxed)
    }

    /// Calls `change` with the outliers, under the lock that protects changes of the members.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Outliers<InstanceId>) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state.outliers);
        self.failures_recorded.store(state.outliers.has_failures(), Ordering::Relaxed);
        self.any_ejected.store(state.outliers.ejected() > 0, Ordering::Relaxed);
        changed
    }

    /// Takes one retry from the budget, which grows with `calls`, the number of all calls sent; false if it is empty.
    pub(crate) fn withdraw(&self, calls: u64, now: Instant) -> bool {
        self.lock().budget.withdraw(calls, now)
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock()
    }
}
