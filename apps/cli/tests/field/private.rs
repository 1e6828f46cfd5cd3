//! Services of a hub's own host: which of them peers are told of, and since when.

use std::time::{Duration, Instant};

use meshzero_testing::{Lan, Metered, eventually, require};
use serde_json::Value;

use super::{PATIENCE, answer, mz, serve};

#[test]
fn a_hub_hands_on_to_other_hosts_what_they_can_reach_and_no_more() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.block_multicast();
    let (here, there) = (lan.host(0), lan.host(1));
    let _hub = serve(here, &["hub", "--reply", "hub", "--at", "9000"]);
    let _private = serve(here, &["private", "--reply", "secret", "--interfaces", "lo", "--at", "9001"]);
    let _bound = serve(here, &["bound", "--reply", "secret", "--at", "127.0.0.1:9002"]);
    let _greeter = serve(here, &["greeter", "--reply", "Hello, {}!", "--at", "9003"]);
    let peers = ["--peers", "10.77.0.1:9000"];
    let local = ["--peers", "127.0.0.1:9000"];
    for name in ["private", "bound"] {
        eventually(PATIENCE, "the hub knows it", || {
            let mut call = mz(here, &[&local[..], &["send", name, "x", "--wait", "2s"]].concat());
            call.wait(PATIENCE).success().then_some(())
        });
    }
    let call = [&peers[..], &["send", "greeter", "you", "--wait", "30s"]].concat();
    assert_eq!(answer(there, &call), "Hello, you!");
    let begun = Instant::now();
    for name in ["private", "bound"] {
        let mut discover =
            mz(there, &[&["--json"], &peers[..], &["discover", name, "--wait", "3s"]].concat());
        assert_eq!(discover.wait(PATIENCE).code(), Some(1), "{}", discover.stdout());
        let said = discover.stderr();
        let told: Value = serde_json::from_str(said.lines().last().expect("it says why")).expect("JSON");
        assert_ne!(told["code"], "process-gone", "{said}");
        assert_eq!(told["attempts"], Value::Array(Vec::new()), "nothing is tried: {said}");
    }
    let listed = answer(there, &[&peers[..], &["list"]].concat());
    assert!(listed.contains("greeter") && listed.contains("hub"), "{listed}");
    assert!(!listed.contains("private") && !listed.contains("bound"), "{listed}");
    assert!(begun.elapsed() > Duration::from_secs(6), "the waits were those that were asked for");
}

#[test]
fn a_hub_hands_on_what_was_there_before_it() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (here, there) = (lan.host(0), lan.host(1));
    // The first reading begins to count.
    let _ = Metered::read(&lan, 0);
    lan.block_multicast();
    let _greeter = serve(here, &["greeter", "--reply", "Hello, {}!", "--at", "9003"]);
    // Three announcements, in both families.
    eventually(PATIENCE, "it is not announced again", || {
        (Metered::read(&lan, 0).responses >= 6).then_some(())
    });
    let _hub = serve(here, &["hub", "--reply", "hub", "--at", "9000"]);
    let call = ["--peers", "10.77.0.1:9000", "send", "greeter", "you", "--wait", "30s"];
    assert_eq!(answer(there, &call), "Hello, you!");
}
