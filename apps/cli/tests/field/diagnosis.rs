//! The first sentence of `mz` when it finds or reaches no service, on networks where the cause is known.

use meshzero_testing::{Host, Lan, Process, eventually, require};
use serde_json::Value;

use super::{PATIENCE, mz, serve};

/// A host that does not answer to ARP is given up after three seconds.
const LONG: &str = "4s";
const SHORT: &str = "1s";
const PORT: &str = "9000";

fn advertise(host: &Host, name: &str) -> Process {
    serve(host, &[name, "--echo", "--at", PORT])
}

fn endpoint(host: &Host) -> String {
    format!("{}:{PORT}", host.address())
}

/// The standard error of `mz` when it ends without a service.
#[derive(Debug)]
struct Told {
    code: String,
    sentence: String,
    all: Value,
}

#[track_caller]
fn told(host: &Host, arguments: &[&str]) -> Told {
    let mut process = mz(host, &[&["--json"], arguments].concat());
    let status = process.wait(PATIENCE);
    let said = process.stderr();
    assert_eq!(status.code(), Some(1), "{arguments:?}: {said}{}", process.stdout());
    let line = said.lines().last().expect("it says why");
    let all: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    let text = |field: &str| all[field].as_str().unwrap_or_default().to_owned();
    let (code, sentence, error) = (text("code"), text("sentence"), text("error"));
    assert!(error.starts_with(&sentence), "the cause comes first: {error}");
    assert!(error.contains(&text("remedy")) && !text("remedy").is_empty(), "{error}");
    assert!(error.len() < 2_000, "{} bytes: {error}", error.len());
    Told { code, sentence, all }
}

#[track_caller]
fn expect(told: &Told, code: &str, words: &[&str]) {
    assert_eq!(told.code, code, "{told:?}");
    for word in words {
        assert!(told.sentence.contains(word), "no {word:?} in {told:?}");
    }
}

/// Waits until a service is found, so that what follows is not about a program that is still starting.
fn found(host: &Host, name: &str) {
    eventually(PATIENCE, "it is found", || {
        let mut discover = mz(host, &["discover", name, "--wait", "5s"]);
        discover.wait(PATIENCE).success().then_some(())
    });
}

#[test]
fn another_mesh_is_named() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let _service = advertise(lan.host(0), "greeter");
    found(lan.host(1), "greeter");
    let words = ["nobody advertises \"greeter\"", "other meshes on this network: \"meshzero\""];
    let other = ["--mesh", "room-6"];
    let discover = [&other[..], &["discover", "greeter", "--wait", SHORT]].concat();
    expect(&told(lan.host(1), &discover), "other-mesh", &words);
    let list = told(lan.host(1), &[&other[..], &["list", "--wait", SHORT]].concat());
    expect(&list, "other-mesh", &["there is no service", "\"meshzero\""]);
    let address = endpoint(lan.host(0));
    let by_address = told(lan.host(1), &[&other[..], &["discover", &address, "--wait", SHORT]].concat());
    expect(&by_address, "declined", &["belongs to the mesh", "meshzero"]);
}

#[test]
fn a_name_that_nobody_has_is_told_from_a_network_where_nobody_is_heard() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let nothing = told(lan.host(1), &["discover", "greeter", "--wait", SHORT]);
    expect(&nothing, "nothing-heard", &["nobody advertises \"greeter\"", "eth0 (10.77.0.2)"]);
    let _service = advertise(lan.host(0), "greeter");
    found(lan.host(1), "greeter");
    let misspelt = told(lan.host(1), &["send", "greter", "1", "--wait", SHORT]);
    expect(&misspelt, "not-advertised", &["nobody advertises \"greter\"", "one service is heard"]);
}

#[test]
fn interfaces_that_are_left_out_are_named() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let only_here = told(lan.host(1), &["--interfaces", "lo", "discover", "greeter", "--wait", SHORT]);
    expect(&only_here, "interfaces-restricted", &["choice of interfaces (lo)"]);
    let other = told(lan.host(1), &["--interfaces", "eth1", "discover", "greeter", "--wait", SHORT]);
    expect(&other, "interfaces-restricted", &["leaves out eth0"]);
}

#[test]
fn what_its_own_interface_lacks_is_told() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    lan.host(0).cut();
    for verb in [&["discover", "greeter"][..], &["list"], &["describe", "greeter"], &["listen", "greeter"]] {
        let cable = told(lan.host(0), &[verb, &["--wait", SHORT]].concat());
        expect(&cable, "no-carrier", &["eth0 has no cable"]);
    }
    let cable = told(lan.host(0), &["discover", "10.77.0.2:9000", "--wait", SHORT]);
    expect(&cable, "no-carrier", &["eth0 has no cable"]);
    lan.host(1).configure("ip addr flush dev eth0");
    let address = told(lan.host(1), &["discover", "greeter", "--wait", SHORT]);
    expect(&address, "no-address", &["eth0 has no address"]);
    lan.host(2).configure("ip link set eth0 multicast off");
    let multicast = told(lan.host(2), &["discover", "greeter", "--wait", SHORT]);
    expect(&multicast, "no-multicast", &["eth0 carries no multicast"]);
}

