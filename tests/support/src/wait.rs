//! Waiting for a condition, which is what a test does instead of sleeping.

use std::thread;
use std::time::{Duration, Instant};

/// The interval at which a condition is polled: short enough to cost a test nothing, long enough to leave it the processor.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Polls `condition` until it returns a value, and returns that.
///
/// The deadline ends a test that would hang, and measures nothing: choose ten times the expected time.
///
/// # Panics
/// If there was none `within` that time; the message names `what` was awaited.
///
/// ```
/// # use std::time::{Duration, Instant};
/// let started = Instant::now();
/// let waited = meshzero_testing::eventually(Duration::from_secs(10), "20 ms have passed", || {
///     Some(started.elapsed()).filter(|elapsed| elapsed.as_millis() >= 20)
/// });
/// assert!(waited.as_millis() >= 20);
/// ```
#[track_caller]
pub fn eventually<T>(within: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_returns_the_first_value() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(60), "three looks", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "never happens")]
    fn it_ends_with_what_was_waited_for() {
        eventually(Duration::from_millis(1), "never happens", || None::<()>);
    }
}
