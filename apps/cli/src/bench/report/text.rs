//! A report as text for people.

use std::fmt;

use super::compare::CONFIDENCE_NOTE;
use super::comparison::Comparison;
use super::document::{Case, DiscoveryTimes, Report, RoundTimes};
use super::numbers::{bytes, count, or_dash, ratio, short, time};
use super::rate_search::RateSearch;
use crate::bench::gauge::machine::Machine;
use crate::bench::gauge::percentiles::Percentiles;
use crate::bench::measure::measurement::{Measurement, Side};
use crate::bench::measure::plan::{MessageKind, Plan};
use crate::output::{BAD, FAINT, STRONG, Table, line};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = format!("{} over {}", self.bench.name(), self.header.transport);
        write!(f, "{STRONG}{}{STRONG:#}", line(&heading))?;
        for sentence in self.about() {
            write!(f, "\n{FAINT}{}{FAINT:#}", line(&sentence))?;
        }
        if !self.is_release() {
            write!(f, "\n{BAD}{DEBUG_BUILD}{BAD:#}")?;
        }
        if let Some(case) = &self.run {
            write!(f, "\n\n{}", OneCase(case))?;
        }
        if let Some(found) = &self.find_max {
            write!(f, "\n\n{found}")?;
        }
        if !self.sizes.is_empty() {
            write!(f, "\n\n{}", sizes(&self.sizes))?;
        }
        if !self.loads.is_empty() {
            write!(f, "\n\n{}", loads(&self.loads))?;
        }
        if let Some(discovery) = &self.discovery {
            write!(f, "\n\n{}", discovery.table())?;
        }
        if let Some(comparison) = &self.comparison {
            write!(f, "\n\n{comparison}")?;
        }
        Ok(())
    }
}

/// The warning about results of a debug build.
pub(crate) const DEBUG_BUILD: &str =
    "DEBUG BUILD: these results mean nothing. Build with `cargo build --release` and measure again.";

impl Report {
    /// Returns the lines about the setup.
    pub(crate) fn about(&self) -> Vec<String> {
        let machine = |machine: &Machine| {
            let cores = if machine.cores == 1 { "core" } else { "cores" };
            format!("{}, {} {cores}, {}", machine.cpu, machine.cores, machine.kernel)
        };
        let program = |machine: &Machine| {
            format!("mz {}, commit {}, {} build", machine.version, machine.commit, machine.build)
        };
        let (here, there) = (&self.header.here, &self.header.there);
        let mut about = vec![machine(here), program(here)];
        if here != there {
            about.push(format!("the serving side: {}; {}", machine(there), program(there)));
        }
        if self.header.spin_us > 0 {
            about.push(format!("connections spin for {} µs before they sleep", self.header.spin_us));
        }
        about.extend(self.run.as_ref().map(|case| planned(&case.plan)));
        about
    }
}

/// Describes the plan of a measurement.
pub(crate) fn planned(plan: &Plan) -> String {
    let Plan { kind, size, rate, in_flight, subscribers, timed_every, duration, warm_up } = plan;
    let size = bytes(*size as u64);
    let how = match (kind, rate) {
        (MessageKind::Calls, None) => {
            let timed =
                if *timed_every > 1 { format!(" and one in {timed_every} timed") } else { String::new() };
            format!("{in_flight} in flight, each followed by the next at once{timed}")
        }
        (MessageKind::Calls, Some(rate)) => {
            format!("{} per second on a schedule, {in_flight} in flight at most", count(*rate))
        }
        (_, Some(rate)) => format!("{} per second on a schedule", count(*rate)),
        (_, None) => "as fast as possible".to_owned(),
    };
    let to =
        if *kind == MessageKind::News { format!(" to {subscribers} subscribers") } else { String::new() };
    format!("{} of {size}{to}, {how}, for {duration:?} after {warm_up:?}", kind.name())
}

struct OneCase<'a>(&'a Case);

