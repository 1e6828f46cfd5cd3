//! The HTML page of a report: setup, charts, and a table for each.

use super::chart::{Axis, Chart, Series};
use super::escape::{Escaped, table};
use crate::bench::gauge::percentiles::Percentiles;
use crate::bench::measure::baseline::Baseline;
use crate::bench::measure::measurement::{Measurement, Side};
use crate::bench::report::compare::CONFIDENCE_NOTE;
use crate::bench::report::comparison::Comparison;
use crate::bench::report::document::{Case, DiscoveryTimes, Report};
use crate::bench::report::numbers::{bytes, count, or_dash, ratio, short, time};
use crate::bench::report::text::{DEBUG_BUILD, planned};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#59636e;--grid:#d1d9e0;--paper:#fff;--bad:#b3261e;\
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#aa4499;--c4:#8a6d00;--c5:#56606a}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#9aa4ae;--grid:#343c45;--paper:#0f1318;--bad:#ff8a80;\
--c0:#56b4e9;--c1:#ff9e57;--c2:#35d0a0;--c3:#e29bd8;--c4:#f0e442;--c5:#aeb8c2}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;\
padding:0 1rem}h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem}\
.faint,.axis,caption{color:var(--faint)}.axis{margin:0;font-size:.85rem}.bad{color:var(--bad);font-weight:bold}\
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}\
caption{text-align:left;font-size:.85rem}th,td{padding:.25rem .7rem;border-bottom:1px solid var(--grid);text-align:right;\
white-space:nowrap}th:first-child,td:first-child{text-align:left}figure{margin:1rem 0}figcaption{font-weight:bold}\
svg{width:100%;height:auto}svg text{fill:var(--faint);font-size:12px}.grid{stroke:var(--grid)}\
.line{fill:none;stroke-width:2}.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:0}\
.key{display:inline-block;width:.8rem;height:.8rem;margin-right:.4rem;border-radius:2px}\
.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}\
.line.c4{stroke:var(--c4)}.line.c5{stroke:var(--c5)}.dot.c0,.k0{fill:var(--c0);background:var(--c0)}\
.dot.c1,.k1{fill:var(--c1);background:var(--c1)}.dot.c2,.k2{fill:var(--c2);background:var(--c2)}\
.dot.c3,.k3{fill:var(--c3);background:var(--c3)}.dot.c4,.k4{fill:var(--c4);background:var(--c4)}\
.dot.c5,.k5{fill:var(--c5);background:var(--c5)}";

/// Renders the whole page.
pub(super) fn page(report: &Report) -> String {
    let title = format!("mz bench {} over {}", report.bench.name(), report.header.transport);
    let title = Escaped(&title);
    let about: String = report.about().iter().map(|line| format!("{}<br/>\n", Escaped(line))).collect();
    let warning = if report.is_release() {
        String::new()
    } else {
        format!("<p class=\"bad\">{}</p>\n", Escaped(DEBUG_BUILD))
    };
    let sections: String = [
        report.run.as_ref().map(single),
        report.find_max.as_ref().map(|found| found_max(&found.bound, report)),
        (!report.sizes.is_empty()).then(|| sizes(&report.sizes)),
        (!report.loads.is_empty()).then(|| loads(&report.loads)),
        report.discovery.as_ref().map(discovery),
        report.comparison.as_ref().map(comparison),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n\
         <style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p class=\"faint\">{about}</p>\n{warning}{sections}\
         </body></html>\n"
    )
}

fn single(case: &Case) -> String {
    let Case { measured, baselines, .. } = case;
    let mut section = String::new();
    if let Some(own) = &measured.round_trip {
        let mut all = vec![("meshzero".to_owned(), *own, None)];
        all.extend(baselines.iter().filter_map(|baseline| {
            Some((baseline.what.clone(), baseline.round_trip?, baseline.round_trip_ratio))
        }));
        section += "<h2>Round trip</h2>\n";
        section += &percentiles("Round trip by percentile", &all);
    }
    if baselines.iter().any(|baseline| baseline.per_second.is_some()) {
        let mut rows = vec![("meshzero".to_owned(), measured.received_per_second, None)];
        rows.extend(baselines.iter().filter_map(|baseline| {
            Some((baseline.what.clone(), baseline.per_second?, baseline.per_second_ratio))
        }));
        let names: Vec<String> = rows.iter().map(|(name, _, _)| name.clone()).collect();
        let points = rows.iter().enumerate().map(|(place, (_, rate, _))| (place as f64, *rate)).collect();
        let series = vec![Series { name: "received per second".to_owned(), points }];
        let across = Axis { title: "", show: count, names };
        let up = Axis { title: "messages per second, logarithmic", show: count, names: Vec::new() };
        section += "<h2>Throughput</h2>\n";
        section += &Chart { title: "Received per second, and the baseline", across, up, series }.draw();
        let cells =
            rows.iter().map(|(name, rate, stands)| vec![name.clone(), count(*rate), or_dash(*stands, ratio)]);
        section += &table(
            "Received per second",
            &["", "per second", "meshzero / baseline"],
            &cells.collect::<Vec<_>>(),
        );
    }
    section + &accounts(measured)
}

