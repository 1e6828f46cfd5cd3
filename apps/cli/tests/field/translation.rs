//! Services known by other addresses than those that lead to them: behind a tunnel, and behind published ports.

use meshzero_testing::{Host, Lan, require};

use super::{PATIENCE, answer, mz, serve};

/// A point-to-point tunnel between two hosts that reach each other by nothing else.
fn tunnel(lan: &Lan) {
    let [one, other] = [0, 1].map(|host| lan.host(host));
    Lan::join(one, other, "tun0");
    for (host, own, peer) in [(one, "10.9.0.1", "10.9.0.2"), (other, "10.9.0.2", "10.9.0.1")] {
        host.configure(&format!(
            "ip link set tun0 multicast off
             ip addr add {own} peer {peer} dev tun0"
        ));
        host.rule("INPUT -i eth0 -j DROP");
        host.rule("OUTPUT -o eth0 -j DROP");
    }
}

/// The output of `mz discover`, line by line, after each address was seen to answer.
#[track_caller]
fn discovered(host: &Host, peers: &[&str], name: &str) -> Vec<String> {
    let found = answer(host, &[peers, &["discover", name, "--wait", "20s"]].concat());
    let found: Vec<String> = found.lines().map(str::to_owned).collect();
    for address in &found {
        answer(host, &["send", address, "you", "--wait", "20s"]);
    }
    found
}

#[test]
fn a_hub_beyond_a_tunnel_hands_on_the_address_at_which_it_was_reached() {
    if !require::netns() {
        return;
    }
    let peers = ["--peers", "10.9.0.1:9000"];
    for joined in [&[][..], &["--peers", "127.0.0.1:9000"], &["--peers", "10.77.0.1:9000"]] {
        let lan = Lan::new(2);
        tunnel(&lan);
        let _hub = serve(lan.host(0), &["hub", "--reply", "hub", "--at", "9000"]);
        let _greeter =
            serve(lan.host(0), &[&["greeter", "--reply", "Hello, {}!", "--at", "9001"], joined].concat());
        let call = [&peers[..], &["send", "greeter", "you", "--wait", "30s"]].concat();
        assert_eq!(answer(lan.host(1), &call), "Hello, you!", "{joined:?}");
        assert_eq!(discovered(lan.host(1), &peers, "greeter"), ["10.9.0.1:9001"], "{joined:?}");
        assert_eq!(discovered(lan.host(1), &peers, "hub"), ["10.9.0.1:9000"], "{joined:?}");
        // The other way round: what joined beyond the tunnel is called from here.
        let _far = serve(lan.host(1), &["far", "--reply", "far", peers[0], peers[1]]);
        let call = ["--peers", "127.0.0.1:9000", "send", "far", "you", "--wait", "30s"];
        assert_eq!(answer(lan.host(0), &call), "far", "{joined:?}");
    }
}

/// Host 1 of the result is a computer with a container, which is the single host of another network: its ports 9000 and 9001
/// are published as 19000 and 19001. Host 0 is another computer.
fn publish() -> (Lan, Lan) {
    let (lan, container) = (Lan::new(2), Lan::loopback_only());
    Lan::join(lan.host(1), container.host(0), "veth0");
    lan.host(1).configure(
        "ip addr add 172.18.0.1/16 brd + dev veth0
         sysctl -qw net.ipv4.ip_forward=1
         iptables-legacy -w -t nat -A PREROUTING -i eth0 -p tcp --dport 19000 -j DNAT --to-destination 172.18.0.2:9000
         iptables-legacy -w -t nat -A PREROUTING -i eth0 -p tcp --dport 19001 -j DNAT --to-destination 172.18.0.2:9001",
    );
    container.host(0).configure(
        "ip addr add 172.18.0.2/16 brd + dev veth0
         ip route add default via 172.18.0.1",
    );
    (lan, container)
}

#[test]
fn a_published_port_is_kept_as_the_address_of_what_answered_there() {
    if !require::netns() {
        return;
    }
    // Nobody has the container's address, or a container of the caller's own computer has it.
    for same_address_here in [false, true] {
        let (lan, container) = publish();
        if same_address_here {
            lan.host(0).configure(
                "ip link add docker0 type bridge
                 ip addr add 172.18.0.2/16 brd + dev docker0
                 ip link set docker0 up",
            );
        }
        let peers = ["--peers", "10.77.0.2:19000"];
        let _slow =
            serve(container.host(0), &["hub", "--exec", "sh -c 'sleep 3; echo done'", "--at", "9000"]);
        // The reply comes long after the hub has said where it believes to be.
        let call = [&peers[..], &["send", "hub", "x", "--wait", "30s"]].concat();
        assert_eq!(answer(lan.host(0), &call), "done", "{same_address_here}");
        assert_eq!(discovered(lan.host(0), &peers, "hub"), ["10.77.0.2:19000"], "{same_address_here}");
        let mut list = mz(lan.host(0), &[&peers[..], &["list", "--json"]].concat());
        let listed = list.succeed(PATIENCE);
        assert!(listed.contains("\"address\":\"10.77.0.2:19000\""), "{listed}");
    }
}
