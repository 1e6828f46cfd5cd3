//! `mz advertise --exec`: programs that take too long, leave something behind, or run when it ends.

#![cfg(target_os = "linux")]

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use meshzero_testing::{Process, eventually};

use crate::support::{Room, SOON, json};

/// A number of seconds to sleep that no other process sleeps, so that it is found by it.
struct Mark(String);

impl Mark {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(format!("7{}.{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The processes that sleep so long.
    fn sleeping(&self) -> Vec<u32> {
        let processes = fs::read_dir("/proc").expect("it is there").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let sleeps = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| words == format!("sleep\0{}\0", self.0).into_bytes())
        };
        pids.filter(sleeps).collect()
    }

    #[track_caller]
    fn eventually(&self, count: usize) {
        eventually(SOON, "so many run", || (self.sleeping().len() == count).then_some(()));
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        for pid in self.sleeping() {
            // It may have ended.
            let _ = std::process::Command::new("kill").args(["-s", "KILL", &pid.to_string()]).output();
        }
    }
}

#[test]
fn what_takes_too_long_is_ended_with_all_that_it_started() {
    let room = Room::new();
    for script in [
        "sleep {}; echo done",
        "sleep {} & sleep {} & wait",
        "trap \"\" TERM; (sleep {} & sleep {}); sleep {}",
        // What leaves the group of its program: as `timeout` does, and a daemon that leaves its parent as well.
        "timeout 1h sleep {}; true",
        "setsid sleep {} & setsid sleep {}; true",
        "(setsid sh -c \"trap : TERM; sleep {} & sleep {}\" >/dev/null 2>&1 </dev/null &); sleep {}",
    ] {
        let mark = Mark::new();
        let exec = format!("sh -c '{}'", script.replace("{}", &mark.0));
        let (_service, address) =
            room.advertise(&["slow", "--exec", &exec, "--limit", "200ms", "--jobs", "1"]);
        for _ in 0..2 {
            room.run(&["send", &address, "x"]).failed(4, &["took longer than 200ms"]);
            // The error says that it has ended.
            assert_eq!(mark.sleeping(), [0_u32; 0], "{script}");
        }
    }
}

#[test]
fn a_program_that_is_not_there_is_said_at_the_start() {
    let room = Room::new();
    for (program, is_there) in [
        ("nosuchprog", false),
        ("./nosuchprog", false),
        ("/etc/passwd", false),
        ("sh", true),
        ("/bin/sh", true),
    ] {
        let (mut service, address) = room.advertise(&["np", "--exec", program]);
        if is_there {
            service.interrupt();
            assert!(service.wait(SOON).success());
            assert_eq!(service.stderr(), "", "{program}");
        } else {
            service.expect_error_line(&format!("--exec: there is no program {program} yet"), SOON);
            room.run(&["send", &address, "x"]).failed(4, &["cannot run", program]);
        }
    }
    let mut service = room.start(&["advertise", "np", "--exec", "nosuchprog", "--json"]);
    let said = json(&service.expect_error_line("nosuchprog", SOON));
    assert_eq!(said["missing_program"], "nosuchprog");
}

#[test]
fn no_more_programs_run_than_there_are_jobs() {
    let room = Room::new();
    let mark = Mark::new();
    let exec = format!("sh -c 'trap \"\" TERM; sleep {}'", mark.0);
    let (_service, address) =
        room.advertise(&["stubborn", "--exec", &exec, "--limit", "100ms", "--jobs", "2"]);
    let mut calls: Vec<Process> =
        (0..6).map(|_| room.start(&["send", &address, "x", "--wait", "1m"])).collect();
    let mut most = 0;
    eventually(SOON, "all are answered", || {
        most = most.max(mark.sleeping().len());
        calls.iter_mut().all(|call| !call.is_running()).then_some(())
    });
    assert!(calls.iter_mut().all(|call| call.wait(SOON).code() == Some(4)));
    assert!((1..=2).contains(&most), "{most} at once");
    assert_eq!(mark.sleeping().len(), 0);
}

#[test]
fn a_program_that_has_ended_is_answered_whatever_it_left_in_the_background() {
    let room = Room::new();
    let mark = Mark::new();
    let exec = format!("sh -c 'sleep {} & head -c 300000 /dev/zero | tr \"\\0\" x; echo; echo done'", mark.0);
    let (_service, address) = room.advertise(&["starter", "--exec", &exec, "--limit", "1h", "--text"]);
    let begun = Instant::now();
    let reply = room.run(&["send", &address, "x", "--wait", "25s"]).succeeded();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!((reply.len(), reply.ends_with("x\ndone\n")), (300_000 + 6, true));
    // It was left there on purpose.
    assert_eq!(mark.sleeping().len(), 1);
}

#[test]
fn what_is_left_in_the_background_takes_no_reply_and_is_not_ended() {
    let room = Room::new();
    let mark = Mark::new();
    // It holds the output open, and prints without an end once the program itself has ended.
    let exec = format!(
        "sh -c 'sleep {} & (while kill -0 $$ 2>/dev/null; do :; done; exec yes) & echo done'",
        mark.0
    );
    let (_service, address) = room.advertise(&["flooder", "--exec", &exec, "--limit", "10s", "--text"]);
    let reply = room.run(&["send", &address, "x", "--wait", "25s"]).succeeded();
    assert!(reply.contains("done\n") && reply.len() < 1 << 20, "{} bytes", reply.len());
    assert_eq!(mark.sleeping().len(), 1);
}

