//! Other people's mDNS on a test's network: Avahi and python-zeroconf start there, and find each other.

use std::time::Duration;

use meshzero_testing::{Avahi, Lan, eventually, require, zeroconf};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn avahi_sees_what_avahi_publishes_on_another_host() {
    if !require::avahi() {
        return;
    }
    let lan = Lan::new(2);
    let (first, second) = (Avahi::start(lan.host(0)), Avahi::start(lan.host(1)));
    let _service = first.publish("some service", "_meshzero._tcp", 4711, &["version=1"]);
    let seen = eventually(SOON, "avahi-browse resolves it", || {
        let seen = second.browse("_meshzero._tcp");
        seen.lines().any(|line| line.starts_with("=;eth0;IPv4;")).then_some(seen)
    });
    assert!(seen.contains(";10.77.0.1;4711;\"version=1\""), "{seen}");
}

#[test]
fn zeroconf_sees_a_service_come_and_go() {
    if !require::zeroconf() {
        return;
    }
    let lan = Lan::new(2);
    let mut watcher = zeroconf::browse(lan.host(1), "_meshzero._tcp.local.");
    let mut service = zeroconf::advertise(lan.host(0), "_meshzero._tcp.local.", "arm", 4711, &["version=1"]);
    let line = watcher.expect_line("up arm._meshzero._tcp.local.", SOON);
    assert_eq!(line, "up arm._meshzero._tcp.local. host=arm.local. addresses=10.77.0.1 port=4711 version=1");
    service.close_stdin();
    assert!(service.wait(SOON).success());
    watcher.expect_line("down arm._meshzero._tcp.local.", SOON);
}

#[test]
fn avahi_sees_what_zeroconf_advertises() {
    if !require::avahi() || !require::zeroconf() {
        return;
    }
    let lan = Lan::new(2);
    let avahi = Avahi::start(lan.host(1));
    let _service = zeroconf::advertise(lan.host(0), "_meshzero._tcp.local.", "arm", 4711, &["version=1"]);
    let seen = eventually(SOON, "avahi-browse resolves it", || {
        let seen = avahi.browse("_meshzero._tcp");
        seen.contains(";10.77.0.1;4711;").then_some(seen)
    });
    assert!(seen.contains(";arm;_meshzero._tcp;local;arm.local;"), "{seen}");
}
