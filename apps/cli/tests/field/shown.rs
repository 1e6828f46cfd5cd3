//! The addresses that people are shown: those by which others reach a service, as they are now.

use meshzero_testing::{Lan, eventually, require};

use super::{PATIENCE, advertise, answer, serve};

#[test]
fn a_service_is_shown_at_an_address_of_the_network_and_not_at_one_of_a_bridge_inside_its_host() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    lan.host(0).configure(
        "ip link add virbr0 type bridge
         ip addr add 192.168.122.1/24 brd + dev virbr0
         ip link add v0 type veth peer name v1
         ip link set v0 master virbr0 up
         ip link set v1 up
         ip link set virbr0 up",
    );
    let (_service, address) = advertise(lan.host(0), &["robot", "--echo", "--at", "9000"]);
    assert_eq!(address, "10.77.0.1:9000");
    for host in lan.hosts() {
        eventually(PATIENCE, "all its addresses are known", || {
            let listed = answer(host, &["list"]);
            listed.contains("robot    10.77.0.1:9000").then_some(())
        });
    }
}

#[test]
fn who_advertises_is_told_where_the_service_is_when_the_network_comes_and_changes() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    let host = lan.host(0);
    host.configure("ip addr flush dev eth0");
    let mut service = serve(host, &["robot", "--echo", "--at", "9000"]);
    host.configure("ip addr add 10.77.0.1/24 brd + dev eth0");
    service.expect_line("robot is now at 10.77.0.1:9000", PATIENCE);
    host.configure("ip addr add 10.77.0.7/24 brd + dev eth0");
    // What was added beside an address of the same network goes with that one.
    host.configure("ip addr del 10.77.0.1/24 dev eth0\nip addr replace 10.77.0.7/24 brd + dev eth0");
    service.expect_line("robot is now at 10.77.0.7:9000", PATIENCE);
}