#[test]
fn a_firewall_on_the_other_host_is_told_from_a_host_that_is_off() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(4);
    let _greeter = advertise(lan.host(0), "greeter");
    let _other = advertise(lan.host(1), "other");
    let _free = advertise(lan.host(3), "free");
    for name in ["greeter", "other", "free"] {
        found(lan.host(2), name);
    }
    lan.host(0).guard();
    lan.host(1).configure(
        "iptables-legacy -w -A INPUT -i eth0 -p tcp -j REJECT --reject-with icmp-host-prohibited
         ip6tables-legacy -w -A INPUT -i eth0 -p tcp -j REJECT --reject-with icmp6-adm-prohibited",
    );
    let drops = told(lan.host(2), &["discover", "greeter", "--wait", LONG]);
    expect(
        &drops,
        "firewall-there-drops",
        &["\"greeter\" is announced at 10.77.0.1", "a firewall on it drops"],
    );
    let attempt = &drops.all["attempts"][0];
    assert_eq!(attempt["outcome"], "no answer", "{attempt}");
    // The system may have asked for it again meanwhile.
    assert!(attempt["neighbour"] == "stale" || attempt["neighbour"] == "complete", "{attempt}");
    assert_eq!(attempt["interface"], "eth0", "{attempt}");
    let rejects = told(lan.host(2), &["send", "other", "1", "--wait", SHORT]);
    expect(&rejects, "firewall-there-rejects", &["10.77.0.2 rejects", "firewall rule"]);
    assert!(rejects.all["attempts"][0]["os_error"].is_number(), "{rejects:?}");
    let by_address = told(lan.host(2), &["discover", &endpoint(lan.host(0)), "--wait", SHORT]);
    // Unless the system has just asked for it again, only its old entry in the table of neighbours says that it is there.
    match by_address.all["attempts"][0]["neighbour"].as_str() {
        Some("complete") => expect(&by_address, "firewall-there-drops", &["10.77.0.1:9000"]),
        _ => expect(&by_address, "no-answer", &["answers at 10.77.0.1:9000", "off or asleep"]),
    }
    assert!(by_address.sentence.contains("a firewall on it drops"), "{by_address:?}");
    // A list says which services it leaves out.
    let mut list = mz(lan.host(2), &["list"]);
    let listed = list.succeed(PATIENCE);
    assert!(listed.contains("free") && !listed.contains("other"), "{listed}");
    let said = list.stderr();
    for words in ["does not answer", "\"other\" is announced at 10.77.0.2", "rejects"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    let empty = told(lan.host(2), &["list", "--group", "othe", "--separator", "r", "--wait", "2s"]);
    expect(&empty, "firewall-there-rejects", &["\"other\" is announced at 10.77.0.2"]);
}

#[test]
fn a_firewall_that_refuses_is_no_ended_program_however_long_is_waited() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.host(0).configure(
        "iptables-legacy -w -A INPUT -i eth0 -p tcp -j REJECT --reject-with tcp-reset
         ip6tables-legacy -w -A INPUT -i eth0 -p tcp -j REJECT --reject-with tcp-reset",
    );
    let _greeter = advertise(lan.host(0), "greeter");
    // The questions that go with the search are over by then, and their replies are old.
    for arguments in [["discover", "greeter", "--wait", "8s"], ["send", "greeter", "x", "--wait=8s"]] {
        let refuses = told(lan.host(1), &arguments);
        expect(
            &refuses,
            "firewall-there-rejects",
            &["10.77.0.1 refuses connections", "although the program replied"],
        );
    }
}

#[test]
fn a_host_that_is_off_and_a_program_that_has_gone_are_told_apart() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let mut service = advertise(lan.host(0), "greeter");
    let mut stopped = advertise(lan.host(2), "stopped");
    found(lan.host(1), "greeter");
    stopped.pause();
    let stalled = told(lan.host(1), &["discover", &endpoint(lan.host(2)), "--wait", SHORT]);
    expect(&stalled, "program-stalled", &["connections are accepted", "stopped or busy"]);
    stopped.kill();
    service.kill();
    let gone = told(lan.host(1), &["discover", &endpoint(lan.host(0)), "--wait", SHORT]);
    expect(&gone, "process-gone", &["that host is there", "nothing listens"]);
    assert_eq!(gone.all["attempts"][0]["outcome"], "connection refused", "{gone:?}");
    let here = told(lan.host(1), &["discover", "127.0.0.1:9000", "--wait", SHORT]);
    expect(&here, "process-gone", &["this machine"]);
    // Nobody is asked for it before, so that its hardware address is not known.
    lan.host(1).configure("ip neigh flush all");
    lan.host(0).cut();
    let off = told(lan.host(1), &["discover", &endpoint(lan.host(0)), "--wait", LONG]);
    expect(&off, "host-silent", &["does not answer to ARP", "off, asleep"]);
    assert_eq!(off.all["attempts"][0]["neighbour"], "incomplete", "{off:?}");
    let address = endpoint(lan.host(0));
    let peer = told(lan.host(1), &["--peers", &address, "discover", "greeter", "--wait", LONG]);
    expect(&peer, "host-silent", &["nobody advertises \"greeter\"", "static peer 10.77.0.1:9000"]);
}

