//! A firewall of the usual kind on the caller's host: direct replies to a multicast question are not let in, what is multicast
//! to mDNS is.

use std::time::Duration;

use meshzero_testing::{Host, Lan, Process, binary, require};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What ufw lets in by default: loopback, replies, ICMP and mDNS by multicast.
const UFW: &str = "table inet ufw {
    chain input {
        type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established,related accept
        meta l4proto { icmp, ipv6-icmp } accept
        ip daddr 224.0.0.251 udp dport 5353 accept
        ip6 daddr ff02::fb udp dport 5353 accept
    }
}";

fn mz(host: &Host, arguments: &[&str]) -> Process {
    Process::start(host.command(binary("mz")).args(arguments))
}

fn run(host: &Host, command: &[&str]) {
    Process::start(host.command(command[0]).args(&command[1..])).succeed(PATIENCE);
}

fn advertise(host: &Host, name: &str) -> Process {
    let mut service = mz(host, &["advertise", name, "--reply", "Hello, {}!"]);
    service.expect_line("is at", PATIENCE);
    service
}

/// A running service is found, listed and called from behind the firewall.
fn finds_through_a_firewall(prepare: impl Fn(&Host)) {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.hosts().iter().for_each(prepare);
    let caller = lan.host(1);
    run(caller, &["nft", UFW]);
    let _service = advertise(lan.host(0), "greeter");
    // It has been announced for long enough that nobody may have heard that by chance.
    let mut bystander = mz(lan.host(1), &["discover", "greeter", "--wait", "20s"]);
    bystander.succeed(PATIENCE);
    for arguments in [["discover", "greeter"], ["describe", "greeter"], ["list", "--json"]] {
        let mut found = mz(caller, &arguments);
        found.succeed(PATIENCE);
    }
    assert!(mz(caller, &["list"]).succeed(PATIENCE).contains("greeter"));
    assert_eq!(mz(caller, &["send", "greeter", "you"]).succeed(PATIENCE).trim(), "Hello, you!");
}

#[test]
fn a_firewall_here_that_lets_no_direct_reply_in_only_delays_discovery() {
    finds_through_a_firewall(|_| {});
}

#[test]
fn the_same_with_ipv6_alone() {
    finds_through_a_firewall(|host| run(host, &["ip", "-4", "addr", "flush", "dev", "eth0"]));
}
