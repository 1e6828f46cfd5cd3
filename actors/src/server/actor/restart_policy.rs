//! The restarts of an actor after panics: the policy, and the limiter that applies it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The policy for a service whose actor panics.
///
/// These are the *intensity* and the *period* of Erlang/OTP's supervisors ("Supervisor Behaviour", OTP Design
/// Principles): a transient fault costs one restart, and a fault that recurs after every restart ends the service, so that
/// callers use other instances instead of one that never works.
///
/// ```
/// # use meshzero_actors::server::actor::restart_policy::RestartPolicy;
/// use std::time::Duration;
///
/// assert_eq!(RestartPolicy::default(), RestartPolicy::Limited { restarts: 10, within: Duration::from_secs(60) });
/// let patient = RestartPolicy::Limited { restarts: 100, within: Duration::from_secs(3_600) };
/// # let _ = patient;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// The first panic ends the service.
    Never,
    /// The actor is restarted up to a number of times within any period of a given length; one more panic ends the service.
    Limited {
        /// The number of restarts within the period. Costs 16 bytes for each that has happened.
        restarts: u32,
        /// The length of the period.
        within: Duration,
    },
    /// The actor is restarted after every panic, with a pause of up to 5 s if it handled nothing in between.
    Always,
}

impl Default for RestartPolicy {
    /// Ten times within a minute.
    fn default() -> Self {
        Self::Limited { restarts: 10, within: Duration::from_secs(60) }
    }
}

/// The restarts of one actor, as far as the policy needs them.
#[derive(Debug)]
pub(crate) struct RestartLimiter {
    policy: RestartPolicy,
    recent: VecDeque<Instant>,
}

impl RestartLimiter {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Self { policy, recent: VecDeque::new() }
    }

    /// Returns whether the actor may be restarted at `now`, and counts the restart if so.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        match self.policy {
            RestartPolicy::Never => false,
            RestartPolicy::Always => true,
            RestartPolicy::Limited { restarts, within } => {
                let is_old = |at: &Instant| now.saturating_duration_since(*at) >= within;
                while self.recent.front().is_some_and(is_old) {
                    self.recent.pop_front();
                }
                if self.recent.len() >= restarts as usize {
                    return false;
                }
                self.recent.push_back(now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_limited_within_the_period() {
        let (within, mut now) = (Duration::from_secs(60), Instant::now());
        let mut restarts = RestartLimiter::new(RestartPolicy::Limited { restarts: 3, within });
        for _ in 0..3 {
            assert!(restarts.allow(now));
            now += Duration::from_secs(10);
        }
        assert!(!restarts.allow(now), "a fourth within half a minute");
        now += Duration::from_secs(30);
        assert!(restarts.allow(now), "the first was a minute ago");
        assert!(!restarts.allow(now + Duration::from_secs(9)));
        for _ in 0..100 {
            now += Duration::from_secs(20);
            assert!(restarts.allow(now), "three a minute may go on forever");
        }
    }

    #[test]
    fn never_allows_no_restart_and_always_allows_all() {
        let now = Instant::now();
        assert!(!RestartLimiter::new(RestartPolicy::Never).allow(now));
        assert!(
            !RestartLimiter::new(RestartPolicy::Limited { restarts: 0, within: Duration::MAX }).allow(now)
        );
        let mut always = RestartLimiter::new(RestartPolicy::Always);
        assert!((0..10_000).all(|_| always.allow(now)));
        assert!(always.recent.is_empty());
    }
}
