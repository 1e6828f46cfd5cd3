//! `mz bench`, each kind of run in short: what it tells is complete and adds up. How fast anything is proves nothing here.

use meshzero_testing::eventually;
use serde_json::Value;

use crate::bench_page::{Folder, is_page};
use crate::support::{Room, SOON};
#[cfg(target_os = "linux")]
use crate::support::{children, exists};

/// As short as a measurement can be, so that the suite stays quick.
const SHORT: [&str; 4] = ["--duration", "100ms", "--warm-up", "20ms"];

/// Runs a benchmark and returns its JSON.
#[track_caller]
fn bench(room: &Room, arguments: &[&str]) -> Value {
    let mut all = vec!["bench"];
    all.extend(arguments);
    if arguments[0] != "discovery" && !arguments.contains(&"--duration") {
        all.extend(SHORT);
    }
    all.push("--json");
    room.run(&all).object()
}

#[track_caller]
fn number(of: &Value, field: &str) -> f64 {
    of[field].as_f64().unwrap_or_else(|| panic!("{field} is no number in {of}"))
}

/// Everything sent has arrived, once and as it was.
#[track_caller]
fn is_whole(measured: &Value, receivers: f64) {
    for field in ["lost", "repeated", "reordered", "damaged", "failed"] {
        assert_eq!(number(measured, field), 0.0, "{field} of {measured}");
    }
    let sent = number(measured, "sent");
    assert!(sent > 0.0, "{measured}");
    assert_eq!(number(measured, "expected"), sent * receivers, "{measured}");
    assert_eq!(number(measured, "received"), sent * receivers, "{measured}");
    for field in ["seconds", "achieved_per_second", "received_per_second", "received_mib_per_second"] {
        assert!(number(measured, field) > 0.0, "{field} of {measured}");
    }
    assert!(!measured["bottleneck"].as_str().expect("a sentence").is_empty());
    assert!(measured["slices"].as_array().is_some_and(|slices| slices.len() >= 5), "{measured}");
}

/// Times are in order.
#[track_caller]
fn is_ordered(percentiles: &Value) {
    let steps = ["p50", "p90", "p99", "p999", "max"].map(|step| number(percentiles, step));
    assert!(steps.is_sorted() && steps[0] > 0.0 && number(percentiles, "count") > 0.0, "{percentiles}");
}

/// Each floor is a figure, and all that were asked for are there.
#[track_caller]
fn has_floors(case: &Value, wanted: &[&str]) {
    let floors = case["floors"].as_array().expect("floors");
    for (floor, wanted) in floors.iter().zip(wanted) {
        assert!(floor["what"].as_str().is_some_and(|what| what.starts_with(wanted)), "no {wanted}: {floor}");
        if let Some(rate) = floor["per_second"].as_f64() {
            assert!(rate > 0.0, "{floor}");
        } else {
            is_ordered(&floor["round_trip"]);
            assert!(number(floor, "round_trip_ratio") > 0.0, "{floor}");
        }
    }
    assert_eq!(floors.len(), wanted.len(), "{floors:?}");
}

/// Checks that the resources of each side are reported, where the platform does.
#[track_caller]
fn has_sides(measured: &Value, sides: &[&str]) {
    for side in sides {
        let side = &measured[side];
        assert!(side.is_object(), "{measured}");
        if cfg!(target_os = "linux") {
            assert!(
                number(&side["wire"], "bytes_read") + number(&side["wire"], "bytes_written") > 0.0,
                "{side}"
            );
            assert!(number(side, "cpu_seconds_per_million") >= 0.0, "{side}");
            assert!(number(side, "peak_memory_bytes") > 1e6, "{side}");
            assert!(number(&side["busiest_thread"], "ran") >= 0.0, "{side}");
        }
    }
}

