//! A program whose file descriptors are exhausted cannot ask for the interfaces of its host; the choice among them holds all the
//! same.

use std::process::Command;

use meshzero_testing::{Lan, Process, require};

use super::{PATIENCE, advertise, answer, failure};

/// Limits the descriptors of a running program.
fn limit_descriptors(program: &Process, most: u32) {
    let arguments = [format!("--pid={}", program.pid()), format!("--nofile={most}:")];
    let status = Command::new("prlimit").args(arguments).status().expect("util-linux is installed");
    assert!(status.success());
}

#[test]
fn a_choice_of_interfaces_outlasts_descriptors_that_are_exhausted() {
    if !require::netns() {
        return;
    }
    let lan = Lan::dual(2);
    let (robot, caller) = (lan.host(0), lan.host(1));
    let service = ["robot", "--reply", "here", "--at", "9000", "--interfaces", "eth0"];
    let (mut service, _) = advertise(robot, &service);
    assert_eq!(answer(caller, &["send", "10.77.0.1:9000", "x", "--wait", "20s"]), "here");
    // The way to it is by the other network from now on.
    caller.configure(
        "ip route del 10.77.0.0/24 dev eth0
         ip route add 10.77.0.1/32 via 10.78.0.1 dev eth1",
    );
    limit_descriptors(&service, 1);
    service.expect_error_line("the addresses of this host cannot be read", PATIENCE);
    let unanswered = || {
        let (code, said) = failure(caller, &["send", "10.77.0.1:9000", "x", "--wait", "2s"]);
        code != Some(0) && said.contains("no answer after")
    };
    assert!(unanswered(), "it arrives by an interface that was not chosen");
    limit_descriptors(&service, 1_024);
    assert!(unanswered(), "nor when there are descriptors again");
    caller.configure(
        "ip route del 10.77.0.1/32 dev eth1
         ip route add 10.77.0.0/24 dev eth0 src 10.77.0.2",
    );
    assert_eq!(answer(caller, &["send", "10.77.0.1:9000", "x", "--wait", "20s"]), "here");
}
