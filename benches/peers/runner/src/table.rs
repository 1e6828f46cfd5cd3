//! The figures as Markdown, ready for a README.

use std::fmt::Write;

use peers_common::{Load, Result};

use crate::builds::Profile;
use crate::case::Case;
use crate::contestant::Contestant;
use crate::report::{Medians, Report, megabytes};
use crate::run::Measured;

/// One table: its heading, and those of its first column and the others.
struct Table {
    heading: &'static str,
    what: &'static str,
    columns: &'static [Column],
}

struct Column {
    title: &'static str,
    case: &'static str,
    shows: fn(&Medians) -> Option<String>,
}

const fn column(title: &'static str, case: &'static str, shows: fn(&Medians) -> Option<String>) -> Column {
    Column { title, case, shows }
}

const TABLES: &[Table] = &[
    Table {
        heading: "Round trip, 64 B, one in flight",
        what: "µs",
        columns: &[
            column("p50, one core", "rtt-pinned", p50),
            column("p99, one core", "rtt-pinned", p99),
            column("p50, free cores", "rtt-free", p50),
            column("p99, free cores", "rtt-free", p99),
        ],
    },
    Table {
        heading: "Calls, 64 B, 64 in flight",
        what: "",
        columns: &[
            column("a second, one core", "calls64-pinned", rate),
            column("CPU s per million", "calls64-pinned", cpu),
            column("a second, free cores", "calls64-free", rate),
            column("CPU s per million", "calls64-free", cpu),
        ],
    },
    Table {
        heading: "One way, received",
        what: "",
        columns: &[
            column("8 B, a second", "oneway8", rate),
            column("64 B, a second", "oneway64", rate),
            column("CPU s per million (64 B)", "oneway64", cpu),
            column("1 KiB, a second", "oneway1k", rate),
            column("64 KiB, MiB/s", "oneway64k", |medians| mib(medians, 64.0 / 1024.0)),
            column("1 MiB, MiB/s", "oneway1m", |medians| mib(medians, 1.0)),
        ],
    },
    Table {
        heading: "One publisher to 8 subscribers, 64 B",
        what: "",
        columns: &[
            column("deliveries a second", "fanout8", rate),
            column("CPU s per million", "fanout8", cpu),
        ],
    },
    Table {
        heading: "Resident memory, server / client, MB",
        what: "",
        columns: &[
            column("idle", "rtt-free", idle),
            column("calls64", "calls64-free", peak),
            column("idle (one way)", "oneway64", idle),
            column("64 B", "oneway64", peak),
            column("64 KiB", "oneway64k", peak),
            column("1 MiB", "oneway1m", peak),
            column("fan-out", "fanout8", peak),
        ],
    },
    Table {
        heading: "A call in the same process",
        what: "",
        columns: &[column("ns", "inproc", |medians| Some(format!("{:.0}", 1e9 / medians.per_second)))],
    },
    Table {
        heading: "Growth: CPU seconds per million messages of 64 B, one way",
        what: "",
        columns: &[
            column("1 service", "services1", cpu),
            column("10", "services10", cpu),
            column("100", "services100", cpu),
            column("1,000", "services1000", cpu),
            column("1 link", "links1", cpu),
            column("10", "links10", cpu),
            column("100", "links100", cpu),
        ],
    },
];

/// All tables for which there are figures.
pub(crate) fn markdown(report: &Report, contestants: &[Contestant], profiles: &[Profile]) -> String {
    let mut text = header(report);
    for &profile in profiles {
        text += &format!("\n### {}\n", profile.title());
        for table in TABLES {
            table.write(report, contestants, profile, &mut text);
        }
    }
    if !report.left_out.is_empty() {
        text += "\nLeft out:\n";
        for what in &report.left_out {
            text += &format!("- {what}\n");
        }
    }
    text
}

fn header(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{} with {} cores, Linux {}, commit {}, load before {}; medians of {} rounds of {} s, two processes on 127.0.0.1\n",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.commit,
        machine.load,
        report.rounds,
        report.times.measure_ms as f64 / 1_000.0,
    )
}

impl Table {
    /// Appends the table, unless it has no figures.
    fn write(&self, report: &Report, contestants: &[Contestant], profile: Profile, text: &mut String) {
        let cells = |contestant: &Contestant| -> Vec<Option<String>> {
            let cell =
                |column: &Column| (column.shows)(&report.medians(contestant.id, column.case, profile)?);
            self.columns.iter().map(cell).collect()
        };
        let mut rows = String::new();
        for contestant in contestants {
            let cells = cells(contestant);
            if cells.iter().any(Option::is_some) {
                let cells: Vec<String> =
                    cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
                rows += &format!("| {} | {} |\n", contestant.title, cells.join(" | "));
            }
        }
        if rows.is_empty() {
            return;
        }
        let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
        *text += &format!(
            "\n**{}**\n\n| {} | {} |\n|---|{}\n{rows}",
            self.heading,
            self.what,
            titles.join(" | "),
            "---:|".repeat(titles.len())
        );
    }
}

/// The lost, repeated and reordered messages, if there are any.
fn faults(medians: &Medians) -> String {
    let mut text = String::new();
    for (count, what) in medians.faults.iter().zip(["lost", "repeated", "reordered"]) {
        if *count > 0 {
            // Writing into a string cannot fail.
            let _ = write!(text, " ({} {what})", grouped(*count as f64));
        }
    }
    text
}

fn p50(medians: &Medians) -> Option<String> {
    medians.p50_us.map(|micros| format!("{micros:.1}"))
}

fn p99(medians: &Medians) -> Option<String> {
    medians.p99_us.map(|micros| format!("{micros:.1}"))
}

fn rate(medians: &Medians) -> Option<String> {
    Some(grouped(medians.per_second) + &faults(medians))
}

fn cpu(medians: &Medians) -> Option<String> {
    Some(format!("{:.3}", medians.cpu_per_million))
}

fn mib(medians: &Medians, message: f64) -> Option<String> {
    Some(grouped(medians.per_second * message) + &faults(medians))
}

fn idle(medians: &Medians) -> Option<String> {
    Some(pair(medians.server_idle_kib, medians.client_idle_kib))
}

fn peak(medians: &Medians) -> Option<String> {
    Some(pair(medians.server_peak_kib, medians.client_peak_kib))
}

fn pair(server: u64, client: u64) -> String {
    format!("{:.1} / {:.1}", megabytes(server), megabytes(client))
}

/// A summary of one run, printed while the others go on.
pub(crate) fn in_short(case: &Case, measured: &Result<Measured>) -> String {
    let measured = match measured {
        Ok(measured) => measured,
        Err(error) => return format!("failed: {error}"),
    };
    let outcome = &measured.outcome;
    let mut text = match (case.load, outcome.p50_us) {
        (Load::RoundTrip, Some(p50)) => format!("{p50:.1} µs"),
        _ => format!("{} a second", grouped(measured.per_second())),
    };
    let cpu = measured.cpu_per_million();
    // Writing into a string cannot fail.
    let _ = write!(text, ", {cpu:.3} CPU s per million");
    for (count, what) in
        [(outcome.lost, "lost"), (outcome.repeated, "repeated"), (outcome.reordered, "reordered")]
    {
        if count > 0 {
            let _ = write!(text, ", {} {what}", grouped(count as f64));
        }
    }
    text
}

/// A number with commas: `1,234,567`.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let places = digits.len();
    let comma = |place: usize| if place > 0 && (places - place).is_multiple_of(3) { "," } else { "" };
    digits.chars().enumerate().map(|(place, digit)| format!("{}{digit}", comma(place))).collect()
}
