//! Retries: their conditions, their pauses, and the budget that limits them.

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
    /// Another attempt, after a pause.
    Again {
        /// The pause before it.
        pause: Duration,
        /// The charge on the [`RetryBudget`].
        cost: AttemptCost,
    },
}

/// The charge of an attempt on the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptCost {
    /// None: the attempt before it did not reach an instance.
    Free,
    /// One retry: it adds to the load of an instance.
    One,
}

/// The instances that another attempt could go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternatives {
    /// At least one that this call has not tried yet, or any that appears.
    Untried,
    /// Only instances that this call has tried already.
    Tried,
}

/// The pause before the first retry at an instance that has been tried already. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The time for which a call whose instance is closing waits for another to replace it. Programs that are replaced by their next
/// version are back in that time; and callers of one that closes permanently get an error soon.
pub const HANDOVER_WAIT: Duration = Duration::from_secs(1);

/// The maximum number of attempts at a message that may have been handled each time: the message itself may make the handler
/// panic.
const MAX_UNKNOWN_ATTEMPTS: u32 = 3;

/// Returns the decision after attempt number `attempts` of a call ended in `tried`. `jitter`, from 0 to 1, shortens the pause by
/// half at most.
pub fn next(
    tried: FailureClass,
    repeats: Idempotency,
    attempts: u32,
    others: Alternatives,
    jitter: f64,
) -> NextAttempt {
    let doubled = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let pause = match others {
        Alternatives::Untried => Duration::ZERO,
        Alternatives::Tried => {
            FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
        }
    };
    match (tried, repeats, others) {
        (FailureClass::NotSent, ..) => NextAttempt::Again { pause, cost: AttemptCost::Free },
        (FailureClass::Refused | FailureClass::Closing, ..) => {
            NextAttempt::Again { pause, cost: AttemptCost::One }
        }
        // With this little time left, a retry turns "not handled" into "unknown", unless that does no harm.
        (FailureClass::Late, Idempotency::Idempotent, Alternatives::Untried) => {
            NextAttempt::Again { pause, cost: AttemptCost::One }
        }
        (FailureClass::Unknown, Idempotency::Idempotent, _) if attempts < MAX_UNKNOWN_ATTEMPTS => {
            NextAttempt::Again { pause, cost: AttemptCost::One }
        }
        (FailureClass::Late | FailureClass::Unknown | FailureClass::Final, ..) => NextAttempt::Stop,
    }
}

/// The time for which calls and retries count.
const MEMORY: Duration = Duration::from_secs(10);

/// The number of retries per second that are always allowed.
const MIN_RETRIES_PER_SECOND: f64 = 10.0;

/// The number of retries allowed for each call.
const RETRIES_PER_CALL: f64 = 0.2;

/// The budget of retries, which keeps them from overloading a service in trouble: one for every five calls, and ten a second
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
        Self { balance: MIN_RETRIES_PER_SECOND * MEMORY.as_secs_f64(), last: None }
    }
}

impl RetryBudget {
    /// Takes one retry from the budget, if there is one left. `calls` is the number of calls so far; if it is lower than before,
    /// the connections that counted them have closed.
    pub fn withdraw(&mut self, calls: u64, now: Instant) -> bool {
        if let Some((then, before)) = self.last {
            let memory = MEMORY.as_secs_f64();
            let passed = now.saturating_duration_since(then).as_secs_f64();
            let made = calls.saturating_sub(before) as f64;
            // After a long time without withdrawals, most of the calls were made too long ago to count.
            let recent = if passed > memory { made * memory / passed } else { made };
            let kept = self.balance * (1.0 - passed / memory).max(0.0);
            self.balance = kept + RETRIES_PER_CALL * recent + MIN_RETRIES_PER_SECOND * passed.min(memory);
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
        let again = |tried, repeats, others| {
            matches!(next(tried, repeats, 1, others, 0.0), NextAttempt::Again { .. })
        };
        for others in [Alternatives::Untried, Alternatives::Tried] {
            for unhandled in [FailureClass::NotSent, FailureClass::Refused, FailureClass::Closing] {
                assert!(again(unhandled, Unhandled, others));
            }
            assert!(
                !again(FailureClass::Unknown, Unhandled, others)
                    && again(FailureClass::Unknown, Idempotent, others)
            );
            assert!(
                !again(FailureClass::Final, Unhandled, others)
                    && !again(FailureClass::Final, Idempotent, others)
            );
            assert!(!again(FailureClass::Late, Unhandled, others));
        }
        assert!(
            again(FailureClass::Late, Idempotent, Alternatives::Untried)
                && !again(FailureClass::Late, Idempotent, Alternatives::Tried)
        );
        assert_eq!(next(FailureClass::Unknown, Idempotent, 3, Alternatives::Untried, 0.0), NextAttempt::Stop);
    }

    #[test]
    fn another_instance_is_tried_at_once_and_the_same_after_a_growing_pause() {
        let pause = |attempts, others, jitter| match next(
            FailureClass::Refused,
            Idempotency::Unhandled,
            attempts,
            others,
            jitter,
        ) {
            NextAttempt::Again { pause, cost: AttemptCost::One } => pause.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [1, 2, 3, 4, 5, 6, 99].map(|attempts| pause(attempts, Alternatives::Tried, 0.0)),
            [50, 100, 200, 400, 800, 1_000, 1_000]
        );
        assert_eq!([1, 2, 9].map(|attempts| pause(attempts, Alternatives::Tried, 1.0)), [25, 50, 500]);
        assert_eq!(pause(7, Alternatives::Untried, 0.0), 0);
    }

    #[test]
    fn a_service_that_refuses_all_requests_gets_a_fifth_more_at_most() {
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
    fn calls_of_long_ago_count_no_more() {
        let now = Instant::now();
        let mut budget = RetryBudget::default();
        assert!(budget.withdraw(0, now));
        let hour = now + Duration::from_secs(3_600);
        let at_once = (0..100_000).filter(|_| budget.withdraw(360_000, hour)).count();
        assert!((290..=310).contains(&at_once), "100 a second and the reserve, for ten seconds: {at_once}");
    }

    proptest! {
        #[test]
        fn there_are_never_more_retries_than_the_calls_and_the_time_give(
            steps in prop::collection::vec((0..3_000u64, 0..500u64, 0..200u32), 1..100),
        ) {
            let start = Instant::now();
            let (mut budget, mut now, mut calls, mut retries) = (RetryBudget::default(), start, 0, 0u32);
            for (millis, more, asked) in steps {
                now += Duration::from_millis(millis);
                calls += more;
                retries += (0..asked).map(|_| u32::from(budget.withdraw(calls, now))).sum::<u32>();
                let seconds = now.duration_since(start).as_secs_f64();
                let most = MIN_RETRIES_PER_SECOND * (MEMORY.as_secs_f64() + seconds) + RETRIES_PER_CALL * calls as f64;
                prop_assert!(f64::from(retries) <= most + 1e-6, "{} of {}", retries, most);
            }
            // It recovers: a second later there are retries again, regardless of earlier requests.
            prop_assert!(budget.withdraw(calls, now + Duration::from_secs(1)));
        }
    }
}
