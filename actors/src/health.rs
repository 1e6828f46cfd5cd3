//! How the instances of a route do: who is set aside, who is being tried again, and how many calls may be tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meshzero_proto::id::InstanceId;
use meshzero_proto::outlier::{Finding, Outliers, Rules};
use meshzero_proto::retry::Budget;

use crate::clock;
use crate::counts::CallCounters;
use crate::route::Route;

/// What is known of the instances of one route. As long as all is well it is not touched but for one flag.
pub(crate) struct Health {
    state: Mutex<State>,
    /// Whether anything is held against any instance.
    is_troubled: AtomicBool,
    /// Whether one is set aside.
    has_aside: AtomicBool,
    pub(crate) counters: CallCounters,
}

struct State {
    outliers: Outliers<InstanceId>,
    budget: Budget,
}

impl Default for Health {
    fn default() -> Self {
        let state = State { outliers: Outliers::new(Rules::default()), budget: Budget::default() };
        Self {
            state: Mutex::new(state),
            is_troubled: AtomicBool::new(false),
            has_aside: AtomicBool::new(false),
            counters: CallCounters::default(),
        }
    }
}

impl Health {
    #[inline]
    fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Whether an instance is set aside, and calls may have to find out how it does.
    #[inline]
    pub(crate) fn has_aside(&self) -> bool {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    /// Notes that an instance has answered a call.
    #[inline(always)]
    pub(crate) fn note_success(&self, instance: InstanceId) {
        if self.health.is_troubled() {
            self.succeeded(instance);
        }
    }

    #[cold]
    fn succeeded(&self, instance: InstanceId) {
        self.health.change(|outliers| outliers.succeeded(instance));
    }

    /// Notes that a call to an instance has failed.
    #[cold]
    pub(crate) fn failed(&self, instance: InstanceId) {
        self.health.change(|outliers| {
            if outliers.failed(instance, clock::now(), fastrand::f64()) {
                self.health.counters.set_aside.count();
                tracing::info!(route = %self.target(), %instance, "an instance keeps failing and is set aside");
                self.sort(outliers);
            }
        });
    }

    /// Takes one more try from the budget, if it has one.
    pub(crate) fn may_retry(&self) -> bool {
        let calls = self.calls();
        let may = self.health.lock().budget.withdraw(calls, clock::now());
        if !may {
            self.health.counters.over_budget.count();
            tracing::debug!(route = %self.target(), "a call is not tried again: too many are");
        }
        may
    }

    fn probed(&self, instance: InstanceId, finding: Finding) {
        self.health.change(|outliers| {
            if outliers.probed(instance, finding, clock::now(), fastrand::f64()) {
                tracing::info!(route = %self.target(), %instance, "an instance works again");
                self.sort(outliers);
            }
        });
    }
}

/// A call that finds out whether an instance works again. Dropped without a finding, it leaves that to the next.
pub(crate) struct Probe {
    route: Arc<Route>,
    instance: InstanceId,
    is_over: bool,
}

impl Probe {
    /// A probe of an instance of `route`, if it is time for one.
    pub(crate) fn due(route: &Arc<Route>) -> Option<Self> {
        if !route.health.has_aside() {
            return None;
        }
        let instance = route.health.change(|outliers| outliers.probe(clock::now()))?;
        Some(Self { route: Arc::clone(route), instance, is_over: false })
    }

    /// Which instance it is about.
    pub(crate) fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Tells what was found.
    pub(crate) fn end(mut self, finding: Finding) {
        self.is_over = true;
        self.route.health.counters.probes.count();
        self.route.probed(self.instance, finding);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.is_over {
            self.route.probed(self.instance, Finding::Nothing);
        }
    }
}
