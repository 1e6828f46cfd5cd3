//! Exponential back-off: the delays between the attempts of a task that retries, each twice as long as the one before, up to a
//! longest.

use std::time::Duration;

/// The delays between attempts. They are spread at random, so that many tasks which lost the same endpoint do not return at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// The delay after a reset: `first`, or none.
    start: Duration,
    first: Duration,
    longest: Duration,
    next: Duration,
    jitter: Jitter,
}

/// The share of a delay that is left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jitter {
    /// None: delays are exact.
    None,
    /// A delay lasts between half and all of its length: "equal jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015). No
    /// attempt is without a delay, and none later than said.
    Equal,
    /// A delay lasts between half and one and a half of its length, and its length on average.
    Around,
}

impl Backoff {
    /// Begins with a delay of `first`, and doubles it up to `longest`. The jitter is [`Jitter::Equal`].
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { start: first, first, longest, next: first, jitter: Jitter::Equal }
    }

    /// Spreads the delays by `jitter`.
    #[must_use]
    pub(crate) const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes the first attempt after a reset without a delay; the `first` delay is that of the second.
    #[must_use]
    pub(crate) const fn at_once_first(mut self) -> Self {
        (self.start, self.next) = (Duration::ZERO, Duration::ZERO);
        self
    }

    /// Returns the delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let pause = self.next;
        self.skip();
        match self.jitter {
            Jitter::None => pause,
            Jitter::Equal => pause.mul_f64(0.5 + fastrand::f64() / 2.0),
            Jitter::Around => pause.mul_f64(0.5 + fastrand::f64()),
        }
    }

    /// Counts an attempt that is made without a delay.
    pub(crate) fn skip(&mut self) {
        self.next = self.next.saturating_mul(2).clamp(self.first, self.longest);
    }

    /// Goes on with the longest delay.
    pub(crate) fn skip_to_longest(&mut self) {
        self.next = self.longest;
    }

    /// Begins again with the first delay, because the last attempt succeeded or there is reason to think that the next one will.
    pub(crate) fn reset(&mut self) {
        self.next = self.start;
    }

    /// Returns whether no attempt was counted since the last reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.next == self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_lose_half_at_most() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(50), ms(300));
        for round in 0..100 {
            for whole in [50, 100, 200, 300, 300].map(ms) {
                let pause = backoff.next_delay();
                assert!((whole / 2..=whole).contains(&pause), "round {round}: {pause:?} of {whole:?}");
            }
            backoff.reset();
        }
    }

    #[test]
    fn the_jitter_around_a_delay_makes_it_shorter_or_longer() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second).with_jitter(Jitter::Around);
        let pauses: Vec<_> = (0..1_000).map(|_| backoff.next_delay()).collect();
        assert!(pauses.iter().all(|pause| (second / 2..=second * 3 / 2).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause < second) && pauses.iter().any(|pause| *pause > second));
    }

    #[test]
    fn exact_delays_begin_at_once_if_wanted_and_are_skipped() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(10), ms(50)).with_jitter(Jitter::None).at_once_first();
        let mut pauses = |count| (0..count).map(|_| backoff.next_delay()).collect::<Vec<_>>();
        assert_eq!(pauses(6), [0, 10, 20, 40, 50, 50].map(ms));
        backoff.reset();
        assert!(backoff.is_reset());
        backoff.skip();
        assert_eq!((backoff.is_reset(), backoff.next_delay()), (false, ms(10)));
        backoff.skip_to_longest();
        assert_eq!(backoff.next_delay(), ms(50));
    }
}
