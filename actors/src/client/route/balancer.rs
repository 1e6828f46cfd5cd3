//! The load balancer of a route: picks the instance for a message (the less busy of two random ones), and records how
//! calls end.

use std::borrow::Borrow;
use std::sync::Arc;

use meshzero_proto::call::outlier::ProbeResult;
use meshzero_proto::id::InstanceId;

use crate::client::route::link_cache::{CachedLink, RouteVersion};
use crate::client::route::{Member, Route, RouteMembers};
use crate::runtime::clock;
use crate::runtime::events;

/// The instance picked for one call.
pub(crate) struct Pick {
    pub(crate) member: Member,
    /// Set if the call probes whether the instance works again.
    pub(crate) probe: Option<Probe>,
}

impl Route {
    /// The instance for the next message, see [`Route::with_pick`].
    pub fn pick(&self) -> Option<Member> {
        self.with_pick(|member| member.cloned())
    }

    /// Calls `f` with the instance for the next message: the less busy of two picked at random (M. Mitzenmacher, "The
    /// Power of Two Choices in Randomized Load Balancing", 2001), so that many callers do not all pick the same one.
    ///
    /// Ejected instances, and those whose connections have just been lost, are picked only if there are no others.
    #[inline(always)]
    pub fn with_pick<T>(&self, f: impl FnOnce(Option<&Member>) -> T) -> T {
        let version = self.changes.version();
        let cached = CachedLink::take(version);
        let members;
        let picked = match cached.link() {
            Some(link) if link.is_alive() => Some(link),
            _ => {
                members = self.members.load();
                members.pick(version)
            }
        };
        f(picked)
    }

    /// An instance other than those in `failed`, if one is in use and ready.
    pub(crate) fn other(&self, failed: &[InstanceId]) -> Option<Member> {
        let members = self.members.load();
        let others: Vec<_> =
            members.active.iter().filter(|member| !failed.contains(&member.instance().id)).collect();
        match others.as_slice() {
            [] => None,
            [only] => only.is_ready().then_some(*only),
            several => less_busy(several).copied(),
        }
        .cloned()
    }

    /// Returns whether an instance other than those in `failed` is in use and ready.
    pub(crate) fn has_others(&self, failed: &[InstanceId]) -> bool {
        let is_other = |member: &Member| member.is_ready() && !failed.contains(&member.instance().id);
        self.members.load().active.iter().any(is_other)
    }

    /// Waits until there is an instance for a call that has failed at some, and prefers another. Works on any executor.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn ready_for_call(self: &Arc<Self>, failed: &[InstanceId]) -> Pick {
        self.wait_for(|| self.choose(failed)).await
    }

    fn choose(self: &Arc<Self>, failed: &[InstanceId]) -> Option<Pick> {
        if let Some(probe) = Probe::due(self)
            && let Some(member) = self.member(probe.instance()).filter(Member::is_ready)
        {
            return Some(Pick { member, probe: Some(probe) });
        }
        let member = self.other(failed).or_else(|| self.pick())?;
        Some(Pick { member, probe: None })
    }

    /// Records that an instance has answered a call.
    #[inline(always)]
    pub(crate) fn record_success(&self, instance: InstanceId) {
        if self.health.has_failures() {
            self.clear_failures(instance);
        }
    }

    #[cold]
    fn clear_failures(&self, instance: InstanceId) {
        self.health.change(|outliers| outliers.record_success(instance));
    }

    /// Records that a call to an instance has failed.
    #[cold]
    pub(crate) fn record_failure(&self, instance: InstanceId) {
        let is_ejected = self.health.change(|outliers| {
            let is_ejected = outliers.record_failure(instance, clock::now(), fastrand::f64());
            if is_ejected {
                self.health.counters.ejected.count();
                self.update_active(outliers);
            }
            is_ejected
        });
        if is_ejected {
            events::record(|| {
                tracing::info!(route = %self.target(), %instance, "an instance keeps failing and is ejected");
            });
        }
    }

    /// Takes one retry from the budget, if it has one.
    pub(crate) fn may_retry(&self) -> bool {
        let calls = self.calls();
        let is_allowed = self.health.withdraw(calls, clock::now());
        if !is_allowed {
            self.health.counters.over_budget.count();
            events::record(|| {
                tracing::debug!(route = %self.target(), "a call is not retried: the retry budget is exhausted");
            });
        }
        is_allowed
    }

    fn record_probe(&self, instance: InstanceId, result: ProbeResult) {
        let works = self.health.change(|outliers| {
            let works = outliers.record_probe(instance, result, clock::now(), fastrand::f64());
            if works {
                self.update_active(outliers);
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

impl RouteMembers {
    /// The instance for the next message, see [`Route::with_pick`].
    fn pick(&self, version: RouteVersion) -> Option<&Member> {
        match self.active.as_slice() {
            [] => None,
            [only] if only.is_alive() => {
                if let Member::Remote(..) = only {
                    CachedLink::insert(version, only);
                }
                Some(only)
            }
            [_] => self.any(),
            several => less_busy(several).or_else(|| self.any()),
        }
    }

    /// Returns a member that accepts messages, for a route none of whose active members does.
    #[cold]
    fn any(&self) -> Option<&Member> {
        let find = |predicate: fn(&Member) -> bool| self.all.iter().find(|member| predicate(member));
        find(Member::is_ready).or_else(|| find(Member::is_alive))
    }
}

/// A call that probes whether an instance works again. Dropped without a result, it leaves that to the next call.
pub(crate) struct Probe {
    route: Arc<Route>,
    instance: InstanceId,
    is_reported: bool,
}

impl Probe {
    /// A probe of an instance of `route`, if one is due.
    pub(crate) fn due(route: &Arc<Route>) -> Option<Self> {
        if !route.health.has_ejected() {
            return None;
        }
        let instance = route.health.change(|outliers| outliers.next_probe(clock::now()))?;
        Some(Self { route: Arc::clone(route), instance, is_reported: false })
    }

    /// Returns the instance.
    pub(crate) fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Reports the result.
    pub(crate) fn report(mut self, result: ProbeResult) {
        self.is_reported = true;
        self.route.health.counters.probes.count();
        self.route.record_probe(self.instance, result);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.is_reported {
            self.route.record_probe(self.instance, ProbeResult::Inconclusive);
        }
    }
}

/// The less busy of two random members, if one of them is ready.
#[inline(always)]
fn less_busy<M: Borrow<Member>>(several: &[M]) -> Option<&M> {
    let first = fastrand::usize(..several.len());
    let second = (first + fastrand::usize(1..several.len())) % several.len();
    let (first, second) = (&several[first], &several[second]);
    let [one, other] = [first, second].map(|member| -> &Member { member.borrow() });
    match (one.is_ready(), other.is_ready()) {
        (true, true) if other.load() < one.load() => Some(second),
        (true, _) => Some(first),
        (false, true) => Some(second),
        (false, false) => several.iter().find(|member| (*member).borrow().is_ready()),
    }
}
