//! Other people's mDNS sees our services: Avahi's browser and python-zeroconf, in networks of their own.

use std::time::Duration;

use meshzero_testing::{Avahi, Lan, Process, binary, eventually, require, zeroconf};

const PATIENCE: Duration = Duration::from_secs(60);

fn advertise(lan: &Lan, name: &str) -> Process {
    let mut service =
        Process::start(lan.host(0).command(binary("mz")).args(["advertise", name, "--echo", "--at", "9000"]));
    service.expect_line("is at", PATIENCE);
    service
}

#[test]
fn avahi_browse_resolves_our_services() {
    if !require::avahi() {
        return;
    }
    let lan = Lan::new(2);
    let avahi = Avahi::start(lan.host(1));
    let mut service = advertise(&lan, "robot/arm");
    let address = lan.host(0).address().to_string();
    let resolved = eventually(PATIENCE, "avahi-browse resolves the service", || {
        let seen = avahi.browse("_meshzero._tcp");
        seen.lines().find(|line| line.starts_with('=') && line.contains(&address)).map(str::to_owned)
    });
    for part in ["_meshzero._tcp", ";9000;", "svc=robot/arm", "mesh=meshzero"] {
        assert!(resolved.contains(part), "{part} in {resolved}");
    }
    service.interrupt();
    service.wait(PATIENCE);
    eventually(PATIENCE, "Avahi heard the goodbye", || {
        (!avahi.browse("_meshzero._tcp").contains("robot/arm")).then_some(())
    });
}

#[test]
fn python_zeroconf_sees_our_services_come_and_go() {
    if !require::zeroconf() {
        return;
    }
    let lan = Lan::new(2);
    let mut browser = zeroconf::browse(lan.host(1), "_meshzero._tcp.local.");
    let mut service = advertise(&lan, "Küche/温度");
    let up = browser.expect_line("up ", PATIENCE);
    for part in ["port=9000", "svc=Küche/温度", &lan.host(0).address().to_string()] {
        assert!(up.contains(part), "{part} in {up}");
    }
    service.interrupt();
    service.wait(PATIENCE);
    browser.expect_line("down ", PATIENCE);
}
