//! Conversations between two systems.

use crate::goodbye;
use crate::speaker::{SOON, Speaker, address};

/// The parts of a server and a caller.
pub(crate) struct Topic {
    pub(crate) said: &'static str,
    pub(crate) talk: fn(&Speaker, &Speaker),
}

/// All of it.
pub(crate) const ALL: [Topic; 4] = [
    Topic { said: "found by name and in the list", talk: found },
    Topic { said: "a message and its reply, and a large one from a pipe", talk: called },
    Topic { said: "a thousand items of news", talk: listened },
    Topic { said: "a goodbye on Ctrl-C", talk: left },
];

/// Bytes of a message that travels in pieces.
const LARGE: usize = 300_000;

fn found(server: &Speaker, caller: &Speaker) {
    let mut service = server.start(&["advertise", "küche/licht", "--echo"]);
    let address = address(&service.expect_line(" is at ", SOON));
    assert_eq!(caller.run(&["discover", "küche/licht", "--wait", "30s"]).trim(), address);
    let listed = caller.run(&["list", "--wait", "30s"]);
    assert!(listed.contains("küche/licht") && listed.contains(&address), "{listed}");
    service.interrupt();
    assert_eq!(service.wait(SOON).code(), Some(0));
}

fn called(server: &Speaker, caller: &Speaker) {
    let mut service = server.start(&["advertise", "greeter", "--reply", "Hallo, {}!"]);
    service.expect_line(" is at ", SOON);
    let reply = caller.run(&["send", "greeter", "Jürgen", "--wait", "30s"]);
    assert_eq!(reply.trim(), "Hallo, Jürgen!");
    service.expect_line("Jürgen  ->  Hallo, Jürgen!", SOON);
    let mut send = caller.start(&["send", "greeter", "-", "--wait", "30s"]);
    let large = "x".repeat(LARGE);
    send.send_line(&large);
    send.close_stdin();
    assert!(send.wait(SOON).success());
    service.interrupt();
    assert_eq!(service.wait(SOON).code(), Some(0));
}

fn listened(server: &Speaker, caller: &Speaker) {
    let arguments = ["publish", "log", "line/ü", "--text", "--subscribers", "1"];
    let mut publisher = server.start(&arguments);
    publisher.expect_line(" is at ", SOON);
    let mut listener =
        caller.start(&["listen", "log", "line/", "--count", "1000", "--lossless", "--wait", "30s"]);
    for number in 0..1_000 {
        publisher.send_line(&format!("number {number}\r"));
    }
    publisher.close_stdin();
    for number in 0..1_000 {
        assert_eq!(listener.next_line(SOON), format!("line/ü  number {number}"));
    }
    assert_eq!(listener.wait(SOON).code(), Some(0));
    publisher.expect_line("published 1000", SOON);
    assert_eq!(publisher.wait(SOON).code(), Some(0));
}

fn left(server: &Speaker, caller: &Speaker) {
    let start = || server.start(&["advertise", "short", "--echo"]);
    goodbye::is_said(caller, "short", start, |service| service.interrupt());
}
