//! Histograms of durations, and their percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest duration that is told from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// A histogram of durations, to three significant digits.
#[derive(Debug, Clone)]
pub(crate) struct DurationHistogram(Histogram<u64>);

/// Percentiles of durations, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// The number of durations.
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    /// 99.9 %.
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

impl Default for DurationHistogram {
    fn default() -> Self {
        Self(Histogram::new_with_max(LONGEST, 3).expect("the bounds are possible ones"))
    }
}

impl DurationHistogram {
    pub(crate) fn record(&mut self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Records the same duration `count` times.
    pub(crate) fn record_many(&mut self, time: Duration, count: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).clamp(1, LONGEST);
        self.0.record_n(nanos, count).expect("the time is between the bounds");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// Returns the recorded durations and empties the histogram.
    pub(crate) fn take(&mut self) -> Self {
        let taken = self.clone();
        self.0.reset();
        taken
    }

    /// Returns the percentiles; `None` without any durations.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        if self.0.is_empty() {
            return None;
        }
        let at = |quantile| self.0.value_at_quantile(quantile).min(self.0.max()) as f64 / 1e3;
        Some(Percentiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1e3,
            mean: self.0.mean() / 1e3,
        })
    }
}

impl Percentiles {
    /// The percentiles that are shown, each with its name.
    pub(crate) fn steps(&self) -> [(&'static str, f64); 5] {
        [("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("p99.9", self.p999), ("max", self.max)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_times() {
        let mut times = DurationHistogram::default();
        assert_eq!(times.percentiles(), None);
        (1..=1_000).for_each(|micros| times.record(Duration::from_micros(micros)));
        let told = times.percentiles().expect("there are some");
        for (told, wanted) in [(told.p50, 500.0), (told.p99, 990.0), (told.p999, 999.0), (told.max, 1_000.0)]
        {
            assert!((told / wanted - 1.0).abs() < 0.002, "{told} is not {wanted}");
        }
        times.record(Duration::MAX);
        assert!(times.take().percentiles().is_some_and(|told| told.max > 5.9e7));
        assert_eq!(times.percentiles(), None);
    }
}
