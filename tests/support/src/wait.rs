//! Waiting for a condition, which is what a test does in place of sleeping.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at: often enough to cost a test nothing, seldom enough to leave it the
/// processor.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Looks at `condition` until it gives a value, and returns it.
///
/// Deadlines are there to end a test that would hang, not to measure: give ten times what it should take.
///
/// # Panics
/// When there was none `within` that time, naming `what` was waited for.
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
