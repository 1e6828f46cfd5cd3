//! The report of a run: one line per step with its duration, and at the end the skipped parts with their reasons.

use std::time::{Duration, Instant};

use crate::process::Outcome;

/// The report of one run.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<(String, Duration)>,
    skipped: Vec<Skip>,
}

/// A skipped part, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The name of the skipped part.
    pub(crate) what: String,
    /// The reason, and what would change it.
    pub(crate) reason: String,
}

impl Report {
    /// Announces a step, runs it, and records its duration.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = work();
        let took = started.elapsed();
        let verdict = if outcome.is_ok() { "done" } else { "FAILED" };
        println!("<== {name}: {verdict} in {:.1} s", took.as_secs_f64());
        self.steps.push((name.to_owned(), took));
        outcome
    }

    /// Records a skipped part.
    pub(crate) fn skip(&mut self, skip: Skip) {
        println!("skipped: {}: {}", skip.what, skip.reason);
        self.skipped.push(skip);
    }

    /// The summary of the whole run, several lines long.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::from("\n");
        for (name, took) in &self.steps {
            text += &format!("{:>8.1} s  {name}\n", took.as_secs_f64());
        }
        if self.skipped.is_empty() {
            text += "nothing was skipped\n";
        }
        for Skip { what, reason } in &self.skipped {
            text += &format!("skipped: {what}: {reason}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Failure;

    #[test]
    fn the_summary_names_steps_and_what_was_skipped() {
        let mut report = Report::default();
        report.step("first", || Ok(())).expect("it does nothing");
        report.step("second", || Err::<(), _>(Failure("broken".into()))).expect_err("it fails");
        assert!(report.summary().contains("nothing was skipped"));
        report.skip(Skip { what: "avahi".into(), reason: "it is not installed".into() });
        let summary = report.summary();
        assert!(summary.contains("first") && summary.contains("second"), "{summary}");
        assert!(summary.contains("skipped: avahi: it is not installed"), "{summary}");
        assert!(!summary.contains("nothing was skipped"));
    }
}
