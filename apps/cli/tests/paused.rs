//! Output that nobody reads: services answer all the same, and what is left out is counted.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use meshzero::{CallError, Mesh, Refusal, Value, block_on};

use crate::support::{Ran, Room, SOON, bare, json};

/// A service whose output is a pipe, of which the first line is read and nothing else.
struct Paused {
    process: Child,
    address: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Paused {
    #[track_caller]
    fn start(room: &Room, arguments: &[&str]) -> Self {
        let mut command = room.mz(arguments);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mz starts");
        let mut out = BufReader::new(process.stdout.take().expect("it is a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("the first line is there");
        let address = json(&line)["address"].as_str().expect("an address").to_owned();
        Self { process, address, out }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Calls a service again and again; each reply must come, or word that there is none.
#[track_caller]
fn call(room: &Room, address: &str, messages: usize, message: &str) {
    let replies = block_on(async {
        let mesh = Mesh::join().mesh(&room.mesh).interfaces("lo").await.expect("it joins");
        let service = mesh.discover(address).await.expect("it is there");
        let mut replies = 0;
        while replies < messages {
            match service.send(Value::from(message)).timeout(SOON).await {
                Ok(_) | Err(CallError::Refused { reason: Refusal::Failed { .. }, .. }) => replies += 1,
                Err(error) => panic!("{replies} replies, and then {error}"),
            }
        }
        mesh.close().await;
        replies
    });
    assert_eq!(replies, messages);
}

#[test]
fn a_service_whose_output_nobody_reads_answers_all_the_same() {
    let room = Room::new();
    let mut service = Paused::start(&room, &["advertise", "echo", "--echo", "--json"]);
    let message = "x".repeat(2_000);
    call(&room, &service.address, 3_000, &message);

    // When the output goes on, it says how much is missing, and everything is accounted for.
    let (mut shown, mut left_out) = (0, 0);
    let mut line = String::new();
    while shown + left_out < 3_000 {
        line.clear();
        assert!(service.out.read_line(&mut line).expect("it can be read") > 0, "{shown} and {left_out}");
        let record = json(&line);
        match record["event"].as_str() {
            Some("message") => shown += 1,
            _ => left_out += record["lines"].as_u64().expect("a count"),
        }
    }
    assert_eq!(shown + left_out, 3_000);
    assert!(shown > 500 && left_out > 500, "{shown} shown, {left_out} left out");
    room.run(&["send", &service.address, "again"]).succeeded();
    line.clear();
    service.out.read_line(&mut line).expect("it can be read");
    assert_eq!(json(&line)["message"], "again");
}

#[test]
fn errors_that_nobody_reads_hold_up_no_reply() {
    let room = Room::new();
    let missing = format!("/no/such/{}", "x".repeat(60_000));
    let mut service = Paused::start(&room, &["advertise", "missing", "--exec", &missing, "--json"]);
    call(&room, &service.address, 200, "1");
    let interrupted =
        std::process::Command::new("kill").args(["-s", "INT", &service.process.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    let status = meshzero_testing::eventually(Duration::from_secs(10), "it has ended", || {
        service.process.try_wait().expect("it can be waited for")
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn records_that_nobody_has_read_at_the_end_are_counted() {
    let room = Room::new();
    for (more, said) in [(&["--json"][..], "\"event\":\"unread\""), (&[][..], "lines were not printed")] {
        let mut command = room.mz(&[&["advertise", "echo", "--echo"][..], more].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mz starts");
        let mut out = BufReader::new(process.stdout.take().expect("it is a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("the first line is there");
        let address = match more {
            [] => {
                line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next()).expect("it").to_owned()
            }
            _ => json(&line)["address"].as_str().expect("an address").to_owned(),
        };
        call(&room, &address, 100, &"x".repeat(10_000));
        let pid = process.id().to_string();
        let told = std::process::Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(told.is_ok_and(|status| status.success()));
        let ended = process.wait_with_output().expect("it ends");
        let errors = String::from_utf8(ended.stderr).expect("text");
        assert_eq!(ended.status.code(), Some(0), "{errors}");
        assert!(errors.contains(said), "{errors}");
        let counted: String = errors.chars().filter(char::is_ascii_digit).collect();
        // A pipe has room for a few.
        assert!((50..=100).contains(&counted.parse::<u64>().expect("a count")), "{errors}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_failure_that_cannot_be_written_holds_up_no_end() {
    use std::io::Write;

    let room = Room::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let failed = room.mz(&["discover", "nobody", "--wait", "0ms", "--json"]).stdout(full()).output();
    assert_eq!(failed.expect("it runs").status.code(), Some(1));

    let run = |stderr: Stdio| {
        let mut command = room.mz(&["completions", "bash", "--json"]);
        command.stdout(full()).stderr(stderr).spawn().expect("mz starts")
    };
    let said = run(Stdio::piped()).wait_with_output().expect("it ends");
    assert_eq!(said.status.code(), Some(5), "{said:?}");
    let said = json(String::from_utf8(said.stderr).expect("text").trim());
    assert!(said["error"].as_str().is_some_and(|error| error.contains("standard output")), "{said}");

    // Standard error is a pipe that is full, and nobody reads it.
    let (reader, mut writer) = std::io::pipe().expect("there is room for a pipe");
    writer.write_all(&[b'x'; 65_536]).expect("a pipe of Linux has room for that");
    let mut process = run(writer.into());
    let status = meshzero_testing::eventually(SOON, "it has ended", || {
        process.try_wait().expect("it can be waited for")
    });
    assert_eq!(status.code(), Some(5));
    drop(reader);
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_a_failure() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    for arguments in [&["--help"][..], &["-h"], &["--version"], &["send", "--help"], &["help", "send"]] {
        let ran = Ran::from(bare(arguments).stdout(full()).output().expect("mz runs"));
        ran.failed(5, &["mz: cannot write to standard output", "No space left"]);
        // A reader that closes the pipe has read enough.
        let (reader, writer) = std::io::pipe().expect("there is room for a pipe");
        drop(reader);
        let ran = Ran::from(bare(arguments).stdout(writer).output().expect("mz runs"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    }
}
