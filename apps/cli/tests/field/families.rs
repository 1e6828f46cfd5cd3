//! Hosts with both families of addresses, with one of them, and with link-local addresses only, on one network.

use std::time::{Duration, Instant};

use meshzero_testing::{Host, Lan, Process, eventually, require};

use super::{PATIENCE, answer, mz, serve};

/// A host with both families, one with IPv4 alone, one with IPv6 alone, and one that DHCP gave nothing.
fn lan() -> Lan {
    let lan = Lan::new(4);
    lan.host(1).configure("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
    lan.host(2).configure("ip -4 addr flush dev eth0");
    lan.host(3).configure(
        "ip -4 addr flush dev eth0
         ip -6 addr flush dev eth0 scope global",
    );
    lan
}

/// Advertises on each host, and waits until the announcements, the last of them nine seconds after the first, are over.
fn offer(lan: &Lan) -> Vec<Process> {
    let names = ["both", "v4", "v6", "link-local"];
    let offer = |(host, name): (&Host, &str)| serve(host, &[name, "--reply", "Hello, {}!"]);
    let services = lan.hosts().iter().zip(names).map(offer).collect();
    let begun = Instant::now();
    let over = || (begun.elapsed() > Duration::from_secs(11)).then_some(());
    eventually(PATIENCE, "the announcements are over", over);
    services
}

fn finds(host: &Host, names: &[&str]) {
    for name in names {
        assert_eq!(answer(host, &["send", name, "you", "--wait", "20s"]), "Hello, you!", "{name}");
    }
    let listed = answer(host, &["list", "--wait", "20s"]);
    assert!(names.iter().all(|name| listed.contains(&format!("{name} "))), "{names:?} of\n{listed}");
}

#[test]
fn all_find_each_other_that_have_a_family_in_common() {
    if !require::netns() {
        return;
    }
    let lan = lan();
    let _services = offer(&lan);
    finds(lan.host(0), &["both", "v4", "v6", "link-local"]);
    finds(lan.host(1), &["both", "v4"]);
    finds(lan.host(2), &["both", "v6", "link-local"]);
    finds(lan.host(3), &["both", "v6", "link-local"]);
}

#[test]
fn behind_a_firewall_all_that_have_a_family_in_common_are_found_as_well() {
    if !require::netns() {
        return;
    }
    let lan = lan();
    let _services = offer(&lan);
    lan.host(0).guard();
    finds(lan.host(0), &["both", "v4", "v6", "link-local"]);
    // It lets no calls in either.
    lan.host(3).guard();
    finds(lan.host(3), &["v6", "link-local"]);
}

#[test]
fn a_watcher_with_one_family_sees_at_once_what_is_new() {
    if !require::netns() {
        return;
    }
    let lan = lan();
    let watch = |host| mz(lan.host(host), &["list", "--watch"]);
    let _first = serve(lan.host(0), &["first"]);
    let mut watches: Vec<Process> = (0..4).map(watch).collect();
    for watch in &mut watches {
        watch.expect_line("first", PATIENCE);
    }
    let second = serve(lan.host(0), &["second"]);
    for watch in &mut watches {
        watch.expect_line("second", PATIENCE);
    }
    drop(second);
    for watch in &mut watches {
        watch.expect_line("down", PATIENCE);
        assert!(!watch.stdout().contains("moved"), "{}", watch.stdout());
    }
}
