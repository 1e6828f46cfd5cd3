//! A choice of interfaces holds for what arrives by others as well, although Linux takes packets for any of its addresses by any
//! of its interfaces.

use meshzero_testing::{Host, Lan, eventually, require};

use super::{PATIENCE, advertise, answer, failure};

/// Returns whether a service answers at an address; if not, nothing at all must come back.
fn answers(host: &Host, address: &str) -> bool {
    let (code, said) = failure(host, &["send", address, "x", "--wait", "2s"]);
    assert!(code == Some(0) || said.contains("no answer after"), "a refusal means a dead process: {said}");
    code == Some(0)
}

/// Sends what is for the chosen addresses of the robot by the other network.
fn detour(caller: &Host) {
    caller.configure(
        "ip route del 10.77.0.0/24 dev eth0
         ip route add 10.77.0.1/32 via 10.78.0.1 dev eth1
         ip -6 route del fd77::/64 dev eth0
         ip -6 route add fd77::1/128 via fd78::1 dev eth1",
    );
}

#[test]
fn nothing_that_arrives_by_another_interface_is_accepted() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let (_service, address) = advertise(robot, &["robot", "--reply", "here", "--interfaces", "eth0"]);
    let port = address.strip_prefix("10.77.0.1:").expect("the address of eth0");
    let zoned = format!("[{}%eth0]:{port}", robot.link_local("eth0"));
    let chosen = [format!("10.77.0.1:{port}"), format!("[fd77::1]:{port}"), zoned];
    for address in &chosen {
        assert!(answers(caller, address), "{address}");
        assert!(answers(robot, address), "{address}, from its own host");
    }
    for interfaces in ["eth0", "lo,eth0", "all"] {
        let call = ["send", "robot", "x", "--wait", "20s", "--interfaces", interfaces];
        assert_eq!(answer(robot, &call), "here", "from its own host, {interfaces}");
    }
    detour(caller);
    for address in &chosen[..2] {
        assert!(!answers(caller, address), "{address}, by eth1");
        assert!(answers(robot, address), "{address}, from its own host");
    }
    // Where both interfaces are in one network, others send to either for both.
    robot.configure("ip addr add 10.77.0.9/24 dev eth1");
    eventually(PATIENCE, "it is reached by the same network", || answers(caller, &chosen[0]).then_some(()));
    robot.configure("ip addr del 10.77.0.9/24 dev eth1");
    eventually(PATIENCE, "that has been noticed", || (!answers(caller, &chosen[0])).then_some(()));
}

#[test]
fn all_chosen_interfaces_are_ways_to_all_chosen_addresses() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let both = ["robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0,eth1"];
    let _service = advertise(robot, &both);
    let _open = advertise(robot, &["open", "--reply", "here", "--at", "9001"]);
    detour(caller);
    for address in ["10.77.0.1:9000", "[fd77::1]:9000", "10.78.0.1:9000", "10.77.0.1:9001", "[fd77::1]:9001"]
    {
        assert!(answers(caller, address), "{address}");
    }
}

#[test]
fn an_adapter_that_is_pulled_out_and_put_back_is_the_chosen_one_again() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let _service = advertise(robot, &["robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0"]);
    assert!(answers(caller, "10.77.0.1:9000"));
    // It has another number then.
    lan.replug(0);
    eventually(PATIENCE, "it is reached again", || {
        let (code, _) = failure(caller, &["send", "10.77.0.1:9000", "x", "--wait", "2s"]);
        (code == Some(0)).then_some(())
    });
    assert_eq!(answer(caller, &["send", "robot", "x", "--wait", "30s"]), "here");
}
