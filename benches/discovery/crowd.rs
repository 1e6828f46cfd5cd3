//! A classroom that starts at once: every process offers some services and wants to know all.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::report::Row;
use crate::rig::{Event, Rig};
use crate::{Other, PATIENCE, own_mesh, say, wait_for_end};

const PROCESSES: usize = 60;
const SERVICES: usize = 5;

/// From the start of the last process until the last process knows all services.
pub(crate) fn all_know_all() -> Vec<Row> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mesh = own_mesh();
        let mut members: Vec<Other> = (0..PROCESSES).map(|_| Other::start("crowd", &mesh)).collect();
        let started = members.iter_mut().map(|member| member.expect("started")).max().expect("some");
        let knows = members.iter_mut().map(|member| member.expect("knows")).max().expect("some");
        times.push(knows.saturating_sub(started));
        // All leave before any is waited for.
        for member in &mut members {
            member.input.take();
        }
        for member in members {
            member.end();
        }
    }
    vec![Row::of("60 processes know all 300 services", times).most_below(Duration::from_millis(1_500))]
}

/// One of the processes.
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
