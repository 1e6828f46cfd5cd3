//! The examples, each started as its header says and checked by its output.

use std::fs;
use std::process::Command;
use std::time::Duration;

use meshzero_testing::{Process, eventually, example};

/// Generous, because the machine may be busy. Nothing in the examples takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example's processes, in a mesh of their own on this machine.
struct Processes {
    example: &'static str,
    mesh: String,
}

impl Processes {
    fn of(example: &'static str) -> Self {
        Self { example, mesh: format!("test-{:032x}", fastrand::u128(..)) }
    }

    #[track_caller]
    fn start(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(example(self.example));
        command.args(arguments).env_remove("MESHZERO_PEERS").env_remove("MESHZERO_PORTS");
        Process::start(command.env("MESHZERO_MESH", &self.mesh).env("MESHZERO_INTERFACES", "lo"))
    }

    /// Starts the example and waits until it prints `line`.
    #[track_caller]
    fn start_until(&self, arguments: &[&str], line: &str) -> Process {
        let mut process = self.start(arguments);
        process.expect_line(line, PATIENCE);
        process
    }
}

/// The number before a word, as in `12 skipped`.
#[track_caller]
fn number_before(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().and_then(|before| before.split_whitespace().last());
    let number = before.and_then(|number| number.replace(',', "").parse().ok());
    number.unwrap_or_else(|| panic!("there is no number before {word:?} in {line:?}"))
}

/// The tick in a bot's line, as in `tick   61,`.
#[track_caller]
fn tick(line: &str) -> u64 {
    number_before(line, ", ")
}

#[test]
fn hello_greets_in_one_process_and_in_two() {
    let cast = Processes::of("hello");
    assert_eq!(cast.start(&[]).succeed(PATIENCE), "Hello, mesh!\n");
    let mut greeter = cast.start_until(&["serve"], "greeter is at 127.0.0.1:");
    assert_eq!(cast.start(&["Ada"]).succeed(PATIENCE), "Hello, Ada!\n");
    greeter.interrupt();
    assert!(greeter.wait(PATIENCE).success());
}

#[test]
fn all_speakers_of_the_chat_receive_each_other_and_status_lists_them() {
    let cast = Processes::of("chat");
    let mut status = cast.start(&["status"]);
    let hub = cast.start_until(&["hub"], "the room is open");
    let mut ada = cast.start(&["speaker", "ada"]);
    status.expect_line("here: ada, hub", PATIENCE);
    let mut bob = cast.start(&["speaker", "bob"]);
    status.expect_line("here: ada, bob, hub", PATIENCE);

    ada.send_line("is anybody here?");
    bob.expect_line("ada: is anybody here?", PATIENCE);
    ada.expect_line("ada: is anybody here?", PATIENCE);
    bob.send_line("I am");
    ada.expect_line("bob: I am", PATIENCE);
    bob.send_line("@ada come with me");
    ada.expect_line("bob whispers: come with me", PATIENCE);
    ada.send_line("?");
    ada.expect_line("(with you: bob)", PATIENCE);
    ada.send_line("@nobody psst");
    ada.expect_line("not said: nobody advertises \"chat/nobody\"", PATIENCE);

    bob.close_stdin();
    assert!(bob.wait(PATIENCE).success());
    status.expect_line("here: ada, hub", PATIENCE);
    ada.kill();
    status.expect_line("here: hub", PATIENCE);
    assert!(!bob.stdout().contains("whispers"), "a whisper is for one");
    drop(hub);
}

