//! Rendering of durations and addresses, for people and as JSON numbers.

use std::net::SocketAddr;
use std::time::Duration;

use meshzero::zero::Address;

/// Renders an address in the form in which it can be typed in: the zone of a link-local one is the name of its interface.
pub(crate) fn address(address: SocketAddr) -> String {
    Address::from(address).to_string()
}

/// Renders a duration with its unit.
pub(crate) fn duration(time: Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") }
}

/// Returns a duration in milliseconds, for JSON, to the nanosecond.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_no_more_digits_than_a_clock() {
        for (nanos, json) in [(231_104, "0.231104"), (1, "1e-6"), (0, "0.0"), (5_000_000_001, "5000.000001")]
        {
            let shown = serde_json::to_string(&millis(Duration::from_nanos(nanos))).expect("a number");
            assert_eq!(shown, json);
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!([duration(Duration::ZERO), duration(Duration::from_millis(1_500))], ["0s", "1.5s"]);
    }
}
