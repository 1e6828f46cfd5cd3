//! `mz advertise`: every way to reply.

use crate::support::{Room, SOON, json};

#[test]
fn a_template_replies_text_or_json() {
    let room = Room::new();
    let (mut service, _) = room.advertise(&["greeter", "--reply", "Hello, {}!"]);
    assert_eq!(room.run(&["send", "greeter", "world"]).succeeded(), "Hello, world!\n");
    service.expect_line("world  ->  Hello, world!", SOON);

    let (_service, _) = room.advertise(&["sensor", "--reply", r#"{"heard": {}, "celsius": 21.5}"#]);
    let reply = room.run(&["send", "sensor", r#"["a", 1]"#, "--json"]).object();
    assert_eq!(reply["reply"], json(r#"{"heard": ["a", 1], "celsius": 21.5}"#));
    assert_eq!(reply["service"], "sensor");
    assert!(reply["ms"].is_f64());
}

#[test]
fn echo_replies_the_message() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["echo", "--echo"]);
    for message in [r#"{"a":[1,2.5,null,true]}"#, "plain", "-5", "broken}"] {
        assert_eq!(room.run(&["send", "echo", message]).succeeded(), format!("{message}\n"));
    }
    assert_eq!(room.run(&["send", "echo", "5", "--text", "--json"]).object()["reply"], "5");
}

#[test]
fn without_a_reply_messages_are_printed() {
    let room = Room::new();
    let (mut service, _) = room.advertise(&["printer"]);
    assert_eq!(room.run(&["send", "printer", "one"]).succeeded(), "null\n");
    assert_eq!(service.next_line(SOON), "one");

    let mut service = room.start(&["advertise", "printer/json", "--json"]);
    let advertised = json(&service.next_line(SOON));
    assert_eq!(
        (&advertised["event"], &advertised["service"]),
        (&json("\"advertised\""), &json("\"printer/json\""))
    );
    room.run(&["send", "printer/json", "[1]"]).succeeded();
    assert_eq!(
        json(&service.next_line(SOON)),
        json(r#"{"event": "message", "message": [1], "reply": null}"#)
    );
}

#[cfg(unix)]
#[test]
fn a_program_replies_what_it_prints() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["upper", "--exec", "tr a-z A-Z"]);
    assert_eq!(room.run(&["send", "upper", "shout"]).succeeded(), "SHOUT\n");

    // What looks like a command to a shell is one argument, as it is.
    let (_service, _) = room.advertise(&["args", "--exec", r#"printf %s|%s {} 'a b'"#]);
    assert_eq!(room.run(&["send", "args", "$(id); `id` 'x"]).succeeded(), "$(id); `id` 'x|a b\n");
    assert_eq!(room.run(&["send", "args", r#"{"a":1}"#]).succeeded(), "{\"a\":1}|a b\n");
}

#[cfg(unix)]
#[test]
fn a_program_that_fails_is_told_to_both_sides() {
    let room = Room::new();
    let (mut service, _) = room.advertise(&["false", "--exec", "false"]);
    let reply = room.run(&["send", "false", "x", "--json"]).object();
    assert!(
        reply["reply"]["error"].as_str().is_some_and(|error| error.contains("false ended with")),
        "{reply}"
    );
    service.expect_error_line("false ended with", SOON);

    let (_service, _) = room.advertise(&["missing", "--exec", "/no/such/program"]);
    let reply = room.run(&["send", "missing", "x"]).succeeded();
    assert!(reply.contains("cannot run /no/such/program"), "{reply}");

    let (_service, _) = room.advertise(&["slow", "--exec", "sleep 1000", "--limit", "100ms"]);
    let reply = room.run(&["send", "slow", "x"]).succeeded();
    assert!(reply.contains("took longer than 100ms"), "{reply}");

    let (_service, _) = room.advertise(&["endless", "--exec", "yes", "--limit", "1m"]);
    let reply = room.run(&["send", "endless", "x"]).succeeded();
    assert!(reply.contains("printed more than"), "{reply}");
}

#[test]
fn it_listens_where_it_is_told_to() {
    let room = Room::new();
    let (_first, address) = room.advertise(&["here", "--at", "127.0.0.1"]);
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let port = address.rsplit(':').next().expect("a port");
    room.run(&["advertise", "there", "--at", &address]).failed(5, &["in use", port]);
    room.run(&["advertise", "there", "--at", port]).failed(5, &["in use"]);
}