fn accounts(measured: &Measurement) -> String {
    let Measurement { sent, received, lost, repeated, reordered, damaged, failed, .. } = *measured;
    let mut rows = vec![
        vec!["offered per second".to_owned(), or_dash(measured.offered_per_second, count)],
        vec!["achieved per second".to_owned(), count(measured.achieved_per_second)],
        vec!["received per second".to_owned(), count(measured.received_per_second)],
        vec!["payload received".to_owned(), format!("{} MiB/s", short(measured.received_mib_per_second))],
        vec!["bottleneck".to_owned(), measured.bottleneck.clone()],
    ];
    let counted = [
        ("sent", sent),
        ("received", received),
        ("lost", lost),
        ("repeated", repeated),
        ("reordered", reordered),
        ("damaged", damaged),
        ("failed", failed),
    ];
    rows.extend(counted.map(|(what, number)| vec![what.to_owned(), count(number as f64)]));
    let side = |what: &str, side: &Side| {
        let wire = side.wire;
        vec![
            what.to_owned(),
            or_dash(side.cpu_seconds_per_million, short),
            or_dash(side.cpu, short),
            or_dash(side.busiest_thread, |busy| format!("{:.0} %", busy.ran * 100.0)),
            or_dash(side.peak_memory_bytes, bytes),
            format!("{} / {}", short(wire.bytes_written), short(wire.bytes_read)),
            format!("{} / {}", short(wire.writes), short(wire.reads)),
        ]
    };
    let mut sides = vec![side("sender", &measured.sender)];
    sides.extend(measured.receiver.as_ref().map(|receiver| side("receiver", receiver)));
    let headings = [
        "side",
        "CPU s per million",
        "cores",
        "busiest thread",
        "peak memory",
        "bytes out / in",
        "writes / reads",
    ];
    table("Rates and counts", &["", ""], &rows)
        + &table("Resources of each side, per message", &headings, &sides)
}

fn percentiles(title: &str, all: &[(String, Percentiles, Option<f64>)]) -> String {
    let names = all
        .first()
        .map(|(_, of, _)| of.steps().map(|(name, _)| name.to_owned()).to_vec())
        .unwrap_or_default();
    let series = all.iter().map(|(name, of, _)| Series {
        name: name.clone(),
        points: of.steps().iter().enumerate().map(|(place, (_, micros))| (place as f64, *micros)).collect(),
    });
    let across = Axis { title: "percentile", show: count, names };
    let up = Axis { title: "time, logarithmic", show: time, names: Vec::new() };
    let chart = Chart { title, across, up, series: series.collect() }.draw();
    let rows = all.iter().map(|(name, of, stands)| {
        let mut row = vec![name.clone(), count(of.count as f64)];
        row.extend(of.steps().map(|(_, micros)| time(micros)));
        row.push(or_dash(*stands, ratio));
        row
    });
    let headings = ["", "times", "p50", "p90", "p99", "p99.9", "max", "p50 / baseline"];
    chart + &table(title, &headings, &rows.collect::<Vec<_>>())
}

fn found_max(bound: &str, report: &Report) -> String {
    let trials = report.find_max.iter().flat_map(|found| &found.trials);
    let rows: Vec<Vec<String>> = trials
        .map(|trial| {
            let kept = if trial.kept { "yes" } else { "no" };
            vec![
                count(trial.rate),
                count(trial.achieved_per_second),
                or_dash(trial.value, time),
                kept.to_owned(),
            ]
        })
        .collect();
    let rate = report.find_max.as_ref().and_then(|found| found.rate);
    let said = format!(
        "The highest rate that keeps {bound}: {}",
        or_dash(rate, |rate| format!("{} a second", count(rate)))
    );
    format!("<h2>{}</h2>\n", Escaped(&said))
        + &table("Rates that were tried", &["per second", "achieved", "value", "kept"], &rows)
}

