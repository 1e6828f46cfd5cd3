//! `mz send` to a service with message types: what need not be written, and what cannot be read.

use std::net::SocketAddr;

use actix::prelude::*;
use meshzero::{Mesh, Service, Value, block_on};
use serde::{Deserialize, Serialize};

use crate::support::{Room, SOON, json};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "i64")]
struct Get;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "i64")]
struct Reset {}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "i64")]
struct Add {
    by: i64,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "i64")]
struct Maybe(Option<i64>);

#[derive(Default)]
struct Counter(i64);

impl Actor for Counter {
    type Context = Context<Self>;
}

macro_rules! handles {
    ($($message:ty, $pattern:pat => |$count:ident| $change:expr;)*) => {$(
        impl Handler<$message> for Counter {
            type Result = i64;

            fn handle(&mut self, $pattern: $message, _: &mut Context<Self>) -> i64 {
                let $count = &mut self.0;
                $change
            }
        }
    )*};
}

handles! {
    Get, _ => |count| *count;
    Reset, _ => |count| { *count = 0; *count };
    Add, Add { by } => |count| { *count += by; *count };
    Maybe, Maybe(by) => |count| { *count += by.unwrap_or(1_000); *count };
}

/// A counter on the room's mesh, which lives as long as what is returned.
fn counter(room: &Room, only: bool) -> (Mesh, Service<Counter>, SocketAddr) {
    block_on(async {
        let mesh = Mesh::join().mesh(&room.mesh).interfaces("lo").await.expect("it joins");
        let advertise = mesh.advertise("counter", Counter::default).handles::<Get>();
        let advertise =
            if only { advertise } else { advertise.handles::<Add>().handles::<Reset>().handles::<Maybe>() };
        let service = advertise.await.expect("it is advertised");
        let address = service.address();
        (mesh, service, address)
    })
}