impl fmt::Display for OneCase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { plan, measured, baselines } = self.0;
        write!(f, "{}", rates(measured))?;
        write!(f, "\n\n{}", accounted(measured))?;
        if !measured.is_whole() {
            write!(f, "\n{BAD}not everything arrived as it was sent{BAD:#}")?;
        }
        if let Some(own) = &measured.round_trip {
            let mut table = Table::new(["ROUND TRIP", "P50", "P90", "P99", "P99.9", "MAX", "P50 / BASELINE"]);
            let mut row = |what: &str, of: &Percentiles, stands: Option<f64>| {
                let [p50, p90, p99, p999, max] = of.steps().map(|(_, micros)| time(micros));
                table.row([what, &p50, &p90, &p99, &p999, &max, &or_dash(stands, ratio)]);
            };
            let what =
                if plan.kind == MessageKind::Calls { "meshzero" } else { "meshzero, calls beside the load" };
            row(what, own, None);
            for baseline in baselines {
                if let Some(percentiles) = &baseline.round_trip {
                    row(&baseline.what, percentiles, baseline.round_trip_ratio);
                }
            }
            if let Some(late) = &measured.late {
                let of = if plan.kind == MessageKind::Calls { "of that" } else { "packets" };
                row(&format!("{of}: late against the schedule"), late, None);
            }
            write!(f, "\n\n{table}")?;
        }
        if baselines.iter().any(|baseline| baseline.per_second.is_some()) {
            let mut table = Table::new(["PER SECOND", "RECEIVED", "RECEIVED / BASELINE"]);
            table.row(["meshzero", &count(measured.received_per_second), "-"]);
            for baseline in baselines {
                if let Some(rate) = baseline.per_second {
                    table.row([&baseline.what, &count(rate), &or_dash(baseline.per_second_ratio, ratio)]);
                }
            }
            write!(f, "\n\n{table}")?;
        }
        write!(f, "\n\n{}", sides(measured))?;
        write!(f, "\nbottleneck: {}", line(&measured.bottleneck))
    }
}

fn rates(measured: &Measurement) -> Table<4> {
    let mut table = Table::new(["OFFERED", "ACHIEVED", "RECEIVED", "PAYLOAD"]);
    table.row([
        &or_dash(measured.offered_per_second, |rate| format!("{}/s", count(rate))),
        &format!("{}/s", count(measured.achieved_per_second)),
        &format!("{}/s", count(measured.received_per_second)),
        &format!("{} MiB/s", short(measured.received_mib_per_second)),
    ]);
    table
}

fn accounted(measured: &Measurement) -> Table<7> {
    let mut table = Table::new(["SENT", "RECEIVED", "LOST", "REPEATED", "REORDERED", "DAMAGED", "FAILED"]);
    let Measurement { sent, received, lost, repeated, reordered, damaged, failed, .. } = *measured;
    let cells =
        [sent, received, lost, repeated, reordered, damaged, failed].map(|number| count(number as f64));
    table.row(cells.each_ref().map(String::as_str));
    table
}

/// Returns the resources that both sides spent.
pub(crate) fn sides(measured: &Measurement) -> Table<8> {
    let mut table = Table::new([
        "SIDE",
        "CPU S/MILLION",
        "CORES",
        "BUSIEST THREAD",
        "PEAK MEMORY",
        "BYTES OUT/IN",
        "WRITES",
        "READS",
    ]);
    let mut row = |what: &str, side: &Side| {
        let wire = side.wire;
        table.row([
            what,
            &or_dash(side.cpu_seconds_per_million, short),
            &or_dash(side.cpu, short),
            &or_dash(side.busiest_thread, |busy| format!("{:.0} %", busy.ran * 100.0)),
            &or_dash(side.peak_memory_bytes, bytes),
            &format!("{}/{}", short(wire.bytes_written), short(wire.bytes_read)),
            &short(wire.writes),
            &short(wire.reads),
        ]);
    };
    match &measured.receiver {
        Some(receiver) => {
            row("sender", &measured.sender);
            row("receiver", receiver);
        }
        None => row("both, one process", &measured.sender),
    }
    table
}

