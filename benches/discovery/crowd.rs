//! A classroom that starts at once: every process offers several services and discovers all others.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use meshzero_testing::{Lan, Metered, require};

use crate::report::Row;
use crate::rig::{Event, Rig};
use crate::{Other, PATIENCE, own_mesh, say, this_program, wait_for_end};

const PROCESSES: usize = 60;
const SERVICES: usize = 5;

/// The time from the start of the last process until the last process has found all services.
pub(crate) fn all_know_all() -> Vec<Row> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mesh = own_mesh();
        let mut members: Vec<Other> = (0..PROCESSES).map(|_| Other::start("crowd", &mesh)).collect();
        let started = members.iter_mut().map(|member| member.expect("started")).max().expect("some");
        let knows = members.iter_mut().map(|member| member.expect("knows")).max().expect("some");
        times.push(knows.saturating_sub(started));
        // All are told to leave before any is waited for.
        for member in &mut members {
            member.input.take();
        }
        for member in members {
            member.end();
        }
    }
    vec![Row::of("60 processes know all 300 services", times).most_below(Duration::from_millis(1_500))]
}

/// The hosts that the processes run on: more would overflow the neighbour table that all namespaces of a Linux kernel share.
const HOSTS: usize = 20;

/// The same on hosts with cables to one switch. Needs namespaces.
pub(crate) fn on_hosts() -> Vec<Row> {
    if !require::netns() {
        println!("20 hosts: not measured, networks of namespaces cannot be made here");
        return Vec::new();
    }
    let mesh = own_mesh();
    let lan = Lan::new(u8::try_from(HOSTS).expect("a few"));
    let meter = || (0..HOSTS).map(|host| Metered::read(&lan, host)).collect::<Vec<_>>();
    let sum = |metered: &[Metered]| {
        let of = |count: fn(&Metered) -> u64| metered.iter().map(count).sum::<u64>();
        format!(
            "{} questions, {} responses, {} kB",
            of(|one| one.questions),
            of(|one| one.responses),
            of(|one| one.bytes) / 1_000
        )
    };
    // The first reading starts the count.
    meter();
    let begun = Instant::now();
    let mut members: Vec<Other> = (0..PROCESSES)
        .map(|process| {
            let mut command = lan.host(process % HOSTS).command(this_program());
            Other::start_by(command.env("DISCOVERY_BENCH_INTERFACES", "eth0"), "crowd", &mesh)
        })
        .collect();
    let started = members.iter_mut().map(|member| member.expect("started")).max().expect("some");
    let knows = members.iter_mut().map(|member| member.expect("knows")).max().expect("some");
    let until_known = sum(&meter());
    // Includes repeated announcements, and repeated questions of watchers.
    std::thread::sleep(Duration::from_secs(20).saturating_sub(begun.elapsed()));
    let early = meter();
    std::thread::sleep(Duration::from_secs(60));
    let quiet: Vec<Metered> = meter()
        .iter()
        .zip(&early)
        .map(|(now, before)| Metered {
            questions: now.questions - before.questions,
            responses: now.responses - before.responses,
            bytes: now.bytes - before.bytes,
        })
        .collect();
    for member in &mut members {
        member.input.take();
    }
    for member in members {
        member.end();
    }
    let row = Row::of("60 processes on 20 hosts know all 300", vec![knows.saturating_sub(started)]);
    let row = row.most_below(Duration::from_millis(1_500));
    vec![
        row.noting(format!("on their cables until then: {until_known}"))
            .noting(format!("in the first 20 s: {}", sum(&early)))
            .noting(format!("in the minute after: {}", sum(&quiet))),
    ]
}

/// The main function of one of the processes.
pub(crate) fn member() {
    say("started");
    let begun = std::time::Instant::now();
    let rig = Rig::join(&std::env::var("DISCOVERY_BENCH_MESH").expect("set by the parent"));
    let me = std::process::id();
    let _services: Vec<_> = (0..SERVICES).map(|n| rig.advertise(&format!("crowd/{me}/{n}"))).collect();
    let mut watcher = rig.watch();
    let mut known = BTreeSet::new();
    while known.len() < PROCESSES * SERVICES {
        match watcher.next(|_| true) {
            Event::Up(name) => known.insert(name),
            Event::Down(name) => known.remove(&name),
        };
        assert!(begun.elapsed() < PATIENCE, "only {} services are known", known.len());
    }
    say("knows");
    wait_for_end();
    rig.leave();
}
