//! `mz send`: types, time, and what comes of a call that gets no reply.

use std::net::TcpListener;

use meshzero_testing::Process;

use crate::support::{Room, SOON, bare, json};

/// An arm with typed messages, as the demo has it.
fn arm(room: &Room) -> Process {
    let mut arm = room.start(&["demo-part", "arm", "--json"]);
    arm.expect_line("Advertises", SOON);
    arm
}

#[test]
fn a_typed_message_is_sent_as_json() {
    let room = Room::new();
    let _arm = arm(&room);
    let message = r#"{"joint": "Elbow", "degrees": 30}"#;
    let reply = room.run(&["send", "robot/arm", "Move", message, "--json"]).object();
    assert_eq!(reply["reply"]["Ok"]["elbow"], 30.0);
    // It is the only type that the arm handles.
    let reply = room.run(&["send", "robot/arm", message, "--json"]).object();
    assert_eq!(reply["reply"]["Ok"]["elbow"], 60.0);
}

#[test]
fn a_message_is_sent_as_part_of_a_trace_that_is_told() {
    let room = Room::new();
    let _arm = arm(&room);
    let message = r#"{"joint": "Elbow", "degrees": 30}"#;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("--trace=00-{trace_id}-00f067aa0ba902b7-01");
    let mut send = room.start(&["send", "robot/arm", "Move", message, &parent, "--json", "-vv"]);
    let reply = json(&send.succeed(SOON));
    assert_eq!(reply["reply"]["Ok"]["elbow"], 30.0);
    let told = send.stderr();
    let told: Vec<_> = told.lines().filter(|line| line.contains(trace_id)).collect();
    assert_eq!(json(told[0])["trace_id"], trace_id);
    assert!(told.iter().any(|line| line.contains("call") && line.contains("outcome=replied")), "{told:?}");
    let mut send = room.start(&["send", "robot/arm", "Move", message, "--trace"]);
    send.succeed(SOON);
    let told = send.stderr();
    let trace_id = told.trim_end().strip_prefix("trace ").expect(&told);
    assert!(trace_id.len() == 32 && trace_id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{told}");
}

#[test]
fn times_have_no_more_digits_than_a_clock() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    for command in [&["send", "echo", "x", "--json"][..], &["discover", "echo", "--json"]] {
        for _ in 0..5 {
            let printed = room.run(command).succeeded();
            let (_, digits) = printed.split_once("\"ms\":").expect("a time");
            let digits = digits.split(['}', ',']).next().expect("a number");
            let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            assert!(decimals <= 6, "{digits}");
        }
    }
}

#[test]
fn a_type_that_is_not_handled_is_answered_with_those_that_are() {
    let room = Room::new();
    let _arm = arm(&room);
    room.run(&["send", "robot/arm", "Jump", "1"]).failed(4, &["robot/arm", "Jump", "Move"]);
    let mut news = room.start(&["publish", "silent", "topic", "1"]);
    news.expect_line(" is at ", SOON);
    room.run(&["send", "silent", "1"]).failed(4, &["silent handles no messages", "mz listen"]);
}

#[test]
fn a_message_that_does_not_decode_is_answered_with_the_field() {
    let room = Room::new();
    let _arm = arm(&room);
    let wrong = r#"{"joint": "Elbow", "degrees": "far"}"#;
    room.run(&["send", "robot/arm", "Move", wrong]).failed(4, &["Move", "degrees", "far"]);
    room.run(&["send", "robot/arm", "Move", r#"{"joint": "Elbow"}"#]).failed(4, &["degrees"]);
    // The arm goes on.
    room.run(&["send", "robot/arm", "Move", r#"{"joint": "Elbow", "degrees": 1}"#]).succeeded();
}

#[test]
fn a_message_may_come_from_standard_input() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    let mut send = room.start(&["send", "echo", "-"]);
    send.send_line("two");
    send.send_line("lines");
    send.close_stdin();
    assert_eq!(send.succeed(SOON), "two\nlines\n\n");
}

#[cfg(unix)]
#[test]
fn no_reply_in_time_is_an_exit_code_of_its_own() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["slow", "--exec", "sleep 1000", "--limit", "1h"]);
    // As long as was asked for, and not what discovery had left of it.
    room.run(&["send", "slow", "x", "--wait", "500ms"])
        .failed(3, &["slow: no reply within 500ms; it may have been handled"]);
    // A caller that does not wait for a reply does not hinder others.
    room.run(&["describe", "slow"]).succeeded();
}

#[test]
fn a_peer_of_another_protocol_is_not_waited_for_without_an_end() {
    let room = Room::new();
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it has an address").to_string();
    std::thread::spawn(move || {
        for connection in other.incoming().flatten() {
            use std::io::Write as _;
            let mut connection = connection;
            // The caller may be gone already.
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[2J");
        }
    });
    let ran = room.run(&["send", &address, "x", "--wait", "500ms"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    ran.failed(1, &[&address]);
    room.run(&["discover", &address, "--wait", "300ms"]).failed(1, &[&address]);
}

#[test]
fn the_environment_says_what_the_options_do_not() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    let environment = [("MESHZERO_MESH", room.mesh.as_str()), ("MESHZERO_INTERFACES", "lo")];
    let output = bare(&["send", "echo", "hi"]).envs(environment).output().expect("mz runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hi\n", "{output:?}");
}

#[test]
fn a_message_is_the_same_whichever_system_has_written_it() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    let text = "{\"city\": \"Zürich\"}\n";
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let utf16: Vec<u8> = windows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for input in [text.as_bytes(), windows.as_bytes(), &utf16] {
        let sent = room.fed(&["send", "echo", "-"], input).succeeded();
        assert_eq!(sent, "{\"city\":\"Zürich\"}\n");
    }
}

#[test]
fn a_text_from_standard_input_arrives_as_it_is() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    let text = "a\r\nb\n\r\n\rc\r\n";
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for input in [text.as_bytes(), &utf16] {
        assert_eq!(room.fed(&["send", "echo", "-", "--json"], input).object()["reply"], text);
    }
}

#[test]
fn what_cannot_be_a_message_is_a_message_that_cannot_be_read() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    let bad = |input: &[u8], said: &[&str]| room.fed(&["send", "echo", "-"], input).failed(2, said);
    bad(&[0xff, 0xfe, b'a'], &["MESSAGE: standard input", "not valid UTF-16 from byte 3 on"]);
    bad(
        b"ok\nna\xefve\n",
        &[
            "MESSAGE: standard input is not UTF-8: byte 3 of line 2 is 0xef; save it as UTF-8, or as UTF-16 with",
        ],
    );
}
