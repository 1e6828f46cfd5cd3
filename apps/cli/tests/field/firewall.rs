//! A firewall of the usual kind on the caller's host: direct replies to a multicast question are not let in, what is multicast
//! to mDNS is.

use meshzero_testing::{Host, Lan, require};

use super::{answer, serve};

/// A running service is found, listed and called from behind the firewall.
fn finds_through_a_firewall(prepare: impl Fn(&Host)) {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.hosts().iter().for_each(prepare);
    let caller = lan.host(1);
    caller.guard();
    let _service = serve(lan.host(0), &["greeter", "--reply", "Hello, {}!"]);
    // It has been announced for long enough that nobody may have heard that by chance.
    answer(caller, &["discover", "greeter", "--wait", "20s"]);
    for arguments in [["discover", "greeter"], ["describe", "greeter"], ["list", "--json"]] {
        answer(caller, &arguments);
    }
    assert!(answer(caller, &["list"]).contains("greeter"));
    assert_eq!(answer(caller, &["send", "greeter", "you"]), "Hello, you!");
}

#[test]
fn a_firewall_here_that_lets_no_direct_reply_in_only_delays_discovery() {
    finds_through_a_firewall(|_| {});
}

#[test]
fn the_same_with_ipv6_alone() {
    finds_through_a_firewall(|host| host.configure("ip -4 addr flush dev eth0"));
}

#[test]
fn a_list_behind_a_firewall_has_what_somebody_else_was_just_answered() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let (far, caller, other) = (lan.host(0), lan.host(1), lan.host(2));
    caller.guard();
    other.guard();
    let _near = serve(caller, &["near"]);
    let _far: Vec<_> = ["far/a", "far/b"].map(|name| serve(far, &[name])).into();
    // They have been announced for long enough that nobody may have heard that by chance.
    for name in ["far/a", "far/b"] {
        answer(caller, &["discover", name, "--wait", "20s"]);
    }
    for asked in ["far/a", "far/b"] {
        for host in [other, caller] {
            // This is answered to everybody, and for a second not again (RFC 6762 §6).
            answer(host, &["discover", asked, "--wait", "20s"]);
            let listed = answer(caller, &["list"]);
            assert!(["near", "far/a", "far/b"].iter().all(|name| listed.contains(name)), "{listed}");
        }
    }
}

#[test]
fn a_firewall_for_ipv4_alone_hides_no_service_that_has_nothing_else() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(3);
    let caller = lan.host(2);
    lan.host(1).configure("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
    for rule in [
        "-i lo -j ACCEPT",
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-p udp -d 224.0.0.251 --dport 5353 -j ACCEPT",
        "-j DROP",
    ] {
        caller.configure(&format!("iptables-legacy -w -A INPUT {rule}"));
    }
    let _both = serve(lan.host(0), &["both"]);
    let _v4 = serve(lan.host(1), &["v4"]);
    // It has been announced for long enough that nobody may have heard that by chance.
    answer(caller, &["discover", "v4", "--wait", "20s"]);
    for _ in 0..3 {
        let listed = answer(caller, &["list"]);
        assert!(listed.contains("both ") && listed.contains("v4 "), "{listed}");
    }
}