#[test]
fn a_message_with_nothing_in_it_needs_only_its_type() {
    let room = Room::new();
    let (_mesh, _service, _) = counter(&room, false);
    assert_eq!(room.run(&["send", "counter", "Add", r#"{"by": 5}"#]).succeeded(), "5\n");
    assert_eq!(room.run(&["send", "counter", "Get"]).succeeded(), "5\n");
    assert_eq!(room.run(&["send", "counter", "Get", "null"]).succeeded(), "5\n");
    assert_eq!(room.run(&["send", "counter", "Reset"]).succeeded(), "0\n");
    // What has something in it is not made up: the command that works is told.
    room.run(&["send", "counter", "Add"]).failed(4, &["mz send counter Add MESSAGE", "{by: integer}"]);
    room.run(&["send", "counter", "Maybe"]).failed(4, &["mz send counter Maybe MESSAGE"]);
    assert_eq!(room.run(&["send", "counter", "Get"]).succeeded(), "0\n");
    room.run(&["send", "counter", "Get", "--text"]).failed(4, &["Add", "Get", "say which type"]);
    room.run(&["send", "counter", "get"])
        .failed(4, &["get is not one of its types", "Add", "Get", "say which type"]);
}

#[test]
fn the_only_type_of_a_service_needs_no_message_either() {
    let room = Room::new();
    let (_mesh, _service, _) = counter(&room, true);
    assert_eq!(room.run(&["send", "counter", "Get"]).succeeded(), "0\n");
    assert_eq!(room.run(&["send", "counter", "null"]).succeeded(), "0\n");
}

#[test]
fn a_reply_says_which_instance_it_is_from() {
    let room = Room::new();
    let (_first, first) = room.advertise(&["echo", "--echo"]);
    let (_second, second) = room.advertise(&["echo", "--echo"]);
    for address in [&first, &second] {
        let reply = room.run(&["send", address, "1", "--json"]).object();
        assert_eq!(reply["address"].as_str(), Some(address.as_str()), "{reply}");
        let listed = room.run(&["list", "--json"]).succeeded();
        let listed: Vec<_> =
            listed.lines().map(json).filter(|one| one["address"] == reply["address"]).collect();
        assert_eq!((&reply["node"], &reply["instance"]), (&listed[0]["node"], &listed[0]["instance"]));
    }
    let reply = room.run(&["send", "echo", "1", "--json"]).object();
    assert!([&first, &second].iter().any(|address| reply["address"] == **address), "{reply}");
}

#[test]
fn a_name_and_a_message_may_begin_with_a_dash() {
    let room = Room::new();
    let (mut service, _) = room.advertise(&["--echo", "--", "-e"]);
    assert_eq!(room.run(&["send", "--", "-e", "--help"]).succeeded(), "--help\n");
    service.expect_line("--help", SOON);
    assert_eq!(room.run(&["send", "--json", "--", "-e", "-x"]).object()["reply"], "-x");
    room.run(&["send", "--", "-e", "-T", "-x"]).failed(4, &["-T"]);
    room.run(&["send", "-e", "x"]).failed(2, &["-e"]);
    assert_eq!(room.run(&["discover", "--", "-e"]).succeeded().lines().count(), 1);
    // A dash alone is standard input, behind the dashes as well.
    assert_eq!(room.fed(&["send", "--", "-e", "-"], b"read").succeeded(), "read\n");
    room.run(&["send", "--", "-e"]).failed(2, &["MESSAGE"]);
    room.run(&["send", "a", "b", "c", "d"]).failed(2, &["d"]);
}

#[test]
fn broken_json_and_numbers_that_lose_digits_are_no_messages() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    for broken in [
        r#"{"a": 1"#,
        "[1, 2",
        "\"open",
        "[INFO] started",
        "18446744073709551616",
        "-9223372036854775809",
        r#"{"ids": [1, 123456789012345678901234567890]}"#,
        "1e999",
    ] {
        room.run(&["send", "--", "echo", broken]).failed(2, &["MESSAGE", "column", "--text"]);
        room.fed(&["send", "echo", "-"], broken.as_bytes()).failed(2, &["MESSAGE", "column", "--text"]);
        room.run(&["publish", "a", "b", "--", broken]).failed(2, &["DATA", "column", "--text"]);
        assert_eq!(room.run(&["send", "--text", "--", "echo", broken]).succeeded(), format!("{broken}\n"));
    }
    room.run(&["advertise", "a", "--reply", r#"{"got": {}"#]).failed(2, &["--reply", "column", "--text"]);
    let (_late, _) = room.advertise(&["late", "--reply", "{} is late"]);
    assert_eq!(room.run(&["send", "late", "he"]).succeeded(), "he is late\n");
    for whole in ["18446744073709551615", "-9223372036854775808"] {
        assert_eq!(room.run(&["send", "--", "echo", whole]).succeeded(), format!("{whole}\n"));
    }
    // A byte order mark is no part of it.
    let marked = "\u{feff}{\"a\": 1}";
    assert_eq!(room.run(&["send", "echo", marked, "--json"]).object()["reply"], json(r#"{"a": 1}"#));
    assert_eq!(room.fed(&["send", "echo", "-"], marked.as_bytes()).succeeded(), "{\"a\":1}\n");
}

#[test]
fn a_host_with_a_port_is_resolved_and_a_name_with_a_number_is_a_name() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["echo", "--echo", "--at", "127.0.0.1"]);
    let port = address.rsplit(':').next().expect("a port");
    let host = format!("localhost:{port}");
    assert_eq!(room.run(&["send", &host, "hi"]).succeeded(), "hi\n");
    assert_eq!(room.run(&["discover", &host]).succeeded(), format!("{address}\n"));
    assert!(room.run(&["describe", &host]).succeeded().starts_with("echo"));
    assert!(room.run(&["stats", &host]).succeeded().contains("echo"));
    assert_eq!(room.run(&["discover", "echo", "--peers", &host]).succeeded(), format!("{address}\n"));
    let mut publish = room.start(&["publish", "news", "topic", "1", "--at", "127.0.0.1"]);
    let line = publish.expect_line(" is at ", SOON);
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
    let host = format!("localhost:{port}");
    assert_eq!(room.run(&["listen", &host, "--count", "1"]).succeeded(), "topic  1\n");

    room.run(&["send", "no-such-host.invalid:9000", "x", "--wait", "5s"])
        .failed(1, &["no-such-host.invalid", "192.168.1.7:9000"]);
    room.run(&["send", "localhost:70000", "x"]).failed(2, &["65535"]);
    // A service of that very name comes first, or after the host where there is a dot, but not in place of this host.
    let (_room, _) = room.advertise(&["room:7", "--reply", "a name"]);
    assert_eq!(room.run(&["send", "room:7", "x"]).succeeded(), "a name\n");
    let (_dotted, _) = room.advertise(&["my.arm:1", "--reply", "a name with a dot"]);
    assert_eq!(room.run(&["send", "my.arm:1", "x"]).succeeded(), "a name with a dot\n");
    for name in ["localhost:1", "127.0.0.1:1"] {
        room.run(&["advertise", name, "--reply", "a trap"]).failed(2, &["is an address"]);
        room.run(&["publish", name, "topic", "a trap"]).failed(2, &["is an address"]);
    }
    room.run(&["send", "localhost:1", "x", "--wait", "500ms"]).failed(1, &["127.0.0.1:1"]);
    room.run(&["send", "nobody-here:7", "x", "--wait", "1s"]).failed(1, &["nobody-here:7"]);
}

#[test]
fn one_key_twice_arrives_twice() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    assert_eq!(room.run(&["send", "echo", r#"{"a":1,"a":2}"#]).succeeded(), "{\"a\":1,\"a\":2}\n");
    assert_eq!(Value::from_json(r#"{"a":1,"a":2}"#).expect("JSON").as_map().map(<[_]>::len), Some(2));
}
