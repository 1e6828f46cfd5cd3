//! Networks and addresses that come after the program.

use meshzero_testing::{Host, Lan, Process, eventually, require};

use super::{PATIENCE, advertise, answer, mz, output};

fn unplug(host: &Host) {
    host.configure(
        "ip addr flush dev eth0 scope global
         ip link set eth0 down",
    );
}

fn plug_in(host: &Host, address: &str) {
    host.configure(&format!(
        "ip link set eth0 up
         ip addr add {address} brd + dev eth0"
    ));
}

#[test]
fn a_service_that_was_started_before_the_network_is_on_it() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    unplug(robot);
    let (_service, address) = advertise(robot, &["robot", "--reply", "here", "--at", "9000"]);
    assert_eq!(address, "127.0.0.1:9000", "there is nothing else yet");
    let mut watch = mz(observer, &["list", "--watch"]);
    plug_in(robot, "10.77.0.1/24");
    let line = watch.expect_line("robot", PATIENCE);
    assert!(line.contains("10.77.0.1:9000"), "{line}");
    assert_eq!(answer(observer, &["discover", "robot", "--wait", "30s"]), "10.77.0.1:9000");
    assert_eq!(answer(observer, &["send", "robot", "x", "--wait", "30s"]), "here");
    // Another network later is another address.
    robot.configure("ip addr add 10.79.0.1/24 dev eth0");
    observer.configure("ip addr add 10.79.0.2/24 dev eth0");
    robot.configure("ip addr del 10.77.0.1/24 dev eth0");
    eventually(PATIENCE, "it is found at its new address", || {
        let found = output(observer, &["discover", "robot", "--wait", "5s"]);
        (found.trim() == "10.79.0.1:9000").then_some(())
    });
    assert_eq!(answer(observer, &["send", "robot", "x", "--wait", "30s"]), "here");
}

#[test]
fn an_interface_without_an_address_is_waited_for() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    robot.configure("ip addr flush dev eth0");
    let (mut service, address) =
        advertise(robot, &["robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0"]);
    assert_eq!(address, "*:9000", "there is no address yet");
    service.expect_error_line("\"eth0\" has no address yet", PATIENCE);
    let (_free, address) = advertise(robot, &["free", "--reply", "there", "--interfaces", "eth0"]);
    let port = address.strip_prefix("*:").expect("the port is known");
    robot.configure("ip addr add 10.77.0.1/24 brd + dev eth0");
    assert_eq!(answer(observer, &["send", "robot", "x", "--wait", "30s"]), "here");
    assert_eq!(answer(observer, &["discover", "robot", "--wait", "30s"]), "10.77.0.1:9000");
    assert_eq!(answer(observer, &["discover", "free", "--wait", "30s"]), format!("10.77.0.1:{port}"));
    assert_eq!(
        service.stderr().matches("no address yet").count(),
        1,
        "it is said once: {}",
        service.stderr()
    );
    service.interrupt();
    assert!(service.wait(PATIENCE).success());
}

#[test]
fn who_calls_waits_for_the_interface_as_well() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (caller, robot) = (lan.host(0), lan.host(1));
    let _service = advertise(robot, &["robot", "--reply", "here"]);
    caller.configure("ip addr flush dev eth0");
    let mut call = mz(caller, &["send", "robot", "x", "--wait", "50s", "--interfaces", "eth0"]);
    eventually(PATIENCE, "it says what it waits for", || {
        call.stderr().contains("\"eth0\" has no address yet").then_some(())
    });
    caller.configure("ip addr add 10.77.0.1/24 brd + dev eth0");
    assert_eq!(call.succeed(PATIENCE).trim(), "here");
}

#[test]
fn a_cable_that_is_not_plugged_in_is_waited_for() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    robot.cut();
    eventually(PATIENCE, "the plug is out", || {
        robot.ask_ip(&["link", "show", "eth0"]).contains("NO-CARRIER").then_some(())
    });
    let (mut service, _) = advertise(robot, &["robot", "--reply", "here", "--interfaces", "eth0"]);
    service.expect_error_line("\"eth0\" is not connected yet", PATIENCE);
    robot.heal();
    assert_eq!(answer(observer, &["send", "robot", "x", "--wait", "50s"]), "here");
}

#[test]
fn what_changes_is_noticed_when_the_system_tells_of_it() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    let arguments = ["-vvv", "robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0"];
    let (service, _) = advertise(robot, &arguments);
    for number in [50, 51] {
        let told = |service: &Process| {
            service.stderr().matches("the system reports changed interfaces or addresses").count()
        };
        let before = told(&service);
        robot.configure(&format!("ip addr add 10.77.0.{number}/24 dev eth0"));
        eventually(PATIENCE, "the system reports it", || (told(&service) > before).then_some(()));
        let address = format!("10.77.0.{number}:9000");
        eventually(PATIENCE, "it listens there", || {
            mz(observer, &["send", &address, "x", "--wait", "2s"]).wait(PATIENCE).success().then_some(())
        });
    }
}

#[test]
fn a_service_whose_cable_is_out_has_not_moved() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, observer) = (lan.host(0), lan.host(1));
    let (service, address) = advertise(robot, &["robot", "--reply", "here", "--at", "9000"]);
    assert_eq!(address, "10.77.0.1:9000");
    let moves = || -> Vec<String> {
        let seen = service.stdout();
        seen.lines().filter(|line| line.contains("is now at")).map(str::to_owned).collect()
    };
    robot.configure(
        "ip addr flush dev eth0
         ip addr add 10.77.0.7/24 brd + dev eth0",
    );
    eventually(PATIENCE, "it has moved", || (moves() == ["robot is now at 10.77.0.7:9000"]).then_some(()));
    robot.cut();
    eventually(PATIENCE, "the plug is out", || {
        robot.ask_ip(&["link", "show", "eth0"]).contains("NO-CARRIER").then_some(())
    });
    // Two looks later at the least.
    eventually(PATIENCE, "it has looked", || {
        let failed = mz(observer, &["send", "10.77.0.7:9000", "x", "--wait", "3s"]).wait(PATIENCE);
        (!failed.success()).then_some(())
    });
    robot.heal();
    assert_eq!(answer(observer, &["send", "10.77.0.7:9000", "x", "--wait", "50s"]), "here");
    robot.configure(
        "ip addr flush dev eth0
         ip addr add 10.77.0.8/24 brd + dev eth0",
    );
    eventually(PATIENCE, "it has moved again", || {
        moves().last().is_some_and(|line| line.ends_with("is now at 10.77.0.8:9000")).then_some(())
    });
    assert_eq!(moves().len(), 2, "{:?}", moves());
}