fn sizes(cases: &[Case]) -> Table<7> {
    let mut table = Table::new([
        "SIZE",
        "RECEIVED/S",
        "MIB/S",
        "LOST",
        "BARE TCP/S",
        "RECEIVED / BASELINE",
        "CPU S/MILLION",
    ]);
    for Case { plan, measured, baselines } in cases {
        let baseline = baselines.first();
        let receiver = measured.receiver.unwrap_or_default().cpu_seconds_per_million.unwrap_or(0.0);
        table.row([
            &bytes(plan.size as u64),
            &count(measured.received_per_second),
            &short(measured.received_mib_per_second),
            &count(measured.lost as f64),
            &or_dash(baseline.and_then(|baseline| baseline.per_second), count),
            &or_dash(baseline.and_then(|baseline| baseline.per_second_ratio), ratio),
            &or_dash(measured.sender.cpu_seconds_per_million, |sender| short(sender + receiver)),
        ]);
    }
    table
}

fn loads(cases: &[Case]) -> Table<7> {
    let mut table = Table::new(["OFFERED/S", "ACHIEVED/S", "P50", "P90", "P99", "P99.9", "MAX"]);
    for Case { measured, .. } in cases {
        let steps =
            measured.round_trip.map(|percentiles| percentiles.steps().map(|(_, micros)| time(micros)));
        let [p50, p90, p99, p999, max] = steps.unwrap_or_else(|| ["-"; 5].map(str::to_owned));
        table.row([
            &or_dash(measured.offered_per_second, count),
            &count(measured.achieved_per_second),
            &p50,
            &p90,
            &p99,
            &p999,
            &max,
        ]);
    }
    table
}

impl DiscoveryTimes {
    /// Returns each kind of discovery with its name.
    pub(crate) fn kinds(&self) -> [(&'static str, &RoundTimes); 3] {
        [
            ("a new service is seen by a watcher", &self.seen),
            ("a new node discovers a service", &self.cold),
            ("a new node joins and discovers", &self.joined),
        ]
    }

    fn table(&self) -> Table<7> {
        let mut table = Table::new(["TIME UNTIL", "ROUNDS", "P50", "P90", "P99", "P99.9", "MAX"]);
        for (what, rounds) in self.kinds() {
            let [p50, p90, p99, p999, max] = rounds.percentiles.steps().map(|(_, micros)| time(micros));
            table.row([what, &rounds.rounds_ms.len().to_string(), &p50, &p90, &p99, &p999, &max]);
        }
        table
    }
}

impl fmt::Display for RateSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["TRIED/S", "ACHIEVED/S", "VALUE", "KEPT"]);
        for trial in &self.trials {
            let kept = if trial.kept { "yes" } else { "no" };
            table.row([
                &count(trial.rate),
                &count(trial.achieved_per_second),
                &or_dash(trial.value, time),
                kept,
            ]);
        }
        let bound = line(&self.bound);
        match self.rate {
            Some(rate) => write!(f, "{STRONG}{} per second keep {bound}{STRONG:#}\n{table}", count(rate)),
            None => write!(f, "{BAD}none of the tested rates keeps {bound}{BAD:#}\n{table}"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["COMPARED", "RATIO", "95 % CONFIDENCE", "VERDICT"]);
        for compared in &self.ratios {
            let interval = format!("{:.3} to {:.3}", compared.low, compared.high);
            table.row([&compared.what, &format!("{:.3}", compared.ratio), &interval, &compared.verdict]);
        }
        write!(f, "this run / saved run, of commit {}", line(&self.commit))?;
        for difference in &self.differences {
            write!(f, "\n{BAD}differs:{BAD:#} {}", line(difference))?;
        }
        write!(f, "\n{table}\n{FAINT}{CONFIDENCE_NOTE}{FAINT:#}")
    }
}
