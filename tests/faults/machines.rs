//! Faults of machines and processes: stopped, killed, out of descriptors, with a clock that jumps.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use meshzero_testing::{Links, eventually};

use super::scene::{Here, Scene};
use crate::pair::PATIENCE;

#[test]
fn a_process_that_is_stopped_for_a_while_is_busy_and_not_dead() {
    for (stopped, more) in [(5, 50), (20, 50)] {
        let mut scene = Scene::begin(Here, Here, 20, 60_000);
        scene.servers[0].pause();
        thread::sleep(Duration::from_secs(stopped));
        scene.servers[0].resume();
        scene.replies(more, PATIENCE);
        let tally = scene.finish(Links::Lasted);
        assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{stopped} s: {tally:?}");
    }
}

#[test]
fn a_caller_that_is_stopped_for_a_while_continues_with_an_exact_count_of_missed_items() {
    let mut scene = Scene::begin(Here, Here, 2, 60_000);
    scene.callers[0].pause();
    thread::sleep(Duration::from_secs(20));
    scene.callers[0].resume();
    scene.replies(50, PATIENCE);
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}

#[test]
fn a_process_that_is_killed_is_noticed_at_once_and_the_next_one_is_used_as_soon_as_it_is_there() {
    let mut scene = Scene::begin(Here, Here, 2, 60_000);
    scene.servers[0].kill();
    let begun = Instant::now();
    scene.callers[0].expect_line("lost", PATIENCE);
    let noticed = begun.elapsed();
    assert!(noticed < Duration::from_secs(2), "it was noticed after {noticed:?}");
    scene.serve(Here, &["publish=2"]);
    scene.replies(100, PATIENCE);
    let tally = scene.finish(Links::Ended);
    assert_eq!(tally.not_sent, 0, "what was not sent waits for the next one: {tally:?}");
}

#[test]
fn a_process_that_is_killed_while_it_drains_ends_all_its_calls() {
    for wait in [0, 3, 20, 100] {
        let mut scene = Scene::begin(Here, Here, 2, 60_000);
        scene.servers[0].close_stdin();
        thread::sleep(Duration::from_millis(wait));
        scene.servers[0].kill();
        scene.serve(Here, &[]);
        scene.replies(100, PATIENCE);
        scene.finish(Links::Ended);
    }
}

#[test]
fn a_caller_that_is_killed_leaves_the_service_to_the_others() {
    let mut scene = Scene::begin(Here, Here, 2, 60_000);
    scene.call(Here, &["every=2", "listen=200"]);
    scene.callers[0].kill();
    scene.replies(100, PATIENCE);
    scene.callers.remove(0);
    // Messages of the dead program have no sender any more.
    let begun = Instant::now();
    scene.callers[0].close_stdin();
    scene.callers[0].expect_line("finished", PATIENCE);
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_service_without_descriptors_for_more_connections_serves_those_it_has_and_then_others_again() {
    let mut scene = Scene::new();
    let address = scene.serve(Limited { files: 64 }, &[]);
    scene.call_at(Here, &address, &["every=5"]);
    // Connections that send nothing, until the service has no descriptor left.
    let strangers: Vec<TcpStream> = (0..80).filter_map(|_| TcpStream::connect(&address).ok()).collect();
    assert!(strangers.len() > 60, "the system queues them");
    scene.replies(100, PATIENCE);
    drop(strangers);
    scene.call_at(Here, &address, &["every=5"]);
    scene.replies(100, PATIENCE);
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent), (0, 0), "{tally:?}");
}

/// This machine, with a limit of open files for a process.
struct Limited {
    files: u32,
}

impl super::scene::Place for Limited {
    fn command(&self, program: std::path::PathBuf) -> std::process::Command {
        let mut command = Here.command("prlimit".into());
        command.arg(format!("--nofile={}", self.files)).arg(program);
        command
    }
}

#[test]
fn a_wall_clock_that_jumps_by_a_day_changes_nothing() {
    if !meshzero_testing::require::faketime() {
        return;
    }
    let clock = meshzero_testing::WallClock::new();
    let mut scene = Scene::begin(&clock, &clock, 10, 20_000);
    for offset in ["+86400", "-86400", "+0"] {
        clock.set(offset);
        scene.replies(200, PATIENCE);
        // New callers are found as well.
        scene.call(&clock, &["every=10", "allowed=20000"]);
    }
    eventually(PATIENCE, "all call", || (scene.tally().replies > 800).then_some(()));
    let tally = scene.finish(Links::Lasted);
    assert_eq!((tally.unknown, tally.not_sent, tally.lost), (0, 0, 0), "{tally:?}");
}

impl super::scene::Place for &meshzero_testing::WallClock {
    fn command(&self, program: std::path::PathBuf) -> std::process::Command {
        let mut command = Here.command(program);
        meshzero_testing::WallClock::apply_to(self, &mut command);
        command
    }
}
