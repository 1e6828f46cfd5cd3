//! `mz gateway networkzero` between a mesh and NetworkZero, on networks of their own.

use std::time::Duration;

use meshzero_testing::{Host, Lan, Process, binary, eventually, python, require};
use serde_json::json;

use crate::support::json;

/// Generous: the machine may be busy, and an advert takes seconds by itself.
const PATIENCE: Duration = Duration::from_secs(60);

fn mz(host: &Host, arguments: &[&str]) -> Process {
    Process::start(host.command(binary("mz")).args(arguments))
}

/// A network on which NetworkZero works: it looks for the interface of a default route.
fn lan(hosts: u8) -> Option<Lan> {
    if !require::netns() || !require::networkzero() {
        return None;
    }
    let lan = Lan::new(hosts);
    for host in lan.hosts() {
        let route = ["route", "add", "default", "via", "10.77.0.250", "dev", "eth0"];
        Process::start(host.command("ip").args(route)).succeed(PATIENCE);
    }
    Some(lan)
}

/// Two services of the mesh on `host`.
fn mesh_services(host: &Host) -> [Process; 2] {
    let mut greeter = mz(host, &["advertise", "mesh/greeter", "--reply", "Hello, {}!"]);
    greeter.expect_line("is at", PATIENCE);
    let weather = mz(host, &["publish", "mesh/weather", "temp", "21.5", "--rate", "20"]);
    [greeter, weather]
}

/// Two services of NetworkZero on `host`.
fn native_services(host: &Host, ip: &str) -> Process {
    let addresses = [format!("{ip}:50001"), format!("{ip}:50002")];
    let arguments = [&addresses[0], &addresses[1], "native/hello", "native/news"];
    let mut serves = python::start_on(host, include_str!("serves.py"), &arguments);
    serves.expect_line("ready", PATIENCE);
    serves
}

/// The services of the mesh that NetworkZero on `host` finds.
fn natives_see_the_mesh(host: &Host) {
    let said = python::start_on(host, include_str!("asks.py"), &["mesh/greeter", "mesh/weather", "mesh"])
        .succeed(PATIENCE);
    let said: Vec<_> = said.lines().map(json).collect();
    let expected = [
        json!("Hello, [\"World\",1]!"),
        json!(["temp", 21.5]),
        json!(["mesh/greeter", "mesh/weather"]),
        json!(null),
    ];
    assert_eq!(said, expected);
}

/// The services of NetworkZero that the mesh on `host` finds.
fn the_mesh_sees_natives(host: &Host) {
    let reply = mz(host, &["send", "native/hello", "[1]", "--wait", "40s"]).succeed(PATIENCE);
    assert_eq!(json(reply.trim()), json!({ "hello": [1] }));
    let heard = mz(host, &["listen", "native/news", "tick/0", "--count", "2", "--json"]).succeed(PATIENCE);
    assert_eq!(heard.lines().count(), 2, "{heard}");
}

#[test]
fn a_gateway_that_is_the_beacon_brings_both_sides_together() {
    let Some(lan) = lan(3) else { return };
    let (gateway, natives, mesh) = (lan.host(0), lan.host(1), lan.host(2));
    let mut running = mz(gateway, &["gateway", "networkzero"]);
    running.expect_line("is the beacon", PATIENCE);
    let _mesh = mesh_services(mesh);
    let mut native = native_services(natives, &natives.address().to_string());
    the_mesh_sees_natives(mesh);
    natives_see_the_mesh(natives);
    // A program on the gateway's own machine uses its beacon.
    natives_see_the_mesh(gateway);
    native.kill();
    running.expect_line("gone from the mesh", PATIENCE);
    eventually(PATIENCE, "the mesh has no service whose program is dead", || {
        let mut list = mz(mesh, &["list", "--json"]);
        list.wait(PATIENCE);
        (!list.stdout().contains("native/")).then_some(())
    });
    running.interrupt();
    assert!(running.wait(PATIENCE).success(), "{}", running.stderr());
}

#[test]
fn a_gateway_asks_the_beacon_that_another_program_is_and_takes_over_when_that_ends() {
    let Some(lan) = lan(2) else { return };
    let (here, mesh) = (lan.host(0), lan.host(1));
    let mut native = native_services(here, &here.address().to_string());
    let mut running = mz(here, &["gateway", "networkzero"]);
    running.expect_line("another program is the beacon", PATIENCE);
    let _mesh = mesh_services(mesh);
    the_mesh_sees_natives(mesh);
    natives_see_the_mesh(here);
    native.kill();
    running.expect_line("this program is the beacon", PATIENCE);
    let _native = native_services(here, &here.address().to_string());
    the_mesh_sees_natives(mesh);
    natives_see_the_mesh(here);
}

#[test]
fn a_gateway_that_ends_takes_back_what_it_told_another_beacon() {
    let Some(lan) = lan(1) else { return };
    let here = lan.host(0);
    let _native = native_services(here, &here.address().to_string());
    let _mesh = mesh_services(here);
    let mut running = mz(here, &["gateway", "networkzero"]);
    running.expect_line("mesh/weather", PATIENCE);
    natives_see_the_mesh(here);
    running.terminate();
    assert!(running.wait(PATIENCE).success(), "{}", running.stderr());
    let all = "import networkzero as nw0; print(nw0.discovery._rpc('discover_all'))";
    eventually(PATIENCE, "the beacon has forgotten the mesh", || {
        let all = python::start_on(here, all, &[]).succeed(PATIENCE);
        (all.contains("native/") && !all.contains("mesh/")).then_some(())
    });
}

#[test]
fn two_gateways_bring_a_service_over_once() {
    let Some(lan) = lan(3) else { return };
    let (first, second, other) = (lan.host(0), lan.host(1), lan.host(2));
    let gateways = [first, second].map(|host| {
        let mut gateway = mz(host, &["gateway", "networkzero"]);
        gateway.expect_line("is the beacon", PATIENCE);
        gateway
    });
    let _mesh = mesh_services(other);
    let _native = native_services(other, &other.address().to_string());
    let instances = || {
        let mut list = mz(second, &["list", "--json"]);
        list.wait(PATIENCE);
        ["native/hello", "native/news"].map(|name| list.stdout().matches(name).count())
    };
    // Both may have brought one over at the same moment, until one of them gives way.
    eventually(PATIENCE, "one of them has brought each over", || (instances() == [1, 1]).then_some(()));
    the_mesh_sees_natives(first);
    natives_see_the_mesh(first);
    // Adverts of both have gone round several times while these programs ran.
    assert_eq!(instances(), [1, 1]);
    let brought = |gateway: &Process| gateway.stdout().matches("-> mesh  native/hello").count();
    let in_all: usize = gateways.iter().map(brought).sum();
    assert!((1..=2).contains(&in_all), "it goes to and fro: {in_all} times");
    for gateway in &gateways {
        assert!(!gateway.stdout().contains("-> mesh  mesh/"), "{}", gateway.stdout());
        assert!(!gateway.stdout().contains("-> NetworkZero  native/"), "{}", gateway.stdout());
    }
}
