//! Exponential back-off: the delays between the attempts of a task that retries, each twice as long as the previous one, up to a
//! maximum.

use std::time::Duration;

/// The delays between attempts. They are random, so that many tasks that lost the same endpoint do not return at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// The first delay after a reset: `first`, or zero.
    initial: Duration,
    first: Duration,
    max: Duration,
    next: Duration,
    jitter: Jitter,
}

/// The random share of a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jitter {
    /// No jitter: delays are exact.
    None,
    /// A delay lasts between half and all of its length: "equal jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015).
    /// Every attempt has a delay, and no delay is longer than its nominal length.
    Equal,
    /// A delay lasts between half and one and a half of its length, and its length on average.
    Around,
}

impl Backoff {
    /// Creates a back-off whose first delay is `first`; each further delay doubles it, up to `max`. The jitter is
    /// [`Jitter::Equal`].
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { initial: first, first, max, next: first, jitter: Jitter::Equal }
    }

    /// Spreads the delays by `jitter`.
    #[must_use]
    pub(crate) const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes the first delay after a reset zero, and the second one `first`.
    #[must_use]
    pub(crate) const fn without_initial_delay(mut self) -> Self {
        (self.initial, self.next) = (Duration::ZERO, Duration::ZERO);
        self
    }

    /// Returns the delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.skip();
        match self.jitter {
            Jitter::None => delay,
            Jitter::Equal => delay.mul_f64(0.5 + fastrand::f64() / 2.0),
            Jitter::Around => delay.mul_f64(0.5 + fastrand::f64()),
        }
    }

    /// Counts an attempt that is made without a delay.
    pub(crate) fn skip(&mut self) {
        self.next = self.next.saturating_mul(2).clamp(self.first, self.max);
    }

    /// Continues with the longest delay.
    pub(crate) fn skip_to_longest(&mut self) {
        self.next = self.max;
    }

    /// Starts again with the first delay, because the last attempt succeeded or the next one is likely to.
    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }

    /// Returns whether no attempt was counted since the last reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.next == self.initial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_are_at_least_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(50), ms(300));
        for round in 0..100 {
            for nominal in [50, 100, 200, 300, 300].map(ms) {
                let delay = backoff.next_delay();
                assert!((nominal / 2..=nominal).contains(&delay), "round {round}: {delay:?} of {nominal:?}");
            }
            backoff.reset();
        }
    }

    #[test]
    fn the_jitter_around_a_delay_makes_it_shorter_or_longer() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second).with_jitter(Jitter::Around);
        let delays: Vec<_> = (0..1_000).map(|_| backoff.next_delay()).collect();
        assert!(delays.iter().all(|delay| (second / 2..=second * 3 / 2).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < second) && delays.iter().any(|delay| *delay > second));
    }

    #[test]
    fn exact_delays_may_start_at_zero_and_can_be_skipped() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(10), ms(50)).with_jitter(Jitter::None).without_initial_delay();
        let mut delays = |count| (0..count).map(|_| backoff.next_delay()).collect::<Vec<_>>();
        assert_eq!(delays(6), [0, 10, 20, 40, 50, 50].map(ms));
        backoff.reset();
        assert!(backoff.is_reset());
        backoff.skip();
        assert_eq!((backoff.is_reset(), backoff.next_delay()), (false, ms(10)));
        backoff.skip_to_longest();
        assert_eq!(backoff.next_delay(), ms(50));
    }
}
