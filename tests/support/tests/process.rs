//! Programs under test: output with deadlines, signals, and failures that show the output.

#![cfg(unix)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use meshzero_testing::{Process, binary, eventually};

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Process {
    Process::start(Command::new("sh").args(["-c", script]))
}

fn panic_of(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it must panic");
    panic.downcast_ref::<String>().expect("it panics with a text").clone()
}

#[test]
fn lines_come_in_order_and_those_before_are_passed_over() {
    let mut process = shell("echo one; echo two; echo error >&2; echo three");
    assert_eq!(process.expect_line("tw", SOON), "two");
    assert_eq!(process.next_line(SOON), "three");
    assert_eq!(process.expect_error_line("err", SOON), "error");
    assert!(process.wait(SOON).success());
    assert_eq!(process.stdout(), "one\ntwo\nthree\n");
}

#[test]
fn a_missing_line_shows_the_output() {
    let mut process = shell("echo out; echo err >&2; exec sleep 600");
    process.expect_error_line("err", SOON);
    process.expect_line("out", SOON);
    let panic = panic_of(|| drop(process.expect_line("other", Duration::from_millis(50))));
    for part in ["other", "not within 50ms", "out\n", "err\n", "sleep 600"] {
        assert!(panic.contains(part), "{panic}");
    }
}

#[test]
fn waiting_for_a_line_of_a_program_that_has_ended_fails_at_once() {
    let started = Instant::now();
    let mut process = shell("echo only");
    let panic = panic_of(|| drop(process.expect_line("more", Duration::from_secs(600))));
    assert!(panic.contains("the stream has ended") && panic.contains("only"), "{panic}");
    assert!(started.elapsed() < Duration::from_secs(500));
}

#[test]
fn a_failed_exit_shows_the_output() {
    let panic = panic_of(|| drop(shell("echo reason >&2; exit 3").succeed(SOON)));
    assert!(panic.contains("exit status: 3") && panic.contains("reason"), "{panic}");
}

#[test]
fn signals_arrive() {
    let mut process = shell("trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.05; done");
    process.expect_line("ready", SOON);
    process.interrupt();
    process.expect_line("interrupted", SOON);
    assert_eq!(process.wait(SOON).code(), Some(7));

    let mut process = shell("echo ready; exec sleep 600");
    process.expect_line("ready", SOON);
    let stat = Path::new("/proc").join(process.pid().to_string()).join("stat");
    if cfg!(target_os = "linux") {
        let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
        process.pause();
        eventually(SOON, "it is stopped", || is_stopped().then_some(()));
        process.resume();
        eventually(SOON, "it continues", || (!is_stopped()).then_some(()));
    }
    process.terminate();
    assert_eq!(process.wait(SOON).code(), None, "a signal ended it");
}

#[test]
fn a_dropped_program_is_gone() {
    let process = Process::start(Command::new("sleep").arg("600"));
    let exists = Command::new("kill").args(["-0", &process.pid().to_string()]).status();
    assert!(exists.is_ok_and(|status| status.success()));
    let pid = process.pid().to_string();
    drop(process);
    let exists = Command::new("kill").args(["-0", &pid]).stderr(std::process::Stdio::null()).status();
    assert!(exists.is_ok_and(|status| !status.success()));
}

#[test]
fn a_program_that_prints_without_end_costs_no_memory_without_end() {
    let mut process = shell("yes line | head -n 100000; echo last");
    process.expect_line("last", SOON);
    assert!(process.wait(SOON).success());
    assert!(process.stdout().lines().count() <= 20_000);
}

#[test]
fn our_own_binaries_are_found_beside_the_tests() {
    assert!(binary("meshzero-probe").is_file());
    let panic = panic_of(|| drop(binary("never-built")));
    assert!(panic.contains("cargo build --workspace --all-targets"), "{panic}");
}