#[test]
fn latency_is_told_with_its_floors() {
    let told = bench(&Room::new(), &["latency", "--size", "1KiB"]);
    assert_eq!(told["bench"], "latency");
    let case = &told["run"];
    is_whole(&case["measured"], 1.0);
    is_ordered(&case["measured"]["round_trip"]);
    has_sides(&case["measured"], &["sender", "receiver"]);
    has_floors(case, &["bare TCP, tokio", "bare TCP, blocking", "actix send"]);
    assert_eq!(case["plan"]["size"], 1_024);
    let machine = &told["header"]["here"];
    for field in ["cpu", "kernel", "version", "commit", "build"] {
        assert!(machine[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {machine}");
    }
    assert!(number(machine, "cores") >= 1.0, "{machine}");
    assert_eq!(told["header"]["transport"], "loopback");

    // The longest, and the shortest.
    for size in ["16MiB", "8"] {
        let told = bench(&Room::new(), &["latency", "--size", size]);
        is_whole(&told["run"]["measured"], 1.0);
        assert_eq!(told["run"]["plan"]["timed_every"], 1, "every round trip is timed");
        has_floors(&told["run"], &["bare TCP, tokio", "bare TCP, blocking", "actix send"]);
    }
}

#[test]
fn a_schedule_is_accounted_for() {
    let told = bench(&Room::new(), &["latency", "--rate", "200", "--transport", "inproc"]);
    let measured = &told["run"]["measured"];
    is_whole(measured, 1.0);
    is_ordered(&measured["round_trip"]);
    assert_eq!(number(measured, "offered_per_second"), 200.0);
    assert!(number(&measured["late"], "count") > 0.0, "{measured}");
    assert!(measured["receiver"].is_null(), "one process is told of once: {measured}");
    has_floors(&told["run"], &["actix send"]);

    // Far more than there can be: what was due and did not set out is late, and nothing is lost by that.
    let told = bench(&Room::new(), &["latency", "--rate", "20M", "--in-flight", "100"]);
    let measured = &told["run"]["measured"];
    is_whole(measured, 1.0);
    assert!(number(measured, "achieved_per_second") < 20e6, "{measured}");
    assert!(number(&measured["round_trip"], "count") > number(measured, "sent"), "{measured}");
}

#[test]
fn throughput_loses_nothing_whatever_is_sent() {
    let room = Room::new();
    let told = bench(&room, &["throughput"]);
    is_whole(&told["run"]["measured"], 1.0);
    has_sides(&told["run"]["measured"], &["sender", "receiver"]);
    has_floors(
        &told["run"],
        &["bare TCP, tokio", "bare TCP, tokio, one thread", "bare TCP, blocking", "actix do_send"],
    );

    let told = bench(&room, &["throughput", "--calls", "--in-flight", "8", "--size", "8"]);
    is_whole(&told["run"]["measured"], 1.0);
    has_floors(
        &told["run"],
        &[
            "bare TCP, tokio, 8 in flight",
            "bare TCP, tokio, one thread, 8 in flight",
            "actix send, in process, 8 in flight",
        ],
    );
    assert_eq!(told["run"]["plan"]["timed_every"], 16);
    let timed = number(&told["run"]["measured"]["round_trip"], "count");
    assert!(timed < number(&told["run"]["measured"], "sent") / 8.0, "one call in 16 is timed: {told}");

    let told = bench(&room, &["throughput", "--news", "--size", "20000"]);
    is_whole(&told["run"]["measured"], 1.0);
    has_floors(
        &told["run"],
        &["bare TCP, tokio, to 1", "bare TCP, tokio, one thread, to 1", "actix do_send"],
    );

    let told = bench(&room, &["throughput", "--transport", "inproc"]);
    is_whole(&told["run"]["measured"], 1.0);
    has_floors(&told["run"], &["actix do_send"]);

    let told = bench(&room, &["throughput", "--spin", "50us"]);
    is_whole(&told["run"]["measured"], 1.0);
    assert_eq!(told["header"]["spin_us"], 50);

    let told = bench(&room, &["throughput", "--rate", "1k"]);
    is_whole(&told["run"]["measured"], 1.0);
    assert!(told["run"]["floors"][0]["per_second_ratio"].is_null(), "a schedule made the rate: {told}");
}

#[test]
fn every_subscriber_gets_everything() {
    // A publisher that waits goes on once half of its log has been read, which takes a debug build a tenth of a second.
    let told = bench(&Room::new(), &["fanout", "--subscribers", "5", "--duration", "1s"]);
    is_whole(&told["run"]["measured"], 5.0);
    has_floors(
        &told["run"],
        &["bare TCP, tokio, to 5", "bare TCP, tokio, one thread, to 5", "actix do_send"],
    );
    let told =
        bench(&Room::new(), &["fanout", "--subscribers", "2", "--transport", "inproc", "--rate", "500"]);
    is_whole(&told["run"]["measured"], 2.0);
}

#[test]
fn a_sweep_covers_sizes_and_loads() {
    let room = Room::new();
    let folder = Folder::new(&room);
    let page = folder.file("page.html");
    let told = bench(&room, &["sweep", "--html", &page]);
    let page = std::fs::read_to_string(page).expect("the page is written");
    is_page(&page, &["Throughput by size", "Latency against load", "Latency percentiles", "1 MiB"]);
    let sizes = told["sizes"].as_array().expect("sizes");
    assert_eq!(
        (sizes[0]["plan"]["size"].as_u64(), sizes[8]["plan"]["size"].as_u64()),
        (Some(8), Some(1 << 20))
    );
    let loads = told["loads"].as_array().expect("loads");
    assert_eq!((sizes.len(), loads.len()), (9, 9));
    for case in sizes.iter().chain(loads) {
        is_whole(&case["measured"], 1.0);
        is_ordered(&case["measured"]["round_trip"]);
    }
    let rates: Vec<_> = loads.iter().map(|case| number(&case["plan"], "rate")).collect();
    assert!(rates.is_sorted(), "{rates:?}");
}

#[test]
fn discovery_is_timed_round_by_round() {
    let told = bench(&Room::new(), &["discovery", "--rounds", "3"]);
    for kind in ["seen", "cold", "joined"] {
        let rounds = &told["discovery"][kind];
        is_ordered(&rounds["percentiles"]);
        assert_eq!(rounds["rounds_ms"].as_array().map(Vec::len), Some(3), "{rounds}");
    }
}

#[test]
fn the_search_for_the_highest_rate_ends() {
    let told = bench(&Room::new(), &["latency", "--find-max", "p99<100ms"]);
    let trials = told["find_max"]["trials"].as_array().expect("trials");
    assert!((1..=24).contains(&trials.len()), "{told}");
    let kept = |trial: &&Value| trial["kept"] == true;
    let highest = trials.iter().filter(kept).map(|trial| number(trial, "rate")).fold(0.0, f64::max);
    assert_eq!(told["find_max"]["rate"].as_f64().unwrap_or(0.0), highest, "{told}");
    assert!(told["run"]["measured"].is_object());

    let told = bench(&Room::new(), &["throughput", "--find-max", "max<1us"]);
    assert!(told["find_max"]["rate"].is_null(), "nothing is so quick: {told}");
}

#[test]
fn people_see_a_table_and_a_warning() {
    let shown =
        Room::new().run(&[&["bench", "latency", "--transport", "inproc"][..], &SHORT].concat()).succeeded();
    for part in ["latency over inproc", "RECEIVED", "P99.9", "actix send", "CPU S/MILLION", "bottleneck: "] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    assert_eq!(shown.contains("DEBUG BUILD"), cfg!(debug_assertions), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_server_outlives_clients_that_vanish() {
    let room = Room::new();
    let mut server = room.start(&["bench", "serve", "lab/bench"]);
    server.expect_line("lab/bench is at ", SOON);
    let client = ["bench", "fanout", "--transport", "lab/bench", "--duration", "1h"];
    let publishes = || room.run(&["list", "--json", "--wait", "1s"]).stdout.contains("bench-news");
    let mut vanishing = room.start(&client);
    eventually(SOON, "the client publishes", || publishes().then_some(()));
    vanishing.kill();
    eventually(SOON, "the client is gone", || (!publishes()).then_some(()));
    let told = bench(&room, &["fanout", "--subscribers", "2", "--transport", "lab/bench"]);
    is_whole(&told["run"]["measured"], 2.0);
    assert_eq!(told["header"]["transport"], "lab/bench");
    has_floors(
        &told["run"],
        &["bare TCP, tokio, to 2", "bare TCP, tokio, one thread, to 2", "actix do_send"],
    );
    is_ordered(
        &bench(&room, &["discovery", "--rounds", "2", "--transport", "lab/bench"])["discovery"]["cold"]["percentiles"],
    );
    server.interrupt();
    assert_eq!(server.wait(SOON).code(), Some(0));
}

#[test]
fn a_client_tells_that_its_server_vanished() {
    let room = Room::new();
    let mut server = room.start(&["bench", "serve"]);
    server.expect_line("bench is at ", SOON);
    let mut client = room.start(&[
        "bench",
        "throughput",
        "--news",
        "--transport",
        "bench",
        "--duration",
        "1h",
        "--warm-up",
        "0s",
    ]);
    let publishes = || room.run(&["list", "--json", "--wait", "1s"]).stdout.contains("bench-news");
    eventually(SOON, "the client publishes", || publishes().then_some(()));
    server.kill();
    let code = client.wait(SOON).code();
    assert!(matches!(code, Some(1 | 3)), "{code:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_second_process_never_outlives_the_first() {
    let room = Room::new();
    let start = || {
        let bench = room.start(&["bench", "latency", "--duration", "1h"]);
        let children =
            eventually(SOON, "the second process", || Some(children(&bench)).filter(|all| !all.is_empty()));
        (bench, children)
    };
    let (mut bench, children) = start();
    bench.interrupt();
    assert_eq!(bench.wait(SOON).code(), Some(130));
    eventually(SOON, "it has ended", || children.iter().all(|pid| !exists(*pid)).then_some(()));

    // Not even if the first has no time to see to it.
    let (mut bench, children) = start();
    bench.kill();
    eventually(SOON, "it has ended", || children.iter().all(|pid| !exists(*pid)).then_some(()));
}
