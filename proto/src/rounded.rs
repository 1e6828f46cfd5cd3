//! Durations in a readable form.

use std::fmt;
use std::time::Duration;

/// A duration with three significant digits, in the largest unit of which it has at least one: `300ms`, `1.5s`, `299ms`.
///
/// ```
/// use std::time::Duration;
/// use meshzero_proto::rounded::RoundedDuration;
///
/// assert_eq!(RoundedDuration(Duration::from_nanos(298_826_309)).to_string(), "299ms");
/// assert_eq!(RoundedDuration(Duration::from_secs(5)).to_string(), "5s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundedDuration(pub Duration);

impl fmt::Display for RoundedDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (unit, name) = match nanos {
            // A value that would be rounded to a thousand is shown in the next unit.
            999_500_000.. => (1e9, "s"),
            999_500.. => (1e6, "ms"),
            1_000.. => (1e3, "µs"),
            0 => (1.0, "s"),
            _ => (1.0, "ns"),
        };
        let number = nanos as f64 / unit;
        let places = match number {
            small if small < 9.995 => 2,
            small if small < 99.95 => 1,
            _ => 0,
        };
        let text = format!("{number:.places$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        f.pad(&format!("{text}{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_shown() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (999_499, "999µs"),
            (999_500, "1ms"),
            (1_234_567, "1.23ms"),
            (300_000_000, "300ms"),
            (298_826_309, "299ms"),
            (999_999_999, "1s"),
            (1_987_654_321, "1.99s"),
            (9_996_000_000, "10s"),
            (12_340_000_000, "12.3s"),
            (3_600_000_000_000, "3600s"),
        ] {
            assert_eq!(RoundedDuration(Duration::from_nanos(nanos)).to_string(), text, "{nanos}");
        }
        assert_eq!(RoundedDuration(Duration::MAX).to_string(), "18446744073709551616s");
    }
}
