//! `mz` through a proxy that does what bad networks do, and beside processes that end badly.

#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use meshzero_testing::{Cut, Direction, Event, Fault, FaultProxy, Faults, eventually};

use crate::support::{Room, SOON, children};

fn before(address: &str) -> FaultProxy {
    FaultProxy::in_front_of(address.parse::<SocketAddr>().expect("an address"))
}

#[test]
fn a_reply_that_is_cut_off_at_any_byte_is_fetched_over_another_connection() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["greeter", "--reply", "Hello, {}!"]);
    for bytes in (0..300).step_by(37) {
        for way in [Direction::Up, Direction::Down] {
            let proxy = before(&address);
            let cut = Fault::after(bytes, Event::Cut(Cut::Reset));
            proxy.next(match way {
                Direction::Up => Faults { up: cut, ..Faults::default() },
                Direction::Down => Faults { down: cut, ..Faults::default() },
            });
            let proxied = proxy.address().to_string();
            let sent = room.run(&["send", &proxied, "mesh", "--wait", "20s"]);
            assert_eq!(sent.succeeded().trim(), "Hello, mesh!", "{way:?} {bytes}");
        }
    }
}

#[test]
fn a_listener_whose_connections_are_cut_again_and_again_prints_every_item_once() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "log", "line", "--subscribers", "1"]);
    let line = publish.expect_line("log is at ", SOON);
    let address = line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let proxy = before(address);
    proxy.all(Faults { down: Fault::after(2_000, Event::Cut(Cut::Close)), ..Faults::default() });
    let mut listen = room.start(&["listen", &proxy.address().to_string(), "--count", "500"]);
    for number in 0..500 {
        publish.send_line(&format!("line {number}"));
    }
    for number in 0..500 {
        assert_eq!(listen.next_line(SOON), format!("line  line {number}"));
    }
    assert!(listen.wait(SOON).success());
    publish.close_stdin();
    assert!(publish.wait(SOON).success());
    assert!(proxy.connections() > 3, "{} connections", proxy.connections());
}

#[test]
fn a_service_that_says_nothing_ends_a_call_at_its_deadline() {
    let room = Room::new();
    let (service, address) = room.advertise(&["echo", "--echo"]);
    service.pause();
    let ran = room.run(&["send", &address, "1", "--wait", "300ms"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    service.resume();
    assert_eq!(room.run(&["send", &address, "1", "--wait", "20s"]).succeeded().trim(), "1");
}

#[test]
fn a_process_that_dies_in_the_middle_of_a_call_is_told_at_once() {
    let room = Room::new();
    let (mut service, _) = room.advertise(&["slow", "--exec", "sleep 30"]);
    let mut send = room.start(&["send", "slow", "1", "--wait", "25s", "-v"]);
    eventually(SOON, "the service works", || (!children(&service).is_empty()).then_some(()));
    service.kill();
    let begun = Instant::now();
    assert_ne!(send.wait(SOON).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(send.stderr().contains("may have been handled"), "{}", send.stderr());
}