#[test]
fn an_access_point_that_keeps_its_clients_apart_is_told() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(4);
    let _first = advertise(lan.host(0), "first");
    let _second = advertise(lan.host(1), "second");
    let (caller, router) = (lan.host(2), lan.host(3));
    caller.configure(&format!("ip route add default via {}", router.address()));
    lan.isolate(&[0, 1, 2]);
    // The router answers, if only to refuse.
    let refused = told(caller, &["discover", &endpoint(router), "--wait", SHORT]);
    expect(&refused, "process-gone", &[]);
    let peers = [endpoint(lan.host(0)), endpoint(lan.host(1))].join(",");
    let apart = told(caller, &["--peers", &peers, "discover", "first", "--wait", LONG]);
    expect(&apart, "clients-isolated", &["keeps its clients apart"]);
}

#[test]
fn another_network_and_a_tunnel_on_the_way_are_told() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let _service = advertise(lan.host(0), "greeter");
    found(lan.host(1), "greeter");
    let address = endpoint(lan.host(0));
    // Two networks on one switch.
    let caller = lan.host(1);
    caller.configure(
        "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
         ip addr flush dev eth0
         ip addr add 10.88.0.2/24 dev eth0",
    );
    let subnet = told(caller, &["discover", &address, "--wait", SHORT]);
    expect(&subnet, "other-subnet", &["another network", "10.88.0.2/24", "no route"]);
    let caller = lan.host(2);
    caller.configure(
        "ip tuntap add dev tun0 mode tun
         ip addr add 10.8.0.2/24 dev tun0
         ip link set tun0 up
         ip route add 10.77.0.1/32 dev tun0",
    );
    let tunnel = told(caller, &["discover", &address, "--wait", SHORT]);
    expect(&tunnel, "vpn-route", &["10.77.0.1 leave by tun0", "VPN"]);
}

#[test]
fn a_host_with_many_addresses_prints_a_short_line() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(1);
    let host = lan.host(0);
    for number in 0..300 {
        let own = format!("10.99.{}.{}/16", number / 200, 1 + number % 200);
        host.configure(&format!("ip addr add {own} dev eth0"));
    }
    let nothing = told(host, &["discover", "greeter", "--wait", SHORT]);
    expect(&nothing, "nothing-heard", &["eth0 (10.77.0.1)"]);
}

/// Checks that need the counts of questions and answers.
mod counted {
    use super::*;

    #[test]
    fn a_rule_that_lets_no_question_out_is_told() {
        if !require::netns() {
            return;
        }
        let lan = Lan::new(1);
        lan.host(0).rule("OUTPUT -o eth0 -p udp --dport 5353 -j DROP");
        let filter = told(lan.host(0), &["discover", "greeter", "--wait", SHORT]);
        expect(&filter, "outgoing-filter", &["does not allow sending", "eth0"]);
    }

    #[test]
    fn a_firewall_of_its_own_that_drops_what_comes_in_is_told() {
        if !require::netns() {
            return;
        }
        let lan = Lan::new(2);
        lan.host(0).rule("INPUT -p udp -j DROP");
        let _service = advertise(lan.host(1), "greeter");
        let deaf = told(lan.host(0), &["discover", "greeter", "--wait", "3s"]);
        expect(&deaf, "incoming-filter", &["a firewall on this machine"]);
    }

    #[test]
    fn multicast_that_the_switch_drops_is_told() {
        if !require::netns() {
            return;
        }
        let lan = Lan::new(3);
        lan.block_multicast();
        let _hub = advertise(lan.host(0), "hub");
        let _service = advertise(lan.host(1), "greeter");
        let hub = endpoint(lan.host(0));
        let blocked = told(lan.host(2), &["--peers", &hub, "discover", "greeter", "--wait", "3s"]);
        assert!(
            ["multicast-blocked", "not-advertised"].contains(&blocked.code.as_str()),
            "the hub's own service is known: {blocked:?}"
        );
        let codes: Vec<_> = blocked.all["findings"].as_array().into_iter().flatten().collect();
        assert!(codes.iter().any(|finding| finding["code"] == "multicast-blocked"), "{blocked:?}");
    }

    #[test]
    fn a_firewall_of_its_own_that_drops_direct_replies_only_slows_down() {
        if !require::netns() {
            return;
        }
        let lan = Lan::new(2);
        lan.host(0).guard();
        let _service = advertise(lan.host(1), "greeter");
        let missing = told(lan.host(0), &["discover", "other", "--wait", "3s"]);
        expect(&missing, "not-advertised", &[]);
        let codes: Vec<_> = missing.all["findings"].as_array().into_iter().flatten().collect();
        assert!(codes.iter().any(|finding| finding["code"] == "unicast-replies-dropped"), "{missing:?}");
    }
}