#[test]
fn the_waypoint_of_a_killed_robot_is_visited_by_another() {
    let cast = Processes::of("robots");
    let mut coordinator = cast.start(&["coordinator"]);
    // So slow that it is still driving whenever it is killed.
    let mut slow = cast.start(&["robot", "slow", "0.01"]);
    slow.expect_line("drives to", PATIENCE);
    let mut others = ["a", "b"].map(|name| cast.start(&["robot", name, "20"]));
    // The other robots visit all waypoints that they can, and the slow one has the rest.
    for sign in
        ["robot/slow goes to dock", "robot/slow is seen at", "robot/a    is seen at", "robot/b    is seen at"]
    {
        eventually(PATIENCE, sign, || coordinator.stdout().contains(sign).then_some(()));
    }
    let reached = |text: &str| text.matches(" reached ").count();
    eventually(PATIENCE, "eight waypoints are reached", || {
        (reached(&coordinator.stdout()) == 8).then_some(())
    });
    assert!(!coordinator.stdout().contains("reached dock"));

    slow.kill();
    coordinator.expect_line("robot/slow gives back dock", PATIENCE);
    coordinator.expect_line("reached dock", PATIENCE);
    coordinator.expect_line("9 of 9 waypoints reached", PATIENCE);
    let transcript = coordinator.succeed(PATIENCE);
    for robot in ["robot/a ", "robot/b ", "robot/slow "] {
        let row = transcript.lines().find(|line| line.starts_with(robot)).expect("a row for each robot");
        let poses = row.split_whitespace().nth(2).and_then(|poses| poses.parse::<u64>().ok());
        assert!(poses.expect("a count of poses") > 0, "{row}");
    }
    assert!(others.iter_mut().all(Process::is_running), "a death is nobody else's");
}

#[test]
fn a_stopped_player_blocks_nobody_and_gets_the_latest_snapshot_when_it_resumes() {
    let cast = Processes::of("game_server");
    let mut server = cast.start_until(&["server"], "the game is on");
    let mut ada = cast.start_until(&["bot", "ada"], "tick");
    let mut bob = cast.start_until(&["bot", "bob"], "tick");
    server.expect_line("ada joins", PATIENCE);
    server.expect_line("bob joins", PATIENCE);

    bob.pause();
    let first = tick(&ada.expect_line("tick", PATIENCE));
    // About one line a second.
    while tick(&ada.expect_line("tick", PATIENCE)) < first + 60 {}
    bob.resume();
    // It skips the snapshots that arrived while it was stopped.
    while number_before(&bob.expect_line("skipped", PATIENCE), "skipped") < 30 {}

    ada.interrupt();
    ada.expect_line("left with", PATIENCE);
    assert!(ada.wait(PATIENCE).success());
    server.expect_line("ada leaves with", PATIENCE);
}

#[test]
fn throughput_counts_what_arrived_and_loses_nothing() {
    let output = Processes::of("demo").start(&["throughput"]).succeed(PATIENCE);
    for what in ["calls, one at a time", "calls, 64 in flight", "news "] {
        let row = output.split(what).nth(1).unwrap_or_else(|| panic!("no row {what:?}:\n{output}"));
        let columns: Vec<&str> = row.lines().next().unwrap_or(row).split_whitespace().collect();
        assert!(number_before(columns[0], "x") > 0, "{what}: {columns:?}");
        assert_eq!(columns[1], "0", "{what}: lost\n{output}");
        assert!(number_before(columns[2], "x") > 0, "{what}: {columns:?}");
    }
}

#[test]
fn every_demo_ends_by_itself() {
    let finished =
        [("chat", "here: ada, hub"), ("robots", "9 of 9 waypoints"), ("game_server", "leaves with")];
    for (name, line) in finished {
        let output = Processes::of("demo").start(&[name]).succeed(PATIENCE);
        assert!(output.contains(line), "{name} without {line:?}:\n{output}");
    }
}

#[test]
fn the_roles_of_a_demo_that_is_killed_end_as_well() {
    let cast = Processes::of("demo");
    let mut demo = cast.start(&["robots"]);
    let line = demo.expect_line("robot/a is process", PATIENCE);
    let pid = number_before(&line, " at ");
    demo.kill();
    // A process that has not been reaped has no command line.
    let command_line = format!("/proc/{pid}/cmdline");
    eventually(PATIENCE, "the robot has ended", || {
        fs::read(&command_line).map_or(true, |text| text.is_empty()).then_some(())
    });
}
