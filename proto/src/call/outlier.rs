//! Outlier ejection: instances of a service that keep failing are not used, and probed later.
//!
//! The rules are Envoy's ("Outlier detection", architecture overview: consecutive failures, 5 in a row by default; an ejection
//! time that grows with each ejection; a maximum share of ejected hosts), with shorter times, and with a probe at
//! the end like that of a circuit breaker: one request decides whether an instance is used again.

use std::time::{Duration, Instant};

/// The limits and times of ejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// The number of consecutive failures that eject an instance. Recommended: 5.
    pub failures: u32,
    /// The time of the first ejection; each later one lasts twice as long. Recommended: 1 s.
    pub first: Duration,
    /// The maximum time of an ejection. An instance that then works for this time has one ejection forgiven.
    /// Recommended: 30 s.
    pub longest: Duration,
}

impl Default for EjectionPolicy {
    fn default() -> Self {
        Self { failures: 5, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

/// The instances of one service, with their failures.
#[derive(Debug)]
pub struct Outliers<K> {
    policy: EjectionPolicy,
    members: Vec<InstanceHealth<K>>,
}

#[derive(Debug)]
struct InstanceHealth<K> {
    key: K,
    /// The number of consecutive failures.
    failures: u32,
    /// The number of its ejections, less those that were forgiven since.
    ejections: u32,
    state: EjectionState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EjectionState {
    /// In use, with the time of its return if it was ejected before.
    InUse(Option<Instant>),
    Ejected {
        until: Instant,
    },
    /// Ejected, with a probe under way.
    Probed,
}

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// The instance works.
    Works,
    /// The instance still fails.
    Fails,
    /// The request ended without a result: another probe is needed.
    Inconclusive,
}

impl<K: Copy + PartialEq> Outliers<K> {
    /// Creates a tracker without instances.
    pub fn new(policy: EjectionPolicy) -> Self {
        Self { policy, members: Vec::new() }
    }

    /// Sets the current instances. New ones are in use, and those that are gone are forgotten. If more than half of them are
    /// ejected, those whose ejection ends first return now.
    pub fn set_members(&mut self, keys: &[K]) {
        self.members.retain(|member| keys.contains(&member.key));
        for key in keys {
            if self.find(*key).is_none() {
                self.members.push(InstanceHealth {
                    key: *key,
                    failures: 0,
                    ejections: 0,
                    state: EjectionState::InUse(None),
                });
            }
        }
        while self.ejected() > self.max_ejected() {
            let due = |member: &InstanceHealth<K>| match member.state {
                EjectionState::InUse(_) => None,
                EjectionState::Ejected { until } => Some((1, Some(until))),
                // A probe is under way.
                EjectionState::Probed => Some((0, None)),
            };
            let due_first =
                self.members.iter_mut().filter(|member| due(member).is_some()).min_by_key(|m| due(m));
            if let Some(due_first) = due_first {
                due_first.state = EjectionState::InUse(None);
                due_first.failures = 0;
            }
        }
    }

    /// Records a failed request to an instance in use: it was lost, late or not accepted, or its handler panicked. Returns true
    /// if that ejects the instance. `jitter`, from 0 to 1, shortens the time by a quarter at most, so that not all callers return
    /// at the same time.
    ///
    /// Failures of requests that were under way when the instance was ejected are ignored.
    pub fn record_failure(&mut self, key: K, now: Instant, jitter: f64) -> bool {
        let may_eject = self.ejected() < self.max_ejected();
        let policy = self.policy.clone();
        let Some(member) = self.find(key) else { return false };
        let EjectionState::InUse(since) = member.state else { return false };
        member.failures = member.failures.saturating_add(1);
        if member.failures < policy.failures || !may_eject {
            return false;
        }
        if let Some(since) = since {
            let forgiven =
                now.saturating_duration_since(since).as_millis() / policy.longest.as_millis().max(1);
            member.ejections = member.ejections.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        }
        member.eject(&policy, now, jitter);
        true
    }

    /// Records that an instance in use has replied.
    pub fn record_success(&mut self, key: K) {
        if let Some(member) = self.find(key)
            && let EjectionState::InUse(_) = member.state
        {
            member.failures = 0;
        }
    }

    /// Returns an instance that the next request has to probe, if one is due. [`Outliers::record_probe`] must follow.
    pub fn next_probe(&mut self, now: Instant) -> Option<K> {
        let due = |member: &&mut InstanceHealth<K>| matches!(member.state, EjectionState::Ejected { until } if until <= now);
        let member = self.members.iter_mut().find(due)?;
        member.state = EjectionState::Probed;
        Some(member.key)
    }

    /// Records the result of a probe. Returns true if the instance is in use again.
    pub fn record_probe(&mut self, key: K, result: ProbeResult, now: Instant, jitter: f64) -> bool {
        let policy = self.policy.clone();
        let Some(member) = self.find(key) else { return false };
        match (member.state, result) {
            (EjectionState::Probed, ProbeResult::Works) => {
                member.state = EjectionState::InUse(Some(now));
                member.failures = 0;
                true
            }
            (EjectionState::Probed, ProbeResult::Fails) => {
                member.eject(&policy, now, jitter);
                false
            }
            (EjectionState::Probed, ProbeResult::Inconclusive) => {
                member.state = EjectionState::Ejected { until: now };
                false
            }
            // It has returned meanwhile, because too many others were gone.
            (EjectionState::InUse(_), ProbeResult::Works) => {
                member.failures = 0;
                false
            }
            (EjectionState::InUse(_) | EjectionState::Ejected { .. }, _) => false,
        }
    }

    /// Returns true if an instance is ejected.
    pub fn is_ejected(&self, key: K) -> bool {
        self.members.iter().any(|member| member.key == key && !member.is_in_use())
    }

    /// Returns the number of ejected instances.
    pub fn ejected(&self) -> usize {
        self.members.iter().filter(|member| !member.is_in_use()).count()
    }

    /// Returns true if any instance has failures on record; otherwise successes need not be recorded.
    pub fn has_failures(&self) -> bool {
        self.members.iter().any(|member| member.failures > 0 || !member.is_in_use())
    }

    /// Returns the maximum number of ejected instances: half of them, and never the only one.
    fn max_ejected(&self) -> usize {
        self.members.len() / 2
    }

    fn find(&mut self, key: K) -> Option<&mut InstanceHealth<K>> {
        self.members.iter_mut().find(|member| member.key == key)
    }
}

impl<K> InstanceHealth<K> {
    fn is_in_use(&self) -> bool {
        matches!(self.state, EjectionState::InUse(_))
    }

    fn eject(&mut self, policy: &EjectionPolicy, now: Instant, jitter: f64) {
        let doubled = 1u32.checked_shl(self.ejections).unwrap_or(u32::MAX);
        let duration = policy.first.saturating_mul(doubled).min(policy.longest);
        let until = now + duration.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0);
        self.state = EjectionState::Ejected { until };
        self.ejections = self.ejections.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fails an instance until it is ejected.
    fn fail(outliers: &mut Outliers<u8>, key: u8, now: Instant) {
        for failure in 1..=5 {
            assert_eq!(outliers.record_failure(key, now, 0.0), failure == 5, "five in a row");
        }
    }

    #[test]
    fn five_consecutive_failures_eject_an_instance_for_longer_each_time() {
        let mut now = Instant::now();
        let mut outliers = Outliers::new(EjectionPolicy::default());
        outliers.set_members(&[1, 2]);
        for _ in 0..4 {
            assert!(!outliers.record_failure(1, now, 0.0));
        }
        outliers.record_success(1);
        assert!(!outliers.has_failures(), "a success clears it");
        fail(&mut outliers, 1, now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(outliers.is_ejected(1) && !outliers.record_failure(1, now, 0.0));
            let duration = Duration::from_secs(seconds);
            assert_eq!(outliers.next_probe(now + duration - Duration::from_millis(1)), None);
            now += duration;
            assert_eq!(
                (outliers.next_probe(now), outliers.next_probe(now)),
                (Some(1), None),
                "there is one probe"
            );
            assert!(outliers.is_ejected(1));
            assert!(!outliers.record_probe(1, ProbeResult::Fails, now, 0.0));
        }
        now += Duration::from_secs(30);
        assert_eq!(outliers.next_probe(now), Some(1));
        assert!(!outliers.record_probe(1, ProbeResult::Inconclusive, now, 0.0));
        assert_eq!(outliers.next_probe(now), Some(1), "the next one decides");
        assert!(outliers.record_probe(1, ProbeResult::Works, now, 0.0));
        assert!(!outliers.is_ejected(1) && !outliers.has_failures());
    }

    #[test]
    fn ejections_are_forgiven_with_time() {
        let mut now = Instant::now();
        let mut outliers = Outliers::new(EjectionPolicy::default());
        outliers.set_members(&[1, 2]);
        for duration in [1, 2, 4] {
            fail(&mut outliers, 1, now);
            now += Duration::from_secs(duration);
            assert_eq!(outliers.next_probe(now), Some(1));
            assert!(outliers.record_probe(1, ProbeResult::Works, now, 0.0));
        }
        now += Duration::from_secs(65);
        fail(&mut outliers, 1, now);
        assert_eq!(outliers.next_probe(now + Duration::from_millis(1_999)), None);
        assert_eq!(
            outliers.next_probe(now + Duration::from_secs(2)),
            Some(1),
            "two steps were forgiven, and one was not"
        );
    }

    #[test]
    fn at_most_half_of_the_instances_are_ejected_and_never_the_only_one() {
        let now = Instant::now();
        let mut outliers = Outliers::new(EjectionPolicy::default());
        outliers.set_members(&[1]);
        for _ in 0..100 {
            assert!(!outliers.record_failure(1, now, 0.0));
        }
        outliers.set_members(&[1, 2, 3]);
        assert!(outliers.record_failure(1, now, 0.0), "there are others now");
        for _ in 0..100 {
            assert!(!outliers.record_failure(2, now, 0.0), "one of three is the maximum");
        }
        outliers.set_members(&[1, 3]);
        assert!(outliers.is_ejected(1), "one of two");
        outliers.set_members(&[1]);
        assert!(!outliers.is_ejected(1), "the only one");
        outliers.set_members(&[]);
        assert!(!outliers.has_failures());
    }

    #[derive(Debug, Clone)]
    enum Step {
        SetMembers(Vec<u8>),
        Fail(u8),
        Succeed(u8),
        Probe,
        RecordProbe(usize, ProbeResult),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let result =
            prop_oneof![Just(ProbeResult::Works), Just(ProbeResult::Fails), Just(ProbeResult::Inconclusive)];
        prop_oneof![
            1 => prop::sample::subsequence((0..6).collect::<Vec<u8>>(), 0..=6).prop_map(Step::SetMembers),
            12 => (0..6u8).prop_map(Step::Fail),
            2 => (0..6u8).prop_map(Step::Succeed),
            3 => Just(Step::Probe),
            3 => (0..4usize, result).prop_map(|(which, result)| Step::RecordProbe(which, result)),
            2 => (0..40_000u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn in_every_history_half_of_the_instances_are_in_use_and_all_can_return(
            steps in prop::collection::vec(step(), 1..300), jitter in 0.0..=1.0f64,
        ) {
            let policy = EjectionPolicy::default();
            let mut now = Instant::now();
            let mut outliers = Outliers::new(policy.clone());
            let (mut members, mut consecutive) = (vec![0, 1, 2, 3], [0u32; 6]);
            let mut probing = Vec::new();
            outliers.set_members(&members);
            for step in steps {
                match step {
                    Step::SetMembers(keys) => {
                        for gone in members.iter().filter(|key| !keys.contains(key)) {
                            consecutive[usize::from(*gone)] = 0;
                        }
                        members = keys;
                        outliers.set_members(&members);
                    }
                    Step::Fail(key) => {
                        let was_ejected = outliers.is_ejected(key);
                        let is_ejected_now = outliers.record_failure(key, now, jitter);
                        if members.contains(&key) && !was_ejected {
                            consecutive[usize::from(key)] += 1;
                        }
                        if is_ejected_now {
                            prop_assert!(consecutive[usize::from(key)] >= policy.failures && !was_ejected);
                            consecutive[usize::from(key)] = 0;
                        }
                    }
                    Step::Succeed(key) => {
                        outliers.record_success(key);
                        consecutive[usize::from(key)] = 0;
                    }
                    Step::Probe => probing.extend(outliers.next_probe(now)),
                    Step::RecordProbe(which, result) => {
                        if !probing.is_empty() {
                            let key = probing.swap_remove(which % probing.len());
                            let is_back = outliers.record_probe(key, result, now, jitter);
                            prop_assert!(!is_back || result == ProbeResult::Works);
                        }
                    }
                    Step::Pass(millis) => now += Duration::from_millis(millis),
                }
                prop_assert!(outliers.ejected() <= members.len() / 2);
                prop_assert!((0..6).all(|key| members.contains(&key) || !outliers.is_ejected(key)));
            }
            // All return: after the longest time each is probed once, and is used when the probe works.
            for key in probing {
                outliers.record_probe(key, ProbeResult::Inconclusive, now, jitter);
            }
            now += policy.longest;
            while let Some(key) = outliers.next_probe(now) {
                prop_assert!(outliers.record_probe(key, ProbeResult::Works, now, jitter));
            }
            prop_assert_eq!(outliers.ejected(), 0);
        }
    }
}
