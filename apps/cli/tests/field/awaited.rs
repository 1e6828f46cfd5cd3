//! Chosen interfaces that a host does not have when a program starts: an adapter that is plugged in later, a tunnel that is made
//! later, an address that is given later; or a typo.

use meshzero_testing::{Lan, Process, eventually, require};

use super::{PATIENCE, advertise, answer, failure, mz};

/// All ways to choose the interface `usb0` with the address `10.79.0.1/24`: a name for each, the choice, and what is missing.
const WAYS: [(&str, &str, &str); 5] = [
    ("name", "usb0", "no interface \"usb0\" yet"),
    ("names", "us*", "no interface whose name fits \"us*\" yet"),
    ("address", "10.79.0.1", "no interface with the address 10.79.0.1 yet"),
    ("network", "10.79.0.0/24", "no interface with an address in 10.79.0.0/24 yet"),
    ("addresses", "10.79.*", "no interface with an address that fits \"10.79.*\" yet"),
];

#[test]
fn what_does_not_exist_yet_is_waited_for_however_it_is_chosen() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    let start = |(name, chosen, missing): (&str, &str, &str)| {
        let (mut service, address) = advertise(robot, &[name, "--reply", "here", "--interfaces", chosen]);
        assert!(address.starts_with("*:"), "{chosen}: there is no address yet: {address}");
        let said = service.expect_error_line(missing, PATIENCE);
        assert!(said.contains("eth0 (10.77.0.1)"), "{chosen}: {said}");
        service
    };
    let mut services: Vec<Process> = WAYS.into_iter().map(start).collect();
    let mut call = mz(robot, &["send", "there", "x", "--wait", "50s", "--interfaces", "usb*"]);
    eventually(PATIENCE, "who calls is told as well", || {
        call.stderr().contains("fits \"usb*\" yet").then_some(())
    });
    Lan::join(robot, observer, "usb0");
    observer.configure("ip addr add 10.79.0.2/24 brd + dev usb0");
    robot.configure("ip addr add 10.79.0.1/24 brd + dev usb0");
    let _there = advertise(observer, &["there", "--reply", "there"]);
    assert_eq!(call.succeed(PATIENCE).trim(), "there");
    for (service, (name, ..)) in services.iter_mut().zip(WAYS) {
        assert_eq!(answer(observer, &["send", name, "x", "--wait", "30s"]), "here", "{name}");
        let found = answer(observer, &["discover", name, "--wait", "30s"]);
        assert!(found.starts_with("10.79.0.1:"), "{name}: {found}");
        service.interrupt();
        assert!(service.wait(PATIENCE).success());
    }
}

#[test]
fn a_pattern_of_names_waits_for_an_address_and_for_a_cable() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    robot.configure("ip addr flush dev eth0");
    let (mut service, _) = advertise(robot, &["robot", "--reply", "here", "--interfaces", "e*0"]);
    service.expect_error_line("fits \"e*0\" has no address yet", PATIENCE);
    robot.configure("ip addr add 10.77.0.1/24 brd + dev eth0");
    assert_eq!(answer(observer, &["send", "robot", "x", "--wait", "30s"]), "here");
    robot.cut();
    eventually(PATIENCE, "the plug is out", || {
        robot.ask_ip(&["link", "show", "eth0"]).contains("NO-CARRIER").then_some(())
    });
    let (mut service, _) = advertise(robot, &["another", "--reply", "here", "--interfaces", "10.77.*"]);
    service.expect_error_line("fits \"10.77.*\" is not connected yet", PATIENCE);
    robot.heal();
    assert_eq!(answer(observer, &["send", "another", "x", "--wait", "50s"]), "here");
}

#[test]
fn a_typo_is_told_at_once() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(1);
    let (code, said) = failure(lan.host(0), &["discover", "robot", "--interfaces", "eht0", "--wait", "1s"]);
    assert_eq!(code, Some(1), "{said}");
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.contains("no interface \"eht0\" yet, only") && first.contains("eth0 (10.77.0.1)"),
        "{said}"
    );
    let typo = ["list", "--json", "--interfaces", "eht*", "--wait", "1s"];
    let (_, said) = failure(lan.host(0), &typo);
    assert!(said.contains("\"waiting_for\":\"eht*\""), "{said}");
}
