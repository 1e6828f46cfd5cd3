//! Which instance of a route a call goes to, and what the route learns from it.

use std::sync::Arc;

use meshzero_proto::id::InstanceId;
use meshzero_proto::outlier::Finding;

use crate::clock;
use crate::events;
use crate::route::{Member, Route};

/// An instance for one call.
pub(crate) struct Chosen {
    pub(crate) member: Member,
    /// Given if the call finds out whether the instance works again.
    pub(crate) probe: Option<Probe>,
}

impl Route {
    /// Waits until there is an instance for a call that has `failed` at some, and prefers another. Works on any executor.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn ready_for_call(self: &Arc<Self>, failed: &[InstanceId]) -> Chosen {
        self.until(|| self.choose(failed)).await
    }

    fn choose(self: &Arc<Self>, failed: &[InstanceId]) -> Option<Chosen> {
        if let Some(probe) = Probe::due(self)
            && let Some(member) = self.member(probe.instance()).filter(Member::is_ready)
        {
            return Some(Chosen { member, probe: Some(probe) });
        }
        let member = self.other(failed).or_else(|| self.pick())?;
        Some(Chosen { member, probe: None })
    }

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
        let is_set_aside = self.health.change(|outliers| {
            let is_set_aside = outliers.failed(instance, clock::now(), fastrand::f64());
            if is_set_aside {
                self.health.counters.set_aside.count();
                self.sort(outliers);
            }
            is_set_aside
        });
        if is_set_aside {
            events::record(|| {
                tracing::info!(route = %self.target(), %instance, "an instance keeps failing and is set aside");
            });
        }
    }

    /// Takes one more try from the budget, if it has one.
    pub(crate) fn may_retry(&self) -> bool {
        let calls = self.calls();
        let may = self.health.withdraw(calls, clock::now());
        if !may {
            self.health.counters.over_budget.count();
            events::record(|| {
                tracing::debug!(route = %self.target(), "a call is not tried again: too many are");
            });
        }
        may
    }

    fn probed(&self, instance: InstanceId, finding: Finding) {
        let works = self.health.change(|outliers| {
            let works = outliers.probed(instance, finding, clock::now(), fastrand::f64());
            if works {
                self.sort(outliers);
            }
            works
        });
        if works {
            events::record(|| {
                tracing::info!(route = %self.target(), %instance, "an instance works again");
            });
        }
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
