//! Hosts with addresses that others have as well, and with more addresses than anybody keeps.

use std::fmt::Write;
use std::time::{Duration, Instant};

use meshzero_testing::{Host, Lan, Process, eventually, require};

use super::{PATIENCE, answer, mz, serve};
use crate::support::children;

/// A bridge for containers with one container on it, at the address that Docker gives every such bridge.
fn add_bridge(host: &Host) {
    host.configure(
        "ip link add docker0 type bridge
         ip addr add 172.17.0.1/16 brd + dev docker0
         ip link add c0 type veth peer name c1
         ip link set c0 master docker0 up
         ip link set c1 up
         ip link set docker0 up",
    );
    eventually(PATIENCE, "the bridge is connected", || {
        host.ask_ip(&["link", "show", "docker0"]).contains("LOWER_UP").then_some(())
    });
}

/// A service that takes seconds for a reply.
#[track_caller]
fn slow(host: &Host) -> Process {
    serve(host, &["slow", "--exec", "sh -c 'sleep 8; echo late'", "--limit", "60s", "--at", "9000"])
}

#[track_caller]
fn wait_until_called(slow: &Process) {
    eventually(PATIENCE, "the request is being handled", || (!children(slow).is_empty()).then_some(()));
}

/// The output of `program` on a host.
#[track_caller]
fn printed(host: &Host, program: &str, arguments: &[&str]) -> String {
    Process::start(host.command(program).args(arguments)).succeed(PATIENCE)
}

/// Waits until the caller has given up its connections to the service, and has tried the address since that both hosts have.
#[track_caller]
fn wait_out(caller: &Host) {
    let established = ["-Htn", "state", "established", "dport", "=", ":9000"];
    eventually(PATIENCE, "the connections are given up", || {
        printed(caller, "ss", &established).trim().is_empty().then_some(())
    });
    caller.configure("iptables-legacy -w -A OUTPUT -p tcp --syn -d 172.17.0.1");
    eventually(PATIENCE, "the shared address is tried", || {
        let counters = printed(caller, "iptables-legacy", &["-w", "-nvxL", "OUTPUT"]);
        let packets = counters.lines().nth(2)?.split_whitespace().next()?.to_owned();
        (packets != "0").then_some(())
    });
}

#[test]
fn a_bridge_address_that_both_hosts_have_ends_no_call_while_the_cable_is_out() {
    if !require::netns() {
        return;
    }
    for cut in [0, 1] {
        let lan = Lan::new(2);
        lan.block_multicast();
        lan.hosts().iter().for_each(add_bridge);
        let slow = slow(lan.host(0));
        let mut call = mz(lan.host(1), &["--peers", "10.77.0.1:9000", "send", "slow", "x", "--wait", "50s"]);
        wait_until_called(&slow);
        lan.host(cut).cut();
        wait_out(lan.host(1));
        lan.host(cut).heal();
        assert_eq!(call.succeed(PATIENCE).trim(), "late", "host {cut}");
    }
}

#[test]
fn a_service_of_this_host_at_the_same_port_of_a_shared_address_is_not_taken_for_the_one_of_the_other() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.block_multicast();
    lan.hosts().iter().for_each(add_bridge);
    let slow = slow(lan.host(0));
    let _own = serve(lan.host(1), &["other", "--echo", "--at", "9000"]);
    let mut call = mz(lan.host(1), &["--peers", "10.77.0.1:9000", "send", "slow", "x", "--wait", "50s"]);
    wait_until_called(&slow);
    lan.host(0).cut();
    wait_out(lan.host(1));
    lan.host(0).heal();
    assert_eq!(call.succeed(PATIENCE).trim(), "late");
}

#[test]
fn a_process_that_dies_is_noticed_at_once_although_its_host_shares_an_address() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.hosts().iter().for_each(add_bridge);
    for caller in [0, 1] {
        let mut slow = slow(lan.host(0));
        let mut call = mz(lan.host(caller), &["send", "slow", "x", "--wait", "50s"]);
        wait_until_called(&slow);
        slow.kill();
        let killed = Instant::now();
        assert!(!call.wait(PATIENCE).success());
        let noticed = killed.elapsed();
        assert!(noticed < Duration::from_secs(5), "host {caller} noticed after {noticed:?}");
    }
}

/// So many more networks on the host's one cable, as routers and hypervisors have them.
fn add_addresses(host: &Host, count: u8) {
    let mut commands = String::new();
    for number in 0..count {
        writeln!(commands, "ip addr add 10.200.{number}.1/24 brd + dev eth0").expect("it is memory");
    }
    host.configure(&commands);
}

#[test]
fn a_host_with_many_addresses_is_found_and_called() {
    if !require::netns() {
        return;
    }
    for count in [25, 40, 100] {
        let lan = Lan::new(3);
        add_addresses(lan.host(0), count);
        let names = ["one", "two", "three", "four"];
        let _services: Vec<Process> = names.map(|name| serve(lan.host(0), &[name, "--reply", name])).into();
        for name in names {
            assert_eq!(answer(lan.host(1), &["send", name, "x", "--wait", "20s"]), name, "{count}");
        }
        let found = answer(lan.host(1), &["discover", "one"]);
        assert!(found.starts_with("10.77.0.1:"), "{count}: {found}");
        let listed = answer(lan.host(1), &["list"]);
        assert!(names.iter().all(|name| listed.contains(name)), "{count}: {listed}");
        // And where peers hand on: the hub is another host, and then this one.
        lan.block_multicast();
        let _hub = serve(lan.host(2), &["hub", "--echo", "--at", "9000"]);
        let peers = ["--peers", "10.77.0.3:9000"];
        let _joined = serve(lan.host(0), &[&["far", "--reply", "far", "--at", "9000"], &peers[..]].concat());
        for peers in [peers, ["--peers", "10.77.0.1:9000"]] {
            let call = [&peers[..], &["send", "far", "x", "--wait", "20s"]].concat();
            assert_eq!(answer(lan.host(1), &call), "far", "{count} {peers:?}");
        }
    }
}

#[test]
fn a_caller_with_many_addresses_finds_and_calls() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    add_addresses(lan.host(1), 40);
    let _service = serve(lan.host(0), &["greeter", "--reply", "Hello, {}!"]);
    assert_eq!(answer(lan.host(1), &["send", "greeter", "you", "--wait", "20s"]), "Hello, you!");
}
