//! Invalid names, addresses and options. Each gives an exit code and a sentence, at once.

use crate::support::{Ran, Room, bare};

#[test]
fn impossible_names_say_why() {
    let room = Room::new();
    let long = "x".repeat(129);
    for (name, reason) in
        [("", "at least one character"), (long.as_str(), "129 bytes"), ("a\u{1b}[2Jb", "control character")]
    {
        for arguments in [
            &["advertise", name][..],
            &["discover", name],
            &["send", name, "message"],
            &["publish", name, "topic", "data"],
            &["listen", name],
            &["describe", name],
        ] {
            let ran = room.run(arguments);
            assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
            ran.failed(2, &[reason]);
        }
        Ran::from(bare(&["list", "--mesh", name, "--interfaces", "lo"]).output().expect("mz runs"))
            .failed(2, &[reason]);
    }
    room.run(&["send", "robot", "", "message"]).failed(2, &["TYPE", "at least one character"]);
    room.run(&["publish", "news", "a\nb", "data"]).failed(2, &["TOPIC", "control character"]);
    room.run(&["listen", "news", &long]).failed(2, &["PREFIX", "129 bytes"]);
}

#[test]
fn impossible_addresses_say_why() {
    let room = Room::new();
    for address in ["127.0.0.1:70000", "127.0.0.1:0", "[::1]:65536"] {
        room.run(&["discover", address]).failed(2, &["65535"]);
    }
    for url in ["tcp://127.0.0.1:9000", "http://127.0.0.1:9000/path", "ros://127.0.0.1:9000"] {
        for arguments in
            [&["discover", url][..], &["send", url, "message"], &["listen", url], &["describe", url]]
        {
            room.run(arguments).failed(2, &["is a URL", "such as 127.0.0.1:9000"]);
        }
    }
    for arguments in [&["discover", "1:2:3:4:5:6:7:8:9000"][..], &["send", "1:2:3:4:5:6:7:8:9000", "x"]] {
        room.run(arguments).failed(2, &["brackets", "write [1:2:3:4:5:6:7:8]:9000"]);
    }
    // To write the address alone would help nobody who needs a name.
    for name in ["tcp://127.0.0.1:9000", "http://x", "127.0.0.1:9000", "127.0.0.1:70000", "localhost:9000"] {
        for arguments in [&["advertise", name][..], &["publish", name, "topic", "data"]] {
            room.run(arguments).failed(2, &[name, "not a name by which others could find a service"]);
        }
    }
    room.run(&["list", "--peers", "tcp://127.0.0.1:9000"]).failed(2, &["host:port"]);
    for place in ["70000", "127.0.0.1:70000", "", "not an address", "tcp://127.0.0.1:9000"] {
        room.run(&["advertise", "robot", "--at", place]).failed(2, &["192.168.*"]);
    }
    room.run(&["advertise", "robot", "--at", "no-such-host.invalid:9000"])
        .failed(5, &["no-such-host.invalid"]);
    room.run(&["list", "--peers", "nowhere"]).failed(2, &["nowhere", "host:port"]);
    room.run(&["list", "--peers", "127.0.0.1:70000"]).failed(2, &["70000"]);
}

#[test]
fn an_interface_that_is_not_there_is_named_with_those_that_are() {
    let output = bare(&["list", "--interfaces", "no-such-interface0"]).output().expect("mz runs");
    Ran::from(output).failed(1, &["no-such-interface0", "lo"]);
}

#[test]
fn a_choice_of_interfaces_that_cannot_be_read_or_is_empty_is_refused() {
    for (choice, said) in
        [(",,", "names no interface"), ("", "names no interface"), ("a/b", "is not an interface")]
    {
        let output = bare(&["list", "--interfaces", choice]).output().expect("mz runs");
        Ran::from(output).failed(2, &[&format!("\"{choice}\" {said}"), "192.168.*"]);
    }
    let mut mz = bare(&["list", "--mesh", &Room::new().mesh, "--wait", "0"]);
    Ran::from(mz.env("MESHZERO_INTERFACES", " , ").output().expect("mz runs"))
        .failed(2, &["\" , \" names no interface"]);
}

