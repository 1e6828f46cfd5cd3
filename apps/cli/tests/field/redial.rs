//! Links that are dialled again while their host is cut off, where what answers on this host might be taken for the other one.

use std::thread;
use std::time::Duration;

use meshzero_testing::{Host, Lan, eventually, require};

use super::{PATIENCE, mz, serve};
use crate::support::children;

/// A bridge of both families with one container on it, at addresses that every host of this network has.
fn add_bridge(host: &Host) {
    host.configure(
        "ip link add docker0 type bridge
         ip addr add 172.17.0.1/16 brd + dev docker0
         ip addr add fd17::1/64 dev docker0 nodad
         ip link add c0 type veth peer name c1
         ip link set c0 master docker0 up
         ip link set c1 up
         ip link set docker0 up",
    );
}

#[test]
fn a_service_of_the_callers_host_at_shared_addresses_ends_no_call_while_the_callers_cable_is_out() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.block_multicast();
    lan.hosts().iter().for_each(add_bridge);
    let slow = serve(
        lan.host(0),
        &["slow", "--exec", "sh -c 'sleep 16; echo late'", "--limit", "60s", "--at", "9000"],
    );
    let _own = serve(lan.host(1), &["other", "--echo", "--at", "9000"]);
    let mut call = mz(lan.host(1), &["--peers", "10.77.0.1:9000", "send", "slow", "x", "--wait", "50s"]);
    eventually(PATIENCE, "the request is being handled", || (!children(&slow).is_empty()).then_some(()));
    lan.host(1).cut();
    // As long as it takes until the connection is given up and others have been tried for most of the time that links wait.
    thread::sleep(Duration::from_secs(12));
    lan.host(1).heal();
    assert_eq!(call.succeed(PATIENCE).trim(), "late");
}