fn sizes(cases: &[Case]) -> String {
    let mebibytes = |case: &Case, rate: f64| rate * case.plan.size as f64 / f64::from(1 << 20);
    let of = |name: &str, rate: &dyn Fn(&Case) -> Option<f64>| {
        let places = cases.iter().enumerate();
        let points = places.filter_map(|(place, case)| Some((place as f64, mebibytes(case, rate(case)?))));
        Series { name: name.to_owned(), points: points.collect() }
    };
    let mut series = vec![of("meshzero", &|case| Some(case.measured.received_per_second))];
    let baselines = cases.first().map(|case| case.baselines.as_slice()).unwrap_or_default();
    // A baseline that passes pointers is not drawn beside those that copy every byte, unless there is no other.
    let copies = |baseline: &&Baseline| baseline.what.starts_with("bare TCP") || baselines.len() == 1;
    for baseline in baselines.iter().filter(copies) {
        let rate = |case: &Case| case.baselines.iter().find(|other| other.what == baseline.what)?.per_second;
        series.push(of(&baseline.what, &rate));
    }
    let names = cases.iter().map(|case| bytes(case.plan.size as u64)).collect();
    let across = Axis { title: "bytes of a message", show: count, names };
    let up = Axis { title: "MiB per second, logarithmic", show: short, names: Vec::new() };
    let chart = Chart { title: "Throughput by size, and the baseline", across, up, series }.draw();
    let rows = cases.iter().map(|case| {
        let baseline = case.baselines.first();
        vec![
            bytes(case.plan.size as u64),
            count(case.measured.received_per_second),
            short(case.measured.received_mib_per_second),
            count(case.measured.lost as f64),
            or_dash(baseline.and_then(|baseline| baseline.per_second), count),
            or_dash(baseline.and_then(|baseline| baseline.per_second_ratio), ratio),
        ]
    });
    let headings =
        ["size", "received per second", "MiB per second", "lost", "baseline a second", "meshzero / baseline"];
    format!("<h2>Throughput by size</h2>\n{chart}")
        + &table(&planned_all(cases), &headings, &rows.collect::<Vec<_>>())
}

fn loads(cases: &[Case]) -> String {
    let of = |name: &'static str| {
        let value = move |case: &Case| {
            let steps = case.measured.round_trip?.steps();
            steps.into_iter().find(|(step, _)| *step == name).map(|(_, micros)| micros)
        };
        let points = cases.iter().filter_map(|case| Some((case.measured.offered_per_second?, value(case)?)));
        Series { name: name.to_owned(), points: points.collect() }
    };
    let series = ["p50", "p90", "p99", "p99.9"].map(of).into_iter().collect();
    let across = Axis { title: "calls a second offered, logarithmic", show: count, names: Vec::new() };
    let up = Axis { title: "round trip from when it was due, logarithmic", show: time, names: Vec::new() };
    let chart = Chart { title: "Latency against load", across, up, series }.draw();
    let rows = cases.iter().map(|case| {
        let measured = &case.measured;
        let mut row = vec![or_dash(measured.offered_per_second, count), count(measured.achieved_per_second)];
        let steps = measured.round_trip.map(|of| of.steps().map(|(_, micros)| time(micros)));
        row.extend(steps.unwrap_or_else(|| ["-"; 5].map(str::to_owned)));
        row
    });
    let headings = ["offered per second", "achieved", "p50", "p90", "p99", "p99.9", "max"];
    let middle = cases.get(cases.len() / 2).and_then(|case| Some((case, case.measured.round_trip?)));
    let distribution = middle.map(|(case, own)| {
        let mut all = vec![("meshzero".to_owned(), own, None)];
        all.extend(case.baselines.iter().filter_map(|baseline| {
            Some((baseline.what.clone(), baseline.round_trip?, baseline.round_trip_ratio))
        }));
        let title = format!("Round trip by percentile, {} calls a second", or_dash(case.plan.rate, count));
        format!("<h2>Latency percentiles</h2>\n{}", percentiles(&title, &all))
    });
    let table = table(&planned_all(cases), &headings, &rows.collect::<Vec<_>>());
    format!("<h2>Latency against load</h2>\n{chart}{table}{}", distribution.unwrap_or_default())
}

fn planned_all(cases: &[Case]) -> String {
    cases.first().map(|case| format!("the first: {}", planned(&case.plan))).unwrap_or_default()
}

fn discovery(discovery: &DiscoveryTimes) -> String {
    let all = discovery.kinds().map(|(what, rounds)| (what.to_owned(), rounds.percentiles, None));
    format!("<h2>Discovery</h2>\n{}", percentiles("Time until a service is found, by percentile", &all))
}

fn comparison(comparison: &Comparison) -> String {
    let rows: Vec<Vec<String>> = comparison
        .ratios
        .iter()
        .map(|of| {
            let interval = format!("{:.3} to {:.3}", of.low, of.high);
            vec![of.what.clone(), format!("{:.3}", of.ratio), interval, of.verdict.clone()]
        })
        .collect();
    let differences: String = comparison
        .differences
        .iter()
        .map(|line| format!("<p class=\"bad\">differs: {}</p>\n", Escaped(line)))
        .collect();
    let title = format!("This run / the saved one, of commit {}", comparison.commit);
    format!("<h2>{}</h2>\n{differences}", Escaped(&title))
        + &table("Ratios", &["", "ratio", "95 % confidence", "verdict"], &rows)
        + &format!("<p class=\"faint\">{}</p>\n", Escaped(CONFIDENCE_NOTE))
}
