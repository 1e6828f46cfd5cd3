//! Shutdown: on signals gracefully, and quietly when the output has been closed.

#![cfg(unix)]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use meshzero_testing::Process;

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
fn a_signal_during_work_lets_the_work_be_finished() {
    let room = Room::new();
    for end in [Process::interrupt, Process::terminate] {
        let gate = Gate::new();
        let (mut service, address) = room.advertise(&["worker", "--exec", &gate.command()]);
        let mut caller = room.start(&["send", &address, "hello", "--wait", "1m"]);
        gate.begun();
        end(&service);
        // It no longer takes new work, and says so.
        room.refused_as_closing(&address);
        assert!(service.is_running() && caller.is_running());
        gate.open();
        assert_eq!(caller.succeed(SOON).trim(), "done");
        assert_eq!(service.wait(AT_ONCE).code(), Some(0));
        assert_eq!(service.stderr(), "");
    }
}

#[test]
fn what_is_not_finished_in_time_is_named_and_a_second_signal_ends_at_once() {
    let room = Room::new();
    for (more, said) in [
        (&[][..], "not finished in time: worker: 1 message (1 Value)"),
        (&["--json"], r#"{"abandoned":"worker","connections":0,"messages":{"Value":1},"others":0}"#),
    ] {
        let gate = Gate::new();
        let command = gate.command();
        let mut arguments = vec!["advertise", "worker", "--exec", &command, "--limit", "1h"];
        arguments.extend(more);
        let mut mz = room.mz(&arguments);
        let mut service = Process::start(mz.env("MESHZERO_LIMITS", "drain_ms=200"));
        service.expect_line("127.0.0.1:", SOON);
        let mut caller = room.start(&["send", "worker", "hello", "--wait", "1m"]);
        gate.begun();
        service.terminate();
        service.expect_error_line(said, AT_ONCE);
        // The exit code says so as well.
        assert_eq!(service.wait(AT_ONCE).code(), Some(3));
        // What nobody got is shown as no reply.
        let (shown, errors) = (service.stdout(), service.stderr());
        assert!(!shown.contains("hello") && !errors.contains("closing"), "{shown}{errors}");
        // It may have been handled.
        assert_eq!(caller.wait(AT_ONCE).code(), Some(3));
    }

    let gate = Gate::new();
    let mut mz = room.mz(&["advertise", "worker", "--exec", &gate.command(), "--limit", "1h"]);
    let mut service = Process::start(mz.env("MESHZERO_LIMITS", "drain_ms=3600000"));
    let line = service.expect_line(" is at ", SOON);
    let address = line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let mut caller = room.start(&["send", "worker", "hello", "--wait", "1m"]);
    gate.begun();
    service.terminate();
    room.refused_as_closing(address);
    insist(&mut service, Process::interrupt);
    assert_eq!(service.wait(AT_ONCE).code(), Some(130));
    assert_eq!(caller.wait(AT_ONCE).code(), Some(3));
}

/// Sends a signal again and again until the process has ended. One that comes soon after the first is taken for its repetition.
fn insist(process: &mut Process, signal: fn(&Process)) {
    meshzero_testing::eventually(AT_ONCE, "it has ended", || {
        signal(process);
        (!process.is_running()).then_some(())
    });
}

#[test]
fn a_signal_that_comes_twice_at_once_does_not_insist() {
    let room = Room::new();
    let gate = Gate::new();
    let (mut service, address) = room.advertise(&["worker", "--exec", &gate.command(), "--limit", "1h"]);
    let mut caller = room.start(&["send", &address, "hello", "--wait", "1m"]);
    gate.begun();
    // As from a terminal that is closed: from the shell, and from the kernel to all in the foreground.
    let hangup = || {
        let pid = service.pid().to_string();
        // A shell sends them one after the other, without the time that a program takes to start.
        let sent = std::process::Command::new("sh")
            .args(["-c", "kill -s HUP $1; kill -s HUP $1; kill -s TERM $1", "sh", &pid])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    hangup();
    room.refused_as_closing(&address);
    assert!(service.is_running());
    gate.open();
    assert_eq!(caller.succeed(SOON).trim(), "done");
    assert_eq!(service.wait(AT_ONCE).code(), Some(0));
}

#[test]
fn callers_that_give_up_while_it_ends_are_shown_and_not_waited_for() {
    let room = Room::new();
    let gate = Gate::new();
    let command = gate.command();
    let mut mz = room.mz(&["advertise", "worker", "--exec", &command, "--limit", "1h", "--jobs", "1"]);
    let mut service = Process::start(mz.env("MESHZERO_LIMITS", "drain_ms=3600000"));
    let line = service.expect_line(" is at ", SOON);
    let address = line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let mut running = room.start(&["send", address, "running", "--wait", "1m"]);
    gate.begun();
    let queued = |message: &str, wait: &str| {
        let before = room.unfinished(address);
        let caller = room.start(&["send", address, message, "--wait", wait]);
        meshzero_testing::eventually(SOON, "it waits", || (room.unfinished(address) > before).then_some(()));
        caller
    };
    let mut given_up = queued("given up", "1m");
    let mut late = queued("late", "8s");
    service.terminate();
    room.refused_as_closing(address);
    given_up.interrupt();
    service.expect_line("given up  ->  no reply: the caller gave up before the program was run", SOON);
    service.expect_line("late  ->  no reply: the caller gave up before the program was run", SOON);
    running.interrupt();
    service.expect_line("running  ->  no reply: the caller gave up, and the program was ended", SOON);
    // Nothing is left to be waited for, or to be named.
    assert_eq!(service.wait(SOON).code(), Some(0));
    assert_eq!(service.stderr(), "");
    assert_eq!([&mut given_up, &mut running].map(|caller| caller.wait(SOON).code()), [Some(130); 2]);
    // Either side may notice first that its time is over.
    let code = late.wait(SOON).code();
    assert!(matches!(code, Some(1 | 3)), "{code:?}");
}

#[test]
fn news_that_a_listener_has_not_taken_are_told_by_the_exit_code() {
    let room = Room::new();
    let item = "x".repeat(100_000);
    let mut mz = room.mz(&["publish", "flood", "topic", &item, "--rate", "1000"]);
    let mut publish = Process::start(mz.env("MESHZERO_LIMITS", "drain_ms=200"));
    publish.expect_line(" is at ", SOON);
    let mut listen = room.start(&["listen", "flood", "--json"]);
    listen.next_line(SOON);
    listen.pause();
    // What the system keeps of a connection that nobody reads is full when items are missed.
    meshzero_testing::eventually(SOON, "items are missed", || {
        let stats = room.run(&["stats", "flood", "--json"]).object();
        (stats["services"][0]["news"]["missed"]["overflow"].as_u64() > Some(0)).then_some(())
    });
    publish.terminate();
    publish.expect_error_line("not finished in time: flood: 1 connection", AT_ONCE);
    assert_eq!(publish.wait(AT_ONCE).code(), Some(3));
    listen.resume();
}

/// A program for `--exec` that begins, and ends when the test says so.
struct Gate {
    folder: PathBuf,
}

impl Gate {
    fn new() -> Self {
        let unique = RandomState::new().build_hasher().finish();
        let folder = std::env::temp_dir().join(format!("meshzero-gate-{unique:016x}"));
        std::fs::create_dir(&folder).expect("there is room for a folder");
        Self { folder }
    }

    fn command(&self) -> String {
        let folder = self.folder.display();
        // It does not outlive the test either.
        format!(
            "sh -c 'touch {folder}/begun; while [ -d {folder} -a ! -e {folder}/open ]; do sleep 0.01; done; echo done'"
        )
    }

    /// Waits until the program has begun.
    fn begun(&self) {
        let begun = self.folder.join("begun");
        meshzero_testing::eventually(SOON, "the program has begun", || begun.exists().then_some(()));
    }

    fn open(&self) {
        std::fs::write(self.folder.join("open"), "").expect("there is room for a file");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // What is left in the folder for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Room {
    /// The number of messages that the service at `address` has taken and not finished.
    fn unfinished(&self, address: &str) -> u64 {
        let stats = self.run(&["stats", address, "--json"]).object();
        stats["services"][0]["unfinished"].as_u64().expect("a number")
    }

    /// Waits until the service at `address` turns callers away because it is closing.
    fn refused_as_closing(&self, address: &str) {
        meshzero_testing::eventually(SOON, "new callers are turned away", || {
            let ran = self.run(&["send", address, "hello", "--wait", "300ms"]);
            (ran.code == Some(1) && ran.stderr.contains("it is closing")).then_some(())
        });
    }
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
