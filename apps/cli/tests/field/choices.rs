//! A choice of interfaces: where it lets an endpoint listen, as addresses come and go.

use meshzero_testing::{Host, Lan, eventually, require};

use super::{PATIENCE, advertise, answer, failure};

/// Returns whether an address is listened at: `None` if nothing comes back from it.
fn listens(host: &Host, address: &str) -> Option<bool> {
    let (code, said) = failure(host, &["send", address, "x", "--wait", "2s"]);
    match code {
        Some(0) => Some(true),
        _ if said.contains("refused") => Some(false),
        _ => None,
    }
}

#[test]
fn nobody_listens_on_an_interface_that_was_not_chosen() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let (_service, address) =
        advertise(robot, &["robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0"]);
    assert_eq!(address, "10.77.0.1:9000");
    for chosen in ["10.77.0.1:9000", "[fd77::1]:9000"] {
        assert_eq!(answer(caller, &["send", chosen, "x"]), "here", "{chosen}");
        assert_eq!(answer(robot, &["send", chosen, "x"]), "here", "{chosen}, from the same host");
    }
    for other in ["10.78.0.1:9000", "[fd78::1]:9000"] {
        assert_eq!(listens(caller, other), Some(false), "{other}");
    }
    // A client that knows both networks is told of one.
    let listed = answer(caller, &["discover", "robot", "--json", "--wait", "20s"]);
    assert!(listed.contains("10.77.0.1:9000") && !listed.contains("10.78.0.1"), "{listed}");
    // An address that comes later is that of its interface as well.
    robot.configure(
        "ip addr add 10.77.0.50/24 dev eth0
         ip addr add 10.78.0.50/24 dev eth1",
    );
    eventually(PATIENCE, "it listens at the new address", || {
        (listens(caller, "10.77.0.50:9000") == Some(true)).then_some(())
    });
    assert_eq!(listens(caller, "10.78.0.50:9000"), Some(false));
    // One that moves to the other interface is not listened at any more.
    robot.configure(
        "ip addr del 10.77.0.50/24 dev eth0
         ip addr add 10.77.0.50/32 dev eth1",
    );
    eventually(PATIENCE, "it no longer listens at the address that has moved", || {
        (listens(caller, "10.77.0.50:9000") == Some(false)).then_some(())
    });
    assert_eq!(answer(caller, &["send", "10.77.0.1:9000", "x"]), "here");
}

#[test]
fn nobody_is_refused_at_an_address_that_goes_and_returns() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let _service = advertise(robot, &["robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0"]);
    robot.configure("ip addr add 10.77.0.50/24 dev eth0");
    robot.configure("ip addr del 10.77.0.1/24 dev eth0");
    // Without the first of them the network's other addresses are gone as well, unless they are added again.
    robot.configure("ip addr replace 10.77.0.50/24 dev eth0");
    eventually(PATIENCE, "the change has been noticed", || {
        (listens(caller, "10.77.0.50:9000") == Some(true)).then_some(())
    });
    robot.configure("ip addr add 10.77.0.1/24 dev eth0");
    assert_eq!(
        listens(caller, "10.77.0.1:9000"),
        Some(true),
        "a link would take a refusal for the end of the process"
    );
}

#[test]
fn loopback_and_all_interfaces_are_what_they_were() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let (_private, address) =
        advertise(robot, &["private", "--reply", "here", "--at", "9000", "--interfaces", "lo"]);
    assert_eq!(address, "127.0.0.1:9000");
    assert_eq!(listens(robot, "127.0.0.1:9000"), Some(true));
    for other in ["10.77.0.1:9000", "10.78.0.1:9000", "[::1]:9000"] {
        assert_eq!(listens(robot, other), Some(false), "{other}");
    }
    let _public = advertise(robot, &["public", "--reply", "here", "--at", "9001"]);
    for address in ["10.77.0.1:9001", "[fd77::1]:9001", "10.78.0.1:9001", "[fd78::1]:9001"] {
        assert_eq!(listens(caller, address), Some(true), "{address}");
    }
}

#[test]
fn an_address_with_a_label_belongs_to_its_interface() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    for (host, address) in [(robot, "169.254.7.1/16"), (caller, "169.254.7.2/16")] {
        host.configure(&format!(
            "ip addr flush dev eth0 scope global
             ip addr add {address} brd + dev eth0 label eth0:avahi"
        ));
    }
    let (_whole, address) = advertise(robot, &["whole", "--reply", "here", "--interfaces", "eth0"]);
    assert!(address.starts_with("169.254.7.1:"), "{address}");
    assert_eq!(answer(caller, &["send", "whole", "x", "--wait", "20s", "--interfaces", "eth0"]), "here");
    // The label alone is that one address.
    robot.configure("ip addr add 10.77.0.1/24 dev eth0");
    let label = ["label", "--reply", "here", "--at", "9000", "--interfaces", "eth0:avahi"];
    let (_label, address) = advertise(robot, &label);
    assert_eq!(address, "169.254.7.1:9000");
    caller.configure("ip addr add 10.77.0.2/24 dev eth0");
    assert_eq!(listens(caller, "10.77.0.1:9000"), Some(false));
    assert_eq!(listens(caller, "169.254.7.1:9000"), Some(true));
}
