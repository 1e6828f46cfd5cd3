//! A cable between two computers without DHCP: nothing but link-local IPv6 addresses, which need their zone.

use meshzero_testing::{Lan, eventually, require};

use super::{PATIENCE, advertise, answer, failure, mz, output};

/// A laptop and a robot on a cable, and the robot's address.
fn cable() -> (Lan, String) {
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.configure("ip addr flush dev eth0 scope global");
    }
    let address = lan.host(0).link_local("eth0").to_string();
    (lan, address)
}

#[test]
fn a_link_local_address_with_its_zone_is_read_and_shown_everywhere() {
    if !require::netns() {
        return;
    }
    let (lan, ip) = cable();
    let (robot, laptop) = (lan.host(0), lan.host(1));
    let address = format!("[{ip}%eth0]:9000");
    let (mut greeter, shown) = advertise(robot, &["greeter", "--reply", "Hello, {}!", "--at", "9000"]);
    assert_eq!(shown, address, "where others reach it");
    assert_eq!(answer(laptop, &["send", &address, "hi"]), "Hello, hi!");
    let index = laptop.ask_ip(&["-o", "link", "show", "eth0"]);
    let index = index.split(':').next().expect("its number comes first");
    let numbered = format!("[{ip}%{index}]:9000");
    assert_eq!(answer(laptop, &["send", &numbered, "hi"]), "Hello, hi!");
    assert_eq!(answer(laptop, &["discover", &numbered]), address);
    assert!(answer(laptop, &["describe", &address]).contains("greeter"));
    assert!(answer(laptop, &["stats", &address]).contains("greeter"));
    let peers = ["--peers", &address];
    eventually(PATIENCE, "the peer hands on the address, with the zone of this host", || {
        let list = output(laptop, &["list", "--wait", "5s", peers[0], peers[1]]);
        (list.contains("greeter") && list.contains(&address)).then_some(())
    });
    greeter.interrupt();
    assert!(greeter.wait(PATIENCE).success());

    for (at, port) in [(format!("[{ip}%eth0]:9001"), Some("9001")), (format!("{ip}%eth0"), None)] {
        let (_weather, shown) = advertise(robot, &["weather", "--at", &at]);
        assert!(shown.starts_with(&format!("[{ip}%eth0]:")), "{shown}");
        assert!(port.is_none_or(|port| shown.ends_with(port)), "{shown}");
        assert_eq!(answer(laptop, &["send", &shown, "hi"]), "null");
    }
    // The interface of an address of one's own is known.
    let (_own, shown) = advertise(robot, &["own", "--at", &ip]);
    assert!(shown.starts_with(&format!("[{ip}%eth0]:")), "{shown}");
}

#[test]
fn news_come_over_a_cable() {
    if !require::netns() {
        return;
    }
    let (lan, ip) = cable();
    let mut publisher = mz(lan.host(0), &["publish", "weather", "oslo"]);
    let line = publisher.expect_line("is at", PATIENCE);
    let port = line.split("]:").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
    let address = format!("[{ip}%eth0]:{port}");
    let mut listener = mz(lan.host(1), &["listen", &address, "oslo", "--count", "1"]);
    eventually(PATIENCE, "the item arrives", || {
        publisher.send_line("1");
        listener.stdout().contains("oslo").then_some(())
    });
    listener.succeed(PATIENCE);
}

#[test]
fn a_service_is_found_by_name_over_a_cable() {
    if !require::netns() {
        return;
    }
    let (lan, ip) = cable();
    let (robot, laptop) = (lan.host(0), lan.host(1));
    let _greeter = advertise(robot, &["greeter", "--reply", "Hello, {}!", "--at", "9000"]);
    assert_eq!(answer(laptop, &["send", "greeter", "hi", "--wait", "20s"]), "Hello, hi!");
    assert_eq!(answer(laptop, &["discover", "greeter", "--wait", "20s"]), format!("[{ip}%eth0]:9000"));
    // And where the choice says which cable.
    let chosen = ["--interfaces", "eth0"];
    let named = ["named", "--reply", "there", chosen[0], chosen[1]];
    let (_named, address) = advertise(robot, &named);
    assert!(address.starts_with(&format!("[{ip}%eth0]:")), "{address}");
    assert_eq!(answer(laptop, &["send", "named", "hi", "--wait", "20s", chosen[0], chosen[1]]), "there");
}

#[test]
fn a_zone_that_leads_nowhere_is_told() {
    if !require::netns() {
        return;
    }
    let (lan, ip) = cable();
    let laptop = lan.host(1);
    let address = format!("[{ip}%eth7]:9000");
    for arguments in [
        &["send", &address, "hi"][..],
        &["discover", &address],
        &["list", "--peers", &address],
        &["advertise", "greeter", "--at", &address],
    ] {
        let (code, said) = failure(laptop, arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("no interface \"eth7\"") && said.contains("eth0"), "{said}");
    }
    let (code, said) = failure(laptop, &["send", &format!("[{ip}]:9000"), "hi"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("write [{ip}%eth0]:9000")), "{said}");
}
