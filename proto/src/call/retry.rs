//! Retries: their conditions, their delays, and the budget that limits them.

use std::time::{Duration, Instant};

use crate::wire::refusal::Refusal;

/// The outcome of an attempt, as far as it matters for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// It never reached an instance.
    NotSent,
    /// An instance replied that it has not handled it, because it has no room.
    Refused,
    /// An instance replied that it has not handled it, and will handle nothing more.
    Closing,
    /// An instance replied that it has not handled it, because its deadline had passed.
    Late,
    /// It may have been handled; there is no way to know.
    Unknown,
    /// A retry would have the same outcome.
    Final,
}

impl FailureClass {
    /// Returns true if it was certainly not handled.
    pub fn is_unhandled(self) -> bool {
        matches!(self, Self::NotSent | Self::Refused | Self::Closing | Self::Late)
    }
}

impl From<&Refusal> for FailureClass {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Busy => Self::Refused,
            Refusal::Draining => Self::Closing,
            Refusal::Expired => Self::Late,
            Refusal::Panicked | Refusal::Unanswered | Refusal::Lost => Self::Unknown,
            Refusal::NoHandler { .. }
            | Refusal::Undecodable { .. }
            | Refusal::ReplyTooLarge { .. }
            | Refusal::BadReply { .. }
            | Refusal::Failed { .. }
            | Refusal::NotAllowed => Self::Final,
        }
    }
}

/// The conditions under which a message may be sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Idempotency {
    /// Only if it was certainly not handled.
    #[default]
    Unhandled,
    /// Also if it may have been handled: handling the message twice has the same effect as handling it once.
    Idempotent,
}

/// The decision after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAttempt {
    /// The call ends with this outcome.
    Stop,
    /// There is another attempt, after a delay.
    Again {
        /// The delay before it.
        delay: Duration,
        /// The charge on the [`RetryBudget`].
        cost: AttemptCost,
    },
}

/// The charge of an attempt on the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptCost {
    /// No charge: the previous attempt did not reach an instance.
    Free,
    /// One retry: it adds to the load of an instance.
    One,
}

/// The instances at which another attempt could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternatives {
    /// At least one that this call has not tried yet, or any that appears.
    Untried,
    /// Only instances that this call has tried already.
    Tried,
}

/// The delay before the first retry at an instance that has been tried already. It doubles with each retry.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The time for which a call whose instance is closing waits for another to replace it. A program that is replaced by its next
/// version is back in that time, and callers of one that closes permanently get an error soon.
pub const HANDOVER_WAIT: Duration = Duration::from_secs(1);

/// The maximum number of attempts at a message that may have been handled each time: the message itself may make the handler
/// panic.
const MAX_UNKNOWN_ATTEMPTS: u32 = 3;

/// Returns the decision after attempt number `attempts` of a call ended in `failure`. `jitter`, from 0 to 1, shortens the delay
/// by half at most.
pub fn next(
    failure: FailureClass,
    idempotency: Idempotency,
    attempts: u32,
    alternatives: Alternatives,
    jitter: f64,
) -> NextAttempt {
    let doubled = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let delay = match alternatives {
        Alternatives::Untried => Duration::ZERO,
        Alternatives::Tried => {
            FIRST_DELAY.saturating_mul(doubled).min(MAX_DELAY).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
        }
    };
    match (failure, idempotency, alternatives) {
        (FailureClass::NotSent, ..) => NextAttempt::Again { delay, cost: AttemptCost::Free },
        (FailureClass::Refused | FailureClass::Closing, ..) => {
            NextAttempt::Again { delay, cost: AttemptCost::One }
        }
        // With so little time left, a retry might turn "not handled" into "unknown", which is harmless if idempotent.
        (FailureClass::Late, Idempotency::Idempotent, Alternatives::Untried) => {
            NextAttempt::Again { delay, cost: AttemptCost::One }
        }
        (FailureClass::Unknown, Idempotency::Idempotent, _) if attempts < MAX_UNKNOWN_ATTEMPTS => {
            NextAttempt::Again { delay, cost: AttemptCost::One }
        }
        (FailureClass::Late | FailureClass::Unknown | FailureClass::Final, ..) => NextAttempt::Stop,
    }
}

/// The time for which calls and retries count in the budget.
const WINDOW: Duration = Duration::from_secs(10);

/// The number of retries per second that are always allowed.
const MIN_RETRIES_PER_SECOND: f64 = 10.0;

/// The number of retries allowed for each call.
const RETRIES_PER_CALL: f64 = 0.2;

/// The budget of retries, which keeps them from overloading a service in trouble: one for every five calls, and ten per second
/// regardless of the calls. The numbers are those of Finagle's `RetryBudget` (20 % of the requests of the last 10 s, and 10 a
/// second), which tower has adopted as `TpsBudget`; neither is used, because those count every call as it is made, in memory that
/// all callers share, and here calls are counted where that costs nothing.
#[derive(Debug)]
pub struct RetryBudget {
    balance: f64,
    /// The time of the last withdrawal, and the number of calls by then.
    last: Option<(Instant, u64)>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { balance: MIN_RETRIES_PER_SECOND * WINDOW.as_secs_f64(), last: None }
    }
}

