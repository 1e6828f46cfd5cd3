//! The results of a soak, as a table for people and as a verdict.

use std::fmt::Write;
use std::time::Duration;

use meshzero_testing::{Broken, Tally};

use crate::crew::Ended;
use crate::measure::{Course, Samples};
use crate::trouble::Trouble;

/// The tolerated growth of memory in KiB: allocators keep freed memory.
const MEMORY: u64 = 8 << 10;

/// The tolerated growth of descriptors: connections come and go.
const DESCRIPTORS: u64 = 8;

/// All results.
pub struct Report<'a> {
    pub length: Duration,
    pub seed: u64,
    pub trouble: &'a Trouble,
    pub samples: &'a Samples,
    pub outcome: Ended,
}

impl Report<'_> {
    /// The report as Markdown.
    pub fn table(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes everything");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Ended { steady, volatile, latencies, .. } = &self.outcome;
        writeln!(out, "\n{:.1} minutes, seed {}\n", self.length.as_secs_f64() / 60.0, self.seed)?;
        writeln!(out, "| fault | times |\n|---|---|")?;
        for (what, count) in self.trouble.counts() {
            writeln!(out, "| {what} | {count} |")?;
        }
        writeln!(out, "\n| | links that must last | processes that die |\n|---|---|---|")?;
        let row = |name: &str, of: fn(&Tally) -> u64| {
            format!("| {name} | {} | {} |", of(&steady.0), of(&volatile.0))
        };
        for row in [
            row("messages begun", |tally| tally.begun),
            row("calls with a reply", |tally| tally.replies),
            row("tells sent", |tally| tally.sent),
            row("ended as *not sent*", |tally| tally.not_sent),
            row("ended as *unknown*", |tally| tally.unknown),
            row("messages executed", |tally| tally.executed),
            row("items of news received", |tally| tally.items),
            row("items reported as missed", |tally| tally.missed),
            row("publishers reported as lost", |tally| tally.lost),
        ] {
            writeln!(out, "{row}")?;
        }
        let broken = |kept: &Result<(), Broken>| kept.as_ref().map_or_else(Broken::count, |()| 0);
        writeln!(out, "| broken promises | {} | {} |", broken(&steady.1), broken(&volatile.1))?;
        writeln!(
            out,
            "\n| measure | second quarter | last quarter | largest | per minute |\n|---|---|---|---|---|"
        )?;
        for (name, memory, descriptors) in self.samples.courses() {
            for (what, course) in [("memory, KiB", memory), ("descriptors", descriptors)] {
                let Course { before, after, most, slope } = course;
                writeln!(out, "| {name}: {what} | {before} | {after} | {most} | {slope:+.1} |")?;
            }
        }
        let [(before, late_before), (after, late_after)] = latencies.quarters();
        writeln!(out, "| steady calls, median | {before:.1?} | {after:.1?} | | |")?;
        writeln!(out, "| steady calls, 99th percentile | {late_before:.1?} | {late_after:.1?} | | |")
    }

    /// The checks that failed.
    pub fn failed(&self) -> Vec<String> {
        let Ended { steady, volatile, latencies, stuck } = &self.outcome;
        let mut failed = Vec::new();
        for (tally, kept) in [steady, volatile] {
            failed.extend(kept.as_ref().err().map(Broken::to_string));
            if tally.replies == 0 || tally.items == 0 {
                failed.push(format!("hardly anything happened: {tally:?}"));
            }
        }
        let Tally { not_sent, unknown, lost, .. } = steady.0;
        if (not_sent, unknown, lost) != (0, 0, 0) {
            failed.push(format!("links that must last: {not_sent} not sent, {unknown} unknown, {lost} lost"));
        }
        failed.extend(stuck.iter().map(|name| format!("{name} did not end")));
        // Shorter soaks are still warming up.
        if self.length >= Duration::from_secs(120) {
            for (name, memory, descriptors) in self.samples.courses() {
                if memory.after > memory.before + memory.before / 4 + MEMORY {
                    failed
                        .push(format!("{name}: memory grew from {} to {} KiB", memory.before, memory.after));
                }
                if descriptors.after > descriptors.before + DESCRIPTORS {
                    let Course { before, after, .. } = descriptors;
                    failed.push(format!("{name}: descriptors grew from {before} to {after}"));
                }
            }
            let [(before, _), (after, _)] = latencies.quarters();
            if after > before * 2 + Duration::from_millis(1) {
                failed.push(format!("the median of calls grew from {before:?} to {after:?}"));
            }
        }
        failed
    }
}
