//! The search for the highest rate that keeps a bound: exponential until the bound is broken, then bisecting. A rate
//! that breaks it is tried twice, because any other activity of the machine breaks a bound for a moment.

use std::fmt;
use std::str::FromStr;

use crate::bench::gauge::percentiles::Percentiles;
use crate::bench::measure::measurement::Measurement;
use crate::bench::report::rate_search::{RateSearch, RateTrial};
use crate::failure::Failure;

/// The limit of tested rates.
const TRIALS: usize = 24;
/// The factor to the next rate until one keeps the bound and one breaks it.
const LEAP: f64 = 4.0;
/// The search ends at this ratio between the rates that break and keep the bound.
const CLOSE: f64 = 1.06;
/// The first rate, in packets per second.
const BEGIN: f64 = 1_000.0;
/// The lowest rate tested.
const LOWEST: f64 = 10.0;
/// The highest rate tested; no thread can schedule more.
const HIGHEST: f64 = 100e6;

/// A percentile of the round trip, and its upper bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LatencyBound {
    percentile: &'static str,
    /// In microseconds.
    below: f64,
}

impl FromStr for LatencyBound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a bound; write a percentile (p50, p90, p99, p99.9 or max), < and a time (us, ms or s), \
                 such as 'p99<5ms'"
            )
        };
        let (percentile, time) = text.split_once('<').ok_or_else(wrong)?;
        let names = ["p50", "p90", "p99", "p99.9", "max"];
        let percentile = names.into_iter().find(|name| *name == percentile.trim()).ok_or_else(wrong)?;
        let time = time.trim_start_matches('=').trim();
        let digits = time.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(time.len());
        let (number, unit) = time.split_at(digits);
        let micros = match unit.trim() {
            "us" | "µs" | "μs" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            _ => return Err(wrong()),
        };
        let below = number.parse::<f64>().map_err(|_| wrong())? * micros;
        if below > 0.0 && below <= 60e6 { Ok(Self { percentile, below }) } else { Err(wrong()) }
    }
}

impl fmt::Display for LatencyBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percentile, below } = self;
        match below {
            1e6.. => write!(f, "{percentile}<{}s", below / 1e6),
            1e3.. => write!(f, "{percentile}<{}ms", below / 1e3),
            _ => write!(f, "{percentile}<{below}us"),
        }
    }
}

impl LatencyBound {
    fn value(&self, percentiles: &Percentiles) -> Option<f64> {
        percentiles.steps().into_iter().find(|(name, _)| *name == self.percentile).map(|(_, value)| value)
    }

    fn trial(&self, rate: f64, measured: &Measurement) -> RateTrial {
        let value = measured.round_trip.as_ref().and_then(|percentiles| self.value(percentiles));
        let kept = measured.kept_up() && measured.is_whole() && value.is_some_and(|value| value < self.below);
        RateTrial { rate, achieved_per_second: measured.achieved_per_second, value, kept }
    }
}

/// Searches, measuring with `measure` at each rate. Returns the measurement at the highest rate that kept the bound as
/// well; if none did, at the lowest.
pub(crate) async fn find_max(
    bound: LatencyBound,
    mut measure: impl AsyncFnMut(f64) -> Result<Measurement, Failure>,
) -> Result<(RateSearch, f64, Measurement), Failure> {
    let mut trials = Vec::new();
    let mut kept: Option<(f64, Measurement)> = None;
    let mut broken: Option<(f64, Measurement)> = None;
    // Each rate takes two trials at most.
    while trials.len() + 1 < TRIALS {
        let rate = match (&kept, &broken) {
            (None, None) => BEGIN,
            (Some((kept, _)), None) => kept * LEAP,
            (None, Some((broken, _))) => broken / LEAP,
            (Some((kept, _)), Some((broken, _))) if broken / kept > CLOSE => (kept * broken).sqrt(),
            _ => break,
        };
        if !(LOWEST..=HIGHEST).contains(&rate) {
            break;
        }
        // Whole numbers read better, and the rate is no more exact than that anyway.
        let rate = rate.round();
        let mut measured = measure(rate).await?;
        let mut trial = bound.trial(rate, &measured);
        if !trial.kept {
            trials.push(trial);
            measured = measure(rate).await?;
            trial = bound.trial(rate, &measured);
        }
        let side = if trial.kept { &mut kept } else { &mut broken };
        *side = Some((rate, measured));
        trials.push(trial);
    }
    let found = RateSearch { bound: bound.to_string(), rate: kept.as_ref().map(|(rate, _)| *rate), trials };
    let (rate, measured) = kept.or(broken).ok_or_else(|| Failure::Usage("no rate was tried".to_owned()))?;
    Ok((found, rate, measured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::measurement::Side;

    #[test]
    fn bounds_are_read_and_shown() {
        for (text, micros, shown) in [
            ("p99<5ms", 5_000.0, "p99<5ms"),
            ("p99.9 < 250us", 250.0, "p99.9<250us"),
            ("max<=1.5s", 1_500_000.0, "max<1.5s"),
        ] {
            let bound: LatencyBound = text.parse().expect(text);
            assert!((bound.below - micros).abs() < 1e-6, "{text}");
            assert_eq!(bound.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_bound_is_answered_with_an_example() {
        for text in ["", "p99", "p99>5ms", "p98<5ms", "p99<5", "p99<-5ms", "p99<0ms", "p99<2h", "<5ms"] {
            assert!(text.parse::<LatencyBound>().expect_err(text).contains("'p99<5ms'"), "{text}");
        }
    }

    /// A service with a capacity of `capacity` packets per second.
    fn measured(rate: f64, capacity: f64) -> Measurement {
        let time = if rate <= capacity { 100.0 } else { 1e6 };
        let round_trip =
            Percentiles { count: 1, p50: time, p90: time, p99: time, p999: time, max: time, mean: time };
        Measurement {
            seconds: 1.0,
            offered_per_second: Some(rate),
            achieved_per_second: rate.min(capacity),
            received_per_second: rate.min(capacity),
            received_mib_per_second: 0.0,
            sent: 1,
            expected: 1,
            received: 1,
            lost: 0,
            repeated: 0,
            reordered: 0,
            damaged: 0,
            failed: 0,
            round_trip: Some(round_trip),
            late: None,
            sender: Side::default(),
            receiver: None,
            bottleneck: String::new(),
            slices: Vec::new(),
        }
    }

    #[test]
    fn the_highest_rate_is_found_in_few_trials() {
        let bound = "p99<5ms".parse().expect("a bound");
        for capacity in [20.0, 900.0, 1_000.0, 123_456.0, 17e6, 1e12] {
            let search = find_max(bound, async |rate| Ok(measured(rate, capacity)));
            let (found, rate, _) = meshzero::block_on(search).expect("it ends");
            assert!(found.trials.len() <= TRIALS, "{capacity}");
            let within = capacity.min(HIGHEST);
            assert!(rate <= within && rate * LEAP > within, "{rate} of {capacity}");
            if (1e3..1e7).contains(&capacity) {
                assert!(rate * 1.2 > capacity, "{rate} of {capacity}");
            }
        }
        let search = find_max(bound, async |rate| Ok(measured(rate, 1.0)));
        let (found, rate, _) = meshzero::block_on(search).expect("it ends");
        assert_eq!((found.rate, rate >= LOWEST), (None, true));
    }
}