#[test]
fn options_that_cannot_be_read_say_what_to_write() {
    let room = Room::new();
    room.run(&["discover", "robot", "--wait", "soon"]).failed(2, &["--wait", "500ms"]);
    room.run(&["publish", "a", "b", "c", "--rate", "0"]).failed(2, &["--rate", "0.5"]);
    room.run(&["listen", "a", "--count", "0"]).failed(2, &["--count"]);
    room.run(&["advertise", "a", "--exec", "echo 'open"]).failed(2, &["quote"]);
    room.run(&["advertise", "a", "--echo", "--reply", "b"]).failed(2, &["cannot be used with"]);
    room.run(&["no-such-command"]).failed(2, &["no-such-command"]);
    room.run(&["send", "robot"]).failed(2, &["MESSAGE"]);
    room.run(&["send", "robot", "1", "--trace=00-12"]).failed(2, &["--trace", "trace id", "32"]);
}

#[test]
fn times_go_up_to_a_year() {
    let room = Room::new();
    for time in ["99999999999h", "366d"] {
        room.run(&["discover", "robot", "--wait", time]).failed(2, &["--wait", time, "too long", "365d"]);
    }
    let (_service, address) = room.advertise(&["robot", "--echo"]);
    room.run(&["send", &address, "x", "--wait", "2d"]).succeeded();
    // No time at all is shown in the unit that people write.
    for command in [&["discover", "nobody"][..], &["send", "nobody", "x"], &["list", "--group", "nobody"]] {
        room.run(&[command, &["--wait", "0"]].concat()).failed(1, &["waited 0s"]);
    }
}

#[test]
fn a_limit_that_is_not_there_is_answered_with_those_that_are() {
    let room = Room::new();
    for (limits, said) in [
        ("mailbix=3", "no such limit, but mailbox; there are message_bytes, "),
        ("reconnect=5s", "the unit is a part of the name; write reconnect_ms=5000"),
        ("reconnect_ms=5s", "write reconnect_ms=5000"),
    ] {
        let ran = room.mz(&["discover", "nobody", "--wait", "0"]).env("MESHZERO_LIMITS", limits).output();
        Ran::from(ran.expect("mz runs")).failed(2, &["MESHZERO_LIMITS", limits, said]);
    }
}

#[test]
fn a_host_that_cannot_be_resolved_is_named_beside_the_service() {
    let room = Room::new();
    for command in [&["send", "rasberry:9000", "x"][..], &["discover", "rasberry:9000"]] {
        let ran = room.run(&[command, &["--wait", "2s"]].concat());
        ran.failed(1, &["rasberry:9000", "; the host name \"rasberry\" could not be resolved", "IP address"]);
    }
    let ran = room.run(&["send", "rasberry:9000", "x", "--wait", "2s", "--json"]);
    let told = crate::support::json(ran.stderr.lines().last().expect("a line"));
    assert!(told["error"].as_str().is_some_and(|error| error.contains("could not be resolved")), "{told}");
    assert!(told["findings"].is_array(), "{told}");
    // Only a host is meant by it.
    room.run(&["send", "rasberry.invalid:9000", "x", "--wait", "2s"])
        .failed(1, &["the host name \"rasberry.invalid\" could not be resolved"]);
}

#[test]
fn a_short_form_of_an_ip_address_is_resolved() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["robot", "--echo"]);
    let port = address.rsplit(':').next().expect("a port");
    let short = format!("127.1:{port}");
    assert_eq!(room.run(&["send", &short, "x"]).succeeded().trim(), "x");
    assert_eq!(room.run(&["discover", &short]).succeeded().trim(), address);
}

#[test]
fn a_port_where_nobody_listens_is_an_exit_code() {
    let room = Room::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it has an address").to_string();
    drop(free);
    room.run(&["send", &address, "x", "--wait", "300ms"]).failed(1, &[&address]);
}

#[test]
fn a_static_peer_that_is_not_there_is_named() {
    let room = Room::new();
    let found = room.run(&["discover", "x", "--wait", "300ms", "--peers", "nosuch.invalid:9000"]);
    found.failed(1, &["nobody advertises \"x\"", "static peer nosuch.invalid:9000"]);
}