#[test]
fn the_end_of_the_command_is_the_end_of_its_programs() {
    let room = Room::new();
    for signals in [&["INT"][..], &["TERM"], &["HUP"], &["INT", "INT"]] {
        let mark = Mark::new();
        let exec = format!("sh -c 'sleep {} & sleep {}'", mark.0, mark.0);
        let mut mz = room.mz(&["advertise", "worker", "--exec", &exec, "--limit", "1h"]);
        let drain = if signals.len() == 1 { "drain_ms=200" } else { "drain_ms=3600000" };
        let mut service = Process::start(mz.env("MESHZERO_LIMITS", drain));
        service.expect_line(" is at ", SOON);
        let mut caller = room.start(&["send", "worker", "x", "--wait", "1m"]);
        mark.eventually(2);
        for (place, signal) in signals.iter().enumerate() {
            let send = |service: &Process| {
                let pid = service.pid().to_string();
                std::process::Command::new("kill").args(["-s", signal, &pid]).status()
            };
            if place == 0 {
                assert!(send(&service).is_ok_and(|status| status.success()));
                continue;
            }
            // One that comes soon after the first is taken for its repetition.
            eventually(SOON, "it has ended", || {
                let _ = send(&service);
                (!service.is_running()).then_some(())
            });
        }
        let code = service.wait(SOON).code();
        assert_eq!(code, Some(if signals.len() == 1 { 3 } else { 130 }), "{signals:?}");
        // A killed process is gone a moment later.
        mark.eventually(0);
        assert_eq!(caller.wait(SOON).code(), Some(3));
    }
}

#[test]
fn what_a_program_prints_is_json_or_text() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["either", "--exec", "echo {}"]);
    let (_service, text) = room.advertise(&["text", "--exec", "echo {}", "--text"]);
    // What is no JSON is text, and so is a number that would lose digits.
    for (message, as_json) in [
        ("[1]", json("[1]")),
        ("21.5", json("21.5")),
        ("[INFO] started", "[INFO] started".into()),
        ("123456789012345678901234567890", "123456789012345678901234567890".into()),
    ] {
        let reply = room.run(&["send", &address, message, "--text", "--json"]).object();
        assert_eq!(reply["reply"], as_json);
        let reply = room.run(&["send", &text, message, "--text", "--json"]).object();
        assert_eq!(reply["reply"], message);
    }
}

/// The number of messages that a service has taken and not finished, once so many have come altogether.
fn unfinished(room: &Room, address: &str, came: u64) -> u64 {
    eventually(SOON, "they have come", || {
        let stats = room.run(&["stats", address, "--json"]).object();
        let service = &stats["services"][0];
        (service["messages"] == came).then(|| service["unfinished"].as_u64().expect("a number"))
    })
}

#[test]
fn a_message_whose_caller_has_given_up_while_it_waited_is_not_run() {
    let room = Room::new();
    let folder = std::env::temp_dir().join(&room.mesh);
    fs::create_dir(&folder).expect("a folder");
    let (log, gate) = (folder.join("log"), folder.join("gate"));
    let exec = format!(
        "sh -c 'echo \"$1\" >> {}; while [ ! -e {} ]; do sleep 0.02; done; echo done' sh {{}}",
        log.display(),
        gate.display()
    );
    let (_service, address) = room.advertise(&["queue", "--exec", &exec, "--jobs", "1", "--limit", "1h"]);
    let mut first = room.start(&["send", &address, "first", "--wait", "1m"]);
    assert_eq!(unfinished(&room, &address, 1), 1);
    // One gives up, and the time of the other is over.
    let mut second = room.start(&["send", &address, "second", "--wait", "1m"]);
    assert_eq!(unfinished(&room, &address, 2), 2);
    second.interrupt();
    assert_eq!(second.wait(SOON).code(), Some(130));
    // Either side may notice first that its time is over.
    let third = room.run(&["send", &address, "third", "--wait", "200ms"]);
    assert!(matches!(third.code, Some(1 | 3)), "{third:?}");
    let mut fourth = room.start(&["send", &address, "fourth", "--wait", "1m"]);
    eventually(SOON, "their places are free again", || (unfinished(&room, &address, 4) == 2).then_some(()));
    fs::write(&gate, "").expect("a file");
    for served in [&mut first, &mut fourth] {
        assert_eq!(served.succeed(SOON).trim(), "done");
    }
    assert_eq!(fs::read_to_string(&log).expect("it is there"), "first\nfourth\n");
    fs::remove_dir_all(&folder).expect("it is there");
}

#[test]
fn a_program_whose_caller_has_given_up_is_ended() {
    let room = Room::new();
    let mark = Mark::new();
    let exec =
        format!("sh -c 'if [ {{}} = quick ]; then echo done; else sleep {} & sleep {}; fi'", mark.0, mark.0);
    let (mut service, address) = room.advertise(&["busy", "--exec", &exec, "--jobs", "1", "--limit", "1h"]);
    for wait in ["1m", "1s"] {
        let mut caller = room.start(&["send", &address, "slow", "--wait", wait]);
        mark.eventually(2);
        if wait == "1m" {
            caller.interrupt();
            assert_eq!(caller.wait(SOON).code(), Some(130));
        } else {
            assert_eq!(caller.wait(SOON).code(), Some(3));
        }
        mark.eventually(0);
        service.expect_line("the caller gave up, and the program was ended", SOON);
        assert_eq!(room.run(&["send", &address, "quick", "--wait", "25s"]).succeeded().trim(), "done");
    }
    let help = room.run(&["advertise", "--help"]).succeeded();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in
        ["not run if their callers give up meanwhile", "If the caller gives up", "the program is ended"]
    {
        assert!(help.contains(said), "{help}");
    }
    // A killed program says nothing.
    let mut caller = room.start(&["send", &address, "slow", "--wait", "1h"]);
    mark.eventually(2);
    caller.kill();
    mark.eventually(0);
}
