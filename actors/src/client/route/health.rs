//! The health of a route's instances: which are set aside, which are being tried again, and how many calls may be tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use meshzero_proto::call::outlier::{EjectionPolicy, Outliers};
use meshzero_proto::call::retry::RetryBudget;
use meshzero_proto::id::InstanceId;

use crate::telemetry::counters::CallCounters;

/// The health of the instances of one route. As long as all is well it is not touched but for one flag.
pub(crate) struct Health {
    state: Mutex<HealthState>,
    /// True while anything is held against any instance.
    is_troubled: AtomicBool,
    /// True while one is set aside.
    has_aside: AtomicBool,
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
            is_troubled: AtomicBool::new(false),
            has_aside: AtomicBool::new(false),
            counters: CallCounters::default(),
        }
    }
}

impl Health {
    /// Returns whether anything is held against any instance.
    #[inline]
    pub(crate) fn has_failures(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Returns whether an instance is set aside, and calls may have to find out how it does.
    #[inline]
    pub(crate) fn has_ejected(&self) -> bool {
        self.has_aside.load(Ordering::Relaxed)
    }

    /// Lets `change` work on the outliers, under the lock that those who change the members hold.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Outliers<InstanceId>) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state.outliers);
        self.is_troubled.store(state.outliers.is_troubled(), Ordering::Relaxed);
        self.has_aside.store(state.outliers.aside() > 0, Ordering::Relaxed);
        changed
    }

    /// Takes one more try from the budget, which grows with `calls`, all that have set out; false if there is none.
    pub(crate) fn withdraw(&self, calls: u64, now: Instant) -> bool {
        self.lock().budget.withdraw(calls, now)
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
