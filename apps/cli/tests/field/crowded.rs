//! Hosts that announce, and have very many addresses on one interface.

use meshzero_testing::{Host, Lan, Process, require};

use super::{PATIENCE, advertise, answer};

/// Gives `eth0` one address for each number, by a template such as `10.99.{hundreds}.{rest}/32`.
fn add(host: &Host, count: u16, address: impl Fn(u16, u16) -> String) {
    let mut batch = Process::start(host.command("ip").args(["-batch", "-"]));
    for number in 0..count {
        batch.send_line(&format!("addr add {} dev eth0", address(number / 200, number % 200)));
    }
    batch.close_stdin();
    batch.succeed(PATIENCE);
}

/// Advertises on the first host, calls from the second, and says goodbye.
fn is_found_and_leaves(lan: &Lan, expected: &str) {
    // The daemon names its addresses in an order of its own each time.
    for _ in 0..3 {
        let (mut service, _) = advertise(lan.host(0), &["greeter", "--reply", "here"]);
        for _ in 0..3 {
            assert_eq!(answer(lan.host(1), &["send", "greeter", "x", "--wait", "20s"]), "here");
        }
        let found = answer(lan.host(1), &["discover", "greeter", "--wait", "20s"]);
        assert!(found.starts_with(expected), "{found}");
        service.interrupt();
        assert!(service.wait(PATIENCE).success());
        assert!(!service.stderr().contains("goodbye"), "{}", service.stderr());
    }
}

#[test]
fn a_host_with_two_hundred_addresses_in_one_network_is_found() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    add(lan.host(0), 200, |_, rest| format!("10.77.0.{}/24", rest + 20));
    // The first few are announced, any of which will do.
    is_found_and_leaves(&lan, "10.77.0.");
}

#[test]
fn a_host_with_very_many_addresses_for_itself_is_found_also_at_one_of_them() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    add(lan.host(0), 1_500, |hundreds, rest| format!("10.99.{hundreds}.{}/32", rest + 1));
    is_found_and_leaves(&lan, "10.77.0.1:");
    // One that is not announced otherwise.
    let _service = advertise(lan.host(0), &["there", "--reply", "there", "--at", "10.99.5.150:9000"]);
    lan.host(1).configure("ip route add 10.99.0.0/16 dev eth0");
    assert_eq!(answer(lan.host(1), &["discover", "there", "--wait", "20s"]), "10.99.5.150:9000");
    assert_eq!(answer(lan.host(1), &["send", "there", "x"]), "there");
}

#[test]
fn a_host_with_two_hundred_networks_is_found_from_each() {
    if !require::netns() {
        return;
    }
    let lan = Lan::new(2);
    add(lan.host(0), 200, |_, rest| format!("10.200.{rest}.1/24"));
    for network in ["10.77.0", "10.200.0", "10.200.199"] {
        lan.host(1).configure(&format!(
            "ip -6 addr flush dev eth0
             ip addr flush dev eth0
             ip addr add {network}.2/24 brd + dev eth0"
        ));
        is_found_and_leaves(&lan, &format!("{network}.1:"));
        // Also where it listens at each of its addresses.
        let chosen = ["chosen", "--reply", "here", "--at", "9000", "--interfaces", "eth0"];
        let _service = advertise(lan.host(0), &chosen);
        let found = answer(lan.host(1), &["discover", "chosen", "--wait", "20s"]);
        assert_eq!(found, format!("{network}.1:9000"));
    }
}
