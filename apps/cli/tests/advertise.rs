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
    room.run(&["send", "false", "x"]).failed(4, &["its handler failed", "false ended with"]);
    let shown = service.expect_line("x", SOON);
    assert!(shown.contains("no reply: false ended with"), "{shown}");
    service.expect_error_line("false ended with", SOON);
    let mut service = room.start(&["advertise", "false/json", "--exec", "false", "--json"]);
    assert_eq!(json(&service.next_line(SOON))["event"], "advertised");
    room.run(&["send", "false/json", "x", "--json"]).failed(4, &["false ended with"]);
    let shown = json(&service.next_line(SOON));
    assert!(shown["error"].as_str().is_some_and(|error| error.contains("false ended with")), "{shown}");
    assert_eq!((shown.get("reply"), &shown["message"]), (None, &json("\"x\"")));

    let (_service, _) = room.advertise(&["missing", "--exec", "/no/such/program"]);
    room.run(&["send", "missing", "x"]).failed(4, &["cannot run /no/such/program"]);

    let (_service, _) = room.advertise(&["slow", "--exec", "sleep 1000", "--limit", "100ms"]);
    room.run(&["send", "slow", "x"]).failed(4, &["took longer than 100ms"]);

    let (_service, _) = room.advertise(&["endless", "--exec", "yes", "--limit", "1m"]);
    room.run(&["send", "endless", "x"]).failed(4, &["printed more than"]);
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
