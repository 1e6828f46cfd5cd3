//! All results, and their medians.

use std::fs;
use std::path::Path;

use peers_common::Result;
use serde::Serialize;

use crate::builds::Profile;
use crate::case::Case;
use crate::contestant::Contestant;
use crate::machine::Machine;
use crate::run::{Measured, Times};

/// All results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) times: Times,
    pub(crate) rounds: usize,
    pub(crate) runs: Vec<Run>,
    /// Contestants that do not build, and cases that were not completed, with the reason.
    pub(crate) left_out: Vec<String>,
}

/// One run of one case.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    contestant: &'static str,
    case: &'static str,
    profile: Profile,
    #[serde(flatten)]
    measured: Measured,
}

/// The medians of all runs of one case by one contestant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Medians {
    pub(crate) per_second: f64,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// Processor seconds of both sides together for a million messages.
    pub(crate) cpu_per_million: f64,
    pub(crate) server_idle_kib: u64,
    pub(crate) client_idle_kib: u64,
    pub(crate) server_peak_kib: u64,
    pub(crate) client_peak_kib: u64,
    /// Lost, repeated and reordered, in all runs together.
    pub(crate) faults: [u64; 3],
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.outcome.messages as f64 / self.outcome.seconds
    }

    pub(crate) fn cpu_per_million(&self) -> f64 {
        (self.server.cpu_seconds + self.client.cpu_seconds) * 1e6 / self.outcome.messages.max(1) as f64
    }
}

impl Report {
    pub(crate) fn new(times: Times, rounds: usize) -> Self {
        Self { machine: Machine::this(), times, rounds, runs: Vec::new(), left_out: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        contestant: &Contestant,
        case: &Case,
        profile: Profile,
        measured: Result<Measured>,
    ) {
        match measured {
            Ok(measured) => {
                self.runs.push(Run { contestant: contestant.id, case: case.name, profile, measured });
            }
            Err(error) => self.leave_out(&format!("{} in {}", contestant.id, case.name), &error.to_string()),
        }
    }

    pub(crate) fn leave_out(&mut self, what: &str, reason: &str) {
        self.left_out.push(format!("{what}: {reason}"));
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.left_out.is_empty()
    }

    pub(crate) fn medians(&self, contestant: &str, case: &str, profile: Profile) -> Option<Medians> {
        let is_of = |run: &&Run| run.contestant == contestant && run.case == case && run.profile == profile;
        let runs = || self.runs.iter().filter(is_of);
        runs().next()?;
        let middle = |of: &dyn Fn(&Measured) -> f64| median(runs().map(|run| of(&run.measured)).collect());
        let kib = |of: &dyn Fn(&Measured) -> u64| middle(&|run| of(run) as f64) as u64;
        let micros = |of: &dyn Fn(&Measured) -> Option<f64>| {
            runs().next().and_then(|run| of(&run.measured))?;
            Some(middle(&|run| of(run).unwrap_or(f64::NAN)))
        };
        let sum = |of: &dyn Fn(&Measured) -> u64| runs().map(|run| of(&run.measured)).sum();
        Some(Medians {
            per_second: middle(&Measured::per_second),
            p50_us: micros(&|run| run.outcome.p50_us),
            p99_us: micros(&|run| run.outcome.p99_us),
            cpu_per_million: middle(&Measured::cpu_per_million),
            server_idle_kib: kib(&|run| run.server.idle_kib),
            client_idle_kib: kib(&|run| run.client.idle_kib),
            server_peak_kib: kib(&|run| run.server.peak_kib),
            client_peak_kib: kib(&|run| run.client.peak_kib),
            faults: [
                sum(&|run| run.outcome.lost),
                sum(&|run| run.outcome.repeated),
                sum(&|run| run.outcome.reordered),
            ],
        })
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result {
        let text = serde_json::to_string_pretty(self)?;
        Ok(fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?)
    }
}

/// Kibibytes, as the system reports them, in megabytes.
pub(crate) fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }
}
