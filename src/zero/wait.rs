//! The timeout of a verb.

use std::time::{Duration, Instant};

/// The timeout of a verb: [`FOREVER`], a [`Duration`], or seconds as an integer or a float.
///
/// With zero, or a negative number, a verb takes only what is there already and does not wait.
///
/// ```
/// use std::time::Duration;
/// use meshzero::zero::{FOREVER, Wait};
///
/// assert_eq!(Wait::from(2), Wait::from(Duration::from_secs(2)));
/// assert_eq!(Wait::from(0.25), Wait::from(Duration::from_millis(250)));
/// assert_eq!(Wait::from(-1), Wait::from(0));
/// assert_eq!(Wait::from(f64::INFINITY), FOREVER);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(Option<Duration>);

/// The timeout of a verb that waits without a limit.
pub const FOREVER: Wait = Wait(None);

impl Wait {
    /// The longest time to wait, which is [`Duration::MAX`] for [`FOREVER`].
    pub(super) fn longest(self) -> Duration {
        self.0.unwrap_or(Duration::MAX)
    }

    /// The instant at which the wait ends; `None` if it never does.
    pub(super) fn deadline(self) -> Option<Instant> {
        Instant::now().checked_add(self.0?)
    }
}

impl From<Duration> for Wait {
    fn from(wait: Duration) -> Self {
        Self(Some(wait))
    }
}

impl From<f64> for Wait {
    fn from(seconds: f64) -> Self {
        // NaN does not wait, like a negative number.
        let seconds = seconds.max(0.0);
        Self(Duration::try_from_secs_f64(seconds).ok())
    }
}

impl From<f32> for Wait {
    fn from(seconds: f32) -> Self {
        f64::from(seconds).into()
    }
}

impl From<u64> for Wait {
    fn from(seconds: u64) -> Self {
        Duration::from_secs(seconds).into()
    }
}

impl From<u32> for Wait {
    fn from(seconds: u32) -> Self {
        u64::from(seconds).into()
    }
}

impl From<i64> for Wait {
    fn from(seconds: i64) -> Self {
        u64::try_from(seconds).unwrap_or(0).into()
    }
}

impl From<i32> for Wait {
    fn from(seconds: i32) -> Self {
        i64::from(seconds).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_seconds_are_made_possible() {
        assert_eq!(Wait::from(f64::NAN), Wait::from(0));
        assert_eq!(Wait::from(-0.5), Wait::from(0));
        assert_eq!(Wait::from(1e300), FOREVER);
        assert_eq!(Wait::from(i64::MIN), Wait::from(0));
        assert_eq!(Wait::from(u64::MAX).deadline(), None);
        assert_eq!(FOREVER.longest(), Duration::MAX);
    }
}
