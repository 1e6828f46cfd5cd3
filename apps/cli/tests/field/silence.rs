//! The diagnosis of silence: hosts that may be off, and networks where only this host's own services are heard.

use meshzero_testing::{Host, Lan, eventually, require};
use serde_json::Value;

use super::{PATIENCE, mz, serve};

/// The standard error of `mz --json` when it finds no service.
#[track_caller]
fn told(host: &Host, arguments: &[&str]) -> Value {
    let mut process = mz(host, &[&["--json"], arguments].concat());
    let status = process.wait(PATIENCE);
    let said = process.stderr();
    assert_eq!(status.code(), Some(1), "{arguments:?}: {said}{}", process.stdout());
    serde_json::from_str(said.lines().last().expect("it says why")).expect("an object")
}

#[track_caller]
fn expect(told: &Value, code: &str, words: &[&str]) {
    assert_eq!(told["code"], code, "{told}");
    for word in words {
        assert!(told["sentence"].as_str().is_some_and(|text| text.contains(word)), "no {word:?} in {told}");
    }
}

/// Waits until a service is found, which also makes its host a neighbour.
fn found(host: &Host, name: &str) {
    eventually(PATIENCE, "it is found", || {
        let mut discover = mz(host, &["discover", name, "--wait", "5s"]);
        discover.wait(PATIENCE).success().then_some(())
    });
}

#[test]
fn a_host_that_is_off_is_not_taken_for_one_with_a_firewall_while_it_is_still_known_as_a_neighbour() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let _off = serve(lan.host(0), &["off", "--echo", "--at", "9000"]);
    let _dropping = serve(lan.host(2), &["dropping", "--echo", "--at", "9000"]);
    let caller = lan.host(1);
    found(caller, "off");
    found(caller, "dropping");
    lan.host(0).cut();
    lan.host(2).rule("INPUT -p tcp -j DROP");
    // The system of this host may ask for its neighbours again in this very moment.
    for (address, clear) in [("10.77.0.1:9000", "host-silent"), ("10.77.0.3:9000", "firewall-there-drops")] {
        let told = told(caller, &["discover", address, "--wait", "4s"]);
        if told["code"] == clear {
            continue;
        }
        expect(&told, "no-answer", &[address, "off or asleep", "a firewall on it drops"]);
        // The time is that of the wait, and not that of one of several dials.
        assert!(told["attempts"][0]["ms"].as_f64().is_some_and(|ms| ms > 3_200.0), "{told}");
        assert_eq!(told["attempts"][0]["neighbour"], "stale", "{told}");
    }
    // Once the system of this host has asked for its neighbours again, they are told apart.
    caller.configure("ip neigh flush all");
    let off = told(caller, &["discover", "10.77.0.1:9000", "--wait", "4s"]);
    expect(&off, "host-silent", &["does not answer to ARP"]);
    let dropping = told(caller, &["discover", "10.77.0.3:9000", "--wait", "4s"]);
    expect(&dropping, "firewall-there-drops", &["that host is there", "a firewall on it drops"]);
    assert_eq!(dropping["attempts"][0]["neighbour"], "complete", "{dropping}");
}

#[test]
fn services_of_this_host_do_not_hide_that_nobody_else_is_heard() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _greeter = serve(lan.host(0), &["greeter", "--echo"]);
    let _own = serve(lan.host(1), &["own", "--echo"]);
    found(lan.host(1), "own");
    lan.block_multicast();
    let blocked = told(lan.host(1), &["discover", "greeter", "--wait", "2s"]);
    let words =
        ["only services of this machine are heard (\"own\")", "does not pass multicast", "access point"];
    expect(&blocked, "nothing-heard", &words);
    lan.isolate(&[0, 1]);
    expect(&told(lan.host(1), &["discover", "greeter", "--wait", "2s"]), "nothing-heard", &words);
}