impl RetryBudget {
    /// Takes one retry from the budget, if there is one left. `calls` is the number of calls so far; if it is lower than before,
    /// the connections that counted them have closed.
    pub fn withdraw(&mut self, calls: u64, now: Instant) -> bool {
        if let Some((last_time, last_calls)) = self.last {
            let window = WINDOW.as_secs_f64();
            let elapsed = now.saturating_duration_since(last_time).as_secs_f64();
            let new_calls = calls.saturating_sub(last_calls) as f64;
            // After a long time without withdrawals, most of the calls were made too long ago to count.
            let recent = if elapsed > window { new_calls * window / elapsed } else { new_calls };
            let remaining = self.balance * (1.0 - elapsed / window).max(0.0);
            self.balance =
                remaining + RETRIES_PER_CALL * recent + MIN_RETRIES_PER_SECOND * elapsed.min(window);
        }
        self.last = Some((now, calls));
        if self.balance < 1.0 {
            return false;
        }
        self.balance -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_possibly_handled_message_is_repeated_only_if_idempotent() {
        use Idempotency::{Idempotent, Unhandled};
        let again = |failure, idempotency, alternatives| {
            matches!(next(failure, idempotency, 1, alternatives, 0.0), NextAttempt::Again { .. })
        };
        for alternatives in [Alternatives::Untried, Alternatives::Tried] {
            for unhandled in [FailureClass::NotSent, FailureClass::Refused, FailureClass::Closing] {
                assert!(again(unhandled, Unhandled, alternatives));
            }
            assert!(
                !again(FailureClass::Unknown, Unhandled, alternatives)
                    && again(FailureClass::Unknown, Idempotent, alternatives)
            );
            assert!(
                !again(FailureClass::Final, Unhandled, alternatives)
                    && !again(FailureClass::Final, Idempotent, alternatives)
            );
            assert!(!again(FailureClass::Late, Unhandled, alternatives));
        }
        assert!(
            again(FailureClass::Late, Idempotent, Alternatives::Untried)
                && !again(FailureClass::Late, Idempotent, Alternatives::Tried)
        );
        assert_eq!(next(FailureClass::Unknown, Idempotent, 3, Alternatives::Untried, 0.0), NextAttempt::Stop);
    }

    #[test]
    fn another_instance_is_tried_at_once_and_the_same_one_after_growing_delays() {
        let delay = |attempts, alternatives, jitter| match next(
            FailureClass::Refused,
            Idempotency::Unhandled,
            attempts,
            alternatives,
            jitter,
        ) {
            NextAttempt::Again { delay, cost: AttemptCost::One } => delay.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 99].map(|attempts| delay(attempts, Alternatives::Tried, 0.0)),
            [50, 100, 200, 400, 800, 1_000, 1_000]
        );
        assert_eq!([1, 2, 9].map(|attempts| delay(attempts, Alternatives::Tried, 1.0)), [25, 50, 500]);
        assert_eq!(delay(7, Alternatives::Untried, 0.0), 0);
    }

    #[test]
    fn retries_add_at_most_a_fifth_to_the_load() {
        let mut now = Instant::now();
        let (mut budget, mut calls, mut retries) = (RetryBudget::default(), 0, 0);
        for _ in 0..60_000 {
            now += Duration::from_millis(1);
            calls += 1;
            retries += u32::from(budget.withdraw(calls, now));
        }
        // 60,000 in a minute, each followed by a request for a retry.
        assert!((11_000..13_000).contains(&retries), "{retries}");
    }

    #[test]
    fn calls_made_long_ago_do_not_count() {
        let now = Instant::now();
        let mut budget = RetryBudget::default();
        assert!(budget.withdraw(0, now));
        let hour = now + Duration::from_secs(3_600);
        let at_once = (0..100_000).filter(|_| budget.withdraw(360_000, hour)).count();
        assert!((290..=310).contains(&at_once), "100 a second and the reserve, for ten seconds: {at_once}");
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_budget(
            steps in prop::collection::vec((0..3_000u64, 0..500u64, 0..200u32), 1..100),
        ) {
            let start = Instant::now();
            let (mut budget, mut now, mut calls, mut retries) = (RetryBudget::default(), start, 0, 0u32);
            for (millis, more, requests) in steps {
                now += Duration::from_millis(millis);
                calls += more;
                retries += (0..requests).map(|_| u32::from(budget.withdraw(calls, now))).sum::<u32>();
                let seconds = now.duration_since(start).as_secs_f64();
                let limit = MIN_RETRIES_PER_SECOND * (WINDOW.as_secs_f64() + seconds) + RETRIES_PER_CALL * calls as f64;
                prop_assert!(f64::from(retries) <= limit + 1e-6, "{} of {}", retries, limit);
            }
            // It recovers: a second later there are retries again, regardless of earlier requests.
            prop_assert!(budget.withdraw(calls, now + Duration::from_secs(1)));
        }
    }
}
