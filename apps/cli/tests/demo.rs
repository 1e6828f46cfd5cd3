//! `mz demo`, as somebody sees it who runs it for the first time.

use std::time::Duration;

use crate::support::{Room, bare, json};
#[cfg(target_os = "linux")]
use crate::support::{children, exists};
use meshzero_testing::{Process, binary};

/// It promises 15 s; a busy machine is given twice that.
const DEMO: Duration = Duration::from_secs(30);

#[test]
fn it_shows_everything_and_ends_by_itself() {
    let shown = Process::start(&mut bare(&["demo"])).succeed(DEMO);
    for part in [
        "process",
        "advertises robot/arm at 127.0.0.1:",
        "found robot/arm at 127.0.0.1:",
        "found weather at 127.0.0.1:",
        "Ok(Pose { shoulder: 45, elbow: 30 })",
        "Err(OutOfReach { joint: Elbow, limit: 150 })",
        "city/oslo",
        "kill -9",
        "robot/arm is gone",
        "safe to repeat",
        "calls per second",
        "news per second, 0 missed",
        " ms\n",
    ] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn it_speaks_json() {
    let shown = Process::start(&mut bare(&["demo", "--json"])).succeed(DEMO);
    let lines: Vec<_> = shown.lines().map(json).collect();
    assert!(lines.iter().any(|line| line["who"] == "pilot" && line["ms"].is_f64()), "{shown}");
}

#[cfg(target_os = "linux")]
#[test]
fn its_processes_never_outlive_it() {
    let mut demo = Process::start(&mut bare(&["demo"]));
    demo.expect_line("found robot/arm", DEMO);
    let children = children(&demo);
    assert!(children.len() >= 3, "{children:?}");
    demo.interrupt();
    assert_eq!(demo.wait(DEMO).code(), Some(130));
    assert!(children.iter().all(|pid| !exists(*pid)), "{children:?}");

    // Not even if it has no time to see to it.
    let mut demo = Process::start(&mut bare(&["demo"]));
    demo.expect_line("found robot/arm", DEMO);
    let children = self::children(&demo);
    demo.kill();
    meshzero_testing::eventually(DEMO, "its processes have ended", || {
        children.iter().all(|pid| !exists(*pid)).then_some(())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn it_needs_no_network() {
    if !meshzero_testing::require::netns() {
        return;
    }
    let lan = meshzero_testing::Lan::loopback_only();
    let shown = Process::start(lan.host(0).command(binary("mz")).arg("demo")).succeed(DEMO);
    assert!(shown.contains("news per second"), "{shown}");
}

#[test]
fn a_part_that_cannot_be_played_is_a_failure() {
    let room = Room::new();
    let mut part = room.start(&["demo-part", "arm", "--json"]);
    part.send_line("this is no cue");
    assert_eq!(part.wait(DEMO).code(), Some(2));
}
