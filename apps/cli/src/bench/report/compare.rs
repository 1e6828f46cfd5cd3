//! The comparison of two runs: ratios of their results, with confidence intervals by bootstrap over the slices of each
//! run.
//!
//! The slices of one run follow each other and so are not independent: an interval is narrower than repetitions of
//! both runs would give.

use super::comparison::{Comparison, Ratio};
use super::document::{Case, Report};
use crate::bench::measure::measurement::Slice;

/// The meaning of the confidence.
pub(crate) const CONFIDENCE_NOTE: &str = "The confidence covers the variation within each run only. Variation between runs, such as which cores the \
                                 system gave to whom, is not covered: repeat both runs before you rely on a small difference.";

/// The number of bootstrap samples.
const RESAMPLES: usize = 2_000;

/// Compares a run with a saved one of the same kind.
pub(crate) fn compare(now: &Report, saved: &Report) -> Comparison {
    let mut ratios = Vec::new();
    for case in now.cases() {
        let same = saved.cases().find(|other| is_alike(case, other)).or(saved.run.as_ref());
        if let Some(same) = same {
            ratios.extend(of_case(case, same));
        }
    }
    if let (Some(now), Some(saved)) = (&now.discovery, &saved.discovery) {
        for (what, now, saved) in [
            ("time until seen", &now.seen, &saved.seen),
            ("cold discover", &now.cold, &saved.cold),
            ("join and discover", &now.joined, &saved.joined),
        ] {
            ratios.extend(ratio(what.to_owned(), &now.rounds_ms, &saved.rounds_ms, Better::Lower));
        }
    }
    let commit = saved.header.here.commit.clone();
    Comparison { commit, differences: differences(now, saved), ratios }
}

/// Returns whether two cases of a sweep correspond.
fn is_alike(one: &Case, other: &Case) -> bool {
    let load = |case: &Case| case.plan.rate.is_some();
    one.plan.kind == other.plan.kind && one.plan.size == other.plan.size && !load(one) && !load(other)
}

fn of_case(now: &Case, saved: &Case) -> Vec<Ratio> {
    let values = |case: &Case, value: fn(&Slice) -> Option<f64>| -> Vec<f64> {
        case.measured.slices.iter().filter_map(value).collect()
    };
    let size = now.plan.size;
    let rate: fn(&Slice) -> Option<f64> = |slice| Some(slice.received_per_second);
    let of = |what: &str, value: fn(&Slice) -> Option<f64>, better| {
        ratio(format!("{what}, {size} B"), &values(now, value), &values(saved, value), better)
    };
    let rates = if now.plan.rate.is_some() { None } else { of("received per second", rate, Better::Higher) };
    let p50 = of("round trip p50", |slice| slice.p50, Better::Lower);
    let p99 = of("round trip p99", |slice| slice.p99, Better::Lower);
    [rates, p50, p99].into_iter().flatten().collect()
}

fn differences(now: &Report, saved: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let mut unlike = |what: &str, now: String, saved: String| {
        if now != saved {
            found.push(format!("{what}: {now} now, {saved} then"));
        }
    };
    unlike("transport", now.header.transport.clone(), saved.header.transport.clone());
    unlike("spinning, in µs", now.header.spin_us.to_string(), saved.header.spin_us.to_string());
    for (what, now, saved) in
        [("here", &now.header.here, &saved.header.here), ("there", &now.header.there, &saved.header.there)]
    {
        unlike(&format!("CPU {what}"), now.cpu.clone(), saved.cpu.clone());
        unlike(&format!("cores {what}"), now.cores.to_string(), saved.cores.to_string());
        unlike(&format!("kernel {what}"), now.kernel.clone(), saved.kernel.clone());
        unlike(&format!("build {what}"), now.build.clone(), saved.build.clone());
    }
    if let (Some(now), Some(saved)) = (&now.run, &saved.run) {
        let rate = |case: &Case| case.plan.rate.map_or("none".to_owned(), |rate| rate.to_string());
        unlike("kind", now.plan.kind.name().to_owned(), saved.plan.kind.name().to_owned());
        unlike("size", now.plan.size.to_string(), saved.plan.size.to_string());
        unlike("rate", rate(now), rate(saved));
        unlike("in flight", now.plan.in_flight.to_string(), saved.plan.in_flight.to_string());
        unlike("subscribers", now.plan.subscribers.to_string(), saved.plan.subscribers.to_string());
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// Returns the ratio of two means; none if either run has no usable slices.
fn ratio(what: String, now: &[f64], saved: &[f64], better: Better) -> Option<Ratio> {
    let usable = |values: &[f64]| values.len() > 1 && mean(values.iter().copied()) > 0.0;
    if !usable(now) || !usable(saved) {
        return None;
    }
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    let mut draw = |values: &[f64]| mean(values.iter().map(|_| values[random.below(values.len())]));
    let mut ratios: Vec<f64> =
        (0..RESAMPLES).map(|_| draw(now) / draw(saved)).filter(|ratio| ratio.is_finite()).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios.get(((ratios.len() as f64 - 1.0) * share).round() as usize).copied();
    let (low, high) = (at(0.025)?, at(0.975)?);
    let ratio = mean(now.iter().copied()) / mean(saved.iter().copied());
    let verdict = match (low > 1.0, high < 1.0, better) {
        (true, _, Better::Higher) | (_, true, Better::Lower) => "better",
        (true, _, Better::Lower) | (_, true, Better::Higher) => "worse",
        _ => "no difference shown",
    };
    Some(Ratio { what, ratio, low, high, verdict: verdict.to_owned() })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// A xorshift generator: deterministic, so that the same two runs always compare alike.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(now: &[f64], saved: &[f64], better: Better) -> Ratio {
        ratio("it".to_owned(), now, saved, better).expect("there is something to compare")
    }

    #[test]
    fn the_same_shows_no_difference() {
        let values = [98.0, 102.0, 100.0, 97.0, 103.0];
        let same = compared(&values, &values, Better::Higher);
        assert!((same.ratio - 1.0).abs() < 1e-9 && same.low < 1.0 && same.high > 1.0, "{same:?}");
        assert_eq!(same.verdict, "no difference shown");
    }

    #[test]
    fn a_clear_difference_is_told_with_its_direction() {
        let (low, high) = ([98.0, 102.0, 100.0, 97.0], [198.0, 205.0, 200.0, 190.0]);
        assert_eq!(compared(&high, &low, Better::Higher).verdict, "better");
        assert_eq!(compared(&high, &low, Better::Lower).verdict, "worse");
        assert_eq!(compared(&low, &high, Better::Lower).verdict, "better");
    }

    #[test]
    fn nothing_compares_with_nothing() {
        assert_eq!(ratio(String::new(), &[], &[1.0, 2.0], Better::Lower), None);
        assert_eq!(ratio(String::new(), &[1.0, 2.0], &[0.0, 0.0], Better::Lower), None);
    }
}
