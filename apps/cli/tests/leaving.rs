//! How it ends: on signals with a goodbye, and quietly when nobody reads any more.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Room, SOON};

/// A second is promised, and ten are given to a busy machine; whatever waits for something waits longer.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn a_signal_ends_what_runs_until_then_well() {
    let room = Room::new();
    let mut watch = room.start(&["list", "--watch"]);
    let commands: [&[&str]; 4] = [
        &["advertise", "one", "--echo"],
        &["publish", "two", "topic", "data"],
        &["publish", "three", "topic", "data", "--rate", "100"],
        &["advertise", "four", "--exec", "sleep 1000", "--limit", "1h"],
    ];
    for command in commands {
        let mut process = room.start(command);
        process.expect_line(" is at ", SOON);
        watch.expect_line(command[1], SOON);
        process.interrupt();
        assert_eq!(process.wait(AT_ONCE).code(), Some(0), "{command:?}");
        // The goodbye was heard.
        let line = watch.expect_line(command[1], SOON);
        assert!(line.starts_with("down"), "{line}");
    }
    let (mut service, _) = room.advertise(&["five", "--echo"]);
    service.terminate();
    assert_eq!(service.wait(AT_ONCE).code(), Some(0));
    watch.interrupt();
    assert_eq!(watch.wait(AT_ONCE).code(), Some(0));
}

#[test]
fn a_signal_before_the_end_is_a_failure() {
    let room = Room::new();
    for command in ["discover", "listen", "describe"] {
        let mut process = room.start(&[command, "nobody", "--wait", "1h", "-v"]);
        process.expect_error_line("joined", SOON);
        process.interrupt();
        assert_eq!(process.wait(AT_ONCE).code(), Some(130));
    }

    // Standard input that never ends does not hold it up either.
    let mut publish = room.start(&["publish", "log", "line"]);
    publish.expect_line(" is at ", SOON);
    publish.terminate();
    assert_eq!(publish.wait(AT_ONCE).code(), Some(143));
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "flood", "topic", &"x".repeat(10_000), "--rate", "5000"]);
    publish.expect_line(" is at ", SOON);
    let mut listen = room
        .mz(&["listen", "flood"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("mz starts");
    let mut reader = BufReader::new(listen.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("the first item is there");
    // From here on nobody reads, and the pipe fills up.
    meshzero_testing::eventually(SOON, "both still answer", || {
        room.run(&["describe", "flood"]).stdout.starts_with("flood").then_some(())
    });
    let interrupted =
        std::process::Command::new("kill").args(["-s", "INT", &listen.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    let status = meshzero_testing::eventually(AT_ONCE, "it has ended", || {
        listen.try_wait().expect("it can be waited for")
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_reader_that_goes_ends_it_quietly() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "ticks", "tick", "1", "--rate", "200"]);
    publish.expect_line(" is at ", SOON);
    let mut listen = room
        .mz(&["listen", "ticks"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mz starts");
    let mut reader = BufReader::new(listen.stdout.take().expect("it is a pipe"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("the first item is there");
    drop(reader);
    let status = meshzero_testing::eventually(SOON, "it has ended", || {
        listen.try_wait().expect("it can be waited for")
    });
    assert_eq!(status.code(), Some(0));
    let errors = listen.stderr.take().map(BufReader::new).expect("it is a pipe").lines().count();
    assert_eq!(errors, 0);
}
