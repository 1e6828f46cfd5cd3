//! The pauses between tries: each is twice as long as the one before, up to a longest.

use std::time::Duration;

/// The pauses of one who tries again and again: exponential back-off with "equal jitter" (M. Brooker, "Exponential Backoff And
/// Jitter", 2015), so that many who lost the same endpoint do not come back at once, and nobody comes back without a pause.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `first`, and doubles up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The pause before the next try: between half and all of what it is by now.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Begins anew, because the last try succeeded or there is reason to think that the next one will.
    pub fn reset(&mut self) {
        self.next = self.first;
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
                let pause = backoff.pause();
                assert!((whole / 2..=whole).contains(&pause), "round {round}: {pause:?} of {whole:?}");
            }
            backoff.reset();
        }
    }
}
