//! Several hosts, in a throw-away network.

#![cfg(target_os = "linux")]

use std::process::Stdio;

use meshzero_testing::{Host, Lan, Process, require};

use crate::support::{Ran, SOON};

const MZ: &str = env!("CARGO_BIN_EXE_mz");

fn start(host: &Host, arguments: &[&str]) -> Process {
    let mut process = Process::start(host.command(MZ).args(arguments));
    process.expect_line(" is at ", SOON);
    process
}

fn run(host: &Host, arguments: &[&str]) -> Ran {
    Ran::from(host.command(MZ).args(arguments).stdin(Stdio::null()).output().expect("mz runs"))
}

#[test]
fn hosts_find_call_and_hear_each_other() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let _greeter = start(lan.host(0), &["advertise", "greeter", "--reply", "Hello, {}!"]);
    let _weather = start(lan.host(1), &["publish", "weather", "celsius", "21.5"]);
    assert_eq!(run(lan.host(2), &["send", "greeter", "world"]).succeeded(), "Hello, world!\n");
    assert_eq!(run(lan.host(2), &["listen", "weather", "--count", "1"]).succeeded(), "celsius  21.5\n");
    let address = run(lan.host(2), &["discover", "greeter"]).succeeded();
    assert!(address.starts_with(&lan.host(0).address().to_string()), "{address}");
}

#[test]
fn peers_take_the_place_of_multicast() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.block_multicast();
    let _greeter = start(lan.host(0), &["advertise", "greeter", "--echo", "--at", "9000"]);
    run(lan.host(1), &["send", "greeter", "hi", "--wait", "1s"]).failed(1, &["greeter"]);
    let peer = format!("{}:9000", lan.host(0).address());
    assert_eq!(run(lan.host(1), &["send", "greeter", "hi", "--peers", &peer]).succeeded(), "hi\n");
    assert_eq!(run(lan.host(1), &["send", &peer, "hi"]).succeeded(), "hi\n");
    let listed = run(lan.host(1), &["list", "--peers", &peer, "--wait", "10s"]).succeeded();
    assert!(listed.contains("greeter"), "{listed}");
}

#[test]
fn the_demo_needs_no_network() {
    if !require::netns() {
        return;
    }
    let lan = Lan::loopback_only();
    let shown = run(lan.host(0), &["demo"]).succeeded();
    assert!(shown.contains("news a second"), "{shown}");
}
