//! Signals: those that were ignored at the start stay ignored, and every other one says goodbye.

#![cfg(unix)]

use std::process::Command;

use meshzero_testing::Process;

use crate::support::{Room, SOON};

const SIGNALS: [(&str, i32); 4] = [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)];

#[track_caller]
fn signal(process: &Process, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &process.pid().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// `mz` with these arguments, started by a shell that ignores some signals, as `nohup` does.
#[track_caller]
fn ignoring(room: &Room, signals: &str, arguments: &[&str]) -> Process {
    let mz = room.mz(arguments);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("trap '' {signals}; exec \"$@\""), "sh"])
        .arg(mz.get_program())
        .args(mz.get_args());
    for (name, value) in mz.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Process::start(&mut shell)
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let room = Room::new();
    for (ignored, last) in [("HUP", "TERM"), ("INT", "HUP"), ("QUIT", "INT"), ("TERM", "QUIT")] {
        let mut service = ignoring(&room, ignored, &["advertise", "steady", "--echo"]);
        service.expect_line(" is at ", SOON);
        for _ in 0..3 {
            signal(&service, ignored);
            assert_eq!(room.run(&["send", "steady", "1"]).succeeded(), "1\n", "{ignored}");
        }
        signal(&service, last);
        assert_eq!(service.wait(SOON).code(), Some(0), "{last}");
    }
}

#[test]
fn every_signal_that_ends_a_program_says_goodbye() {
    let room = Room::new();
    let mut watch = room.start(&["list", "--watch"]);
    for (name, code) in SIGNALS {
        let (mut service, _) = room.advertise(&["brief", "--echo"]);
        watch.expect_line("up ", SOON);
        signal(&service, name);
        assert_eq!(service.wait(SOON).code(), Some(0), "{name}");
        let line = watch.expect_line("brief", SOON);
        assert!(line.starts_with("down"), "{line}");

        let mut discover = room.start(&["discover", "nobody", "--wait", "1h", "-v"]);
        discover.expect_error_line("joined", SOON);
        signal(&discover, name);
        assert_eq!(discover.wait(SOON).code(), Some(code), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_from_standard_input_that_never_ends_holds_up_no_signal() {
    /// The signals for which a process has handlers.
    fn caught(process: &Process) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("Linux tells it");
        u64::from_str_radix(mask.trim(), 16).expect("a number")
    }

    let room = Room::new();
    for (name, code) in SIGNALS {
        let mut send = room.start(&["send", "nobody", "-"]);
        let bit = 1_u64 << (code - 128 - 1);
        meshzero_testing::eventually(SOON, "it listens", || (caught(&send) & bit != 0).then_some(()));
        signal(&send, name);
        assert_eq!(send.wait(SOON).code(), Some(code), "{name}");
    }
}
