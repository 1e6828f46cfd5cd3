//! `mz publish` and `mz listen`.

use crate::support::{Room, SOON, json};

#[test]
fn a_single_item_is_kept_for_those_who_listen_later() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "weather", "celsius/oslo", "-4.5"]);
    publish.expect_line("weather is at ", SOON);
    assert_eq!(room.run(&["listen", "weather", "--count", "1"]).succeeded(), "celsius/oslo  -4.5\n");
    let heard = room.run(&["listen", "weather", "celsius/", "--count", "1", "--json"]).object();
    let expected = r#"{"event": "news", "topic": "celsius/oslo", "item": -4.5, "from": "weather"}"#;
    assert_eq!(heard, json(expected));
    publish.interrupt();
    assert!(publish.wait(SOON).success());
}

#[test]
fn every_line_of_standard_input_reaches_a_listener() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "log", "line", "--subscribers", "1"]);
    publish.expect_line("log is at ", SOON);
    let mut listen = room.start(&["listen", "log", "--count", "500"]);
    for number in 0..500 {
        publish.send_line(&format!("line {number}"));
    }
    publish.close_stdin();
    for number in 0..500 {
        assert_eq!(listen.next_line(SOON), format!("line  line {number}"));
    }
    assert!(listen.wait(SOON).success());
    publish.expect_line("published 500", SOON);
    assert!(publish.wait(SOON).success());
}

#[test]
fn an_item_is_repeated_as_often_as_asked_for() {
    let room = Room::new();
    let arguments = ["publish", "clock", "tick", r#"{"b":1,"a":2}"#, "--rate", "1000", "--count", "20"];
    let mut publish = room.start(&[&arguments[..], &["--subscribers", "2", "--json"]].concat());
    assert_eq!(json(&publish.next_line(SOON))["event"], "advertised");
    let mut listeners =
        [room.start(&["listen", "clock", "ti", "--count", "20"]), room.start(&["listen", "clock"])];
    for listener in &mut listeners {
        for _ in 0..20 {
            assert_eq!(listener.next_line(SOON), r#"tick  {"b":1,"a":2}"#);
        }
    }
    assert_eq!(json(&publish.next_line(SOON)), json(r#"{"event": "published", "published": 20}"#));
    assert!(publish.wait(SOON).success());
    let [mut first, mut second] = listeners;
    assert!(first.wait(SOON).success());
    // The other one goes on, tells that the publisher has gone, and hears the next one of the same name.
    second.expect_error_line("clock", SOON);
    let mut publish = room.start(&["publish", "clock", "tock", "now"]);
    publish.expect_line("clock is at ", SOON);
    assert_eq!(second.next_line(SOON), "tock  now");
}

#[test]
fn other_topics_are_not_heard() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "weather", "wind", "7", "--rate", "200"]);
    publish.expect_line("weather is at ", SOON);
    let mut rain = room.start(&["listen", "weather", "rain"]);
    assert_eq!(
        room.run(&["listen", "weather", "wind", "--count", "3", "--latest"]).succeeded(),
        "wind  7\n".repeat(3)
    );
    rain.interrupt();
    assert!(rain.wait(SOON).success());
    assert_eq!(rain.stdout(), "");
}

#[test]
fn a_listener_says_which_items_matter_and_hears_what_is_left_out() {
    let room = Room::new();
    let mut publish = room.start(&[
        "publish",
        "clock",
        "tick",
        "7",
        "--rate",
        "500",
        "--count",
        "400",
        "--subscribers",
        "4",
    ]);
    publish.expect_line("clock is at ", SOON);
    let mut lossless = room.start(&["listen", "clock", "--lossless", "--keep", "2", "--count", "400"]);
    let mut rated = room.start(&["listen", "clock", "--rate", "10", "--count", "3", "--json"]);
    let mut few = room.start(&["listen", "clock", "--rate", "10", "--latest", "--count", "3"]);
    let mut last = room.start(&["listen", "clock", "--last", "10", "--count", "1"]);
    for _ in 0..400 {
        assert_eq!(lossless.next_line(SOON), "tick  7");
    }
    assert_eq!(last.next_line(SOON), "tick  7");
    assert!(json(&rated.next_line(SOON)).get("thinned").is_none(), "the first comes at once");
    for _ in 0..2 {
        json(&rated.next_line(SOON))["thinned"].as_u64().expect("most are left out");
    }
    assert!([&mut lossless, &mut rated, &mut few, &mut last].into_iter().all(|run| run.wait(SOON).success()));
    assert!(publish.wait(SOON).success());
    // Once, at the end, and to people: programs are told with each item.
    let sum = few.stderr();
    assert!(
        sum.lines().count() == 1 && sum.contains(" left out: they came faster than the requested rate"),
        "{sum}"
    );
    assert_eq!(rated.stderr(), "");
    room.run(&["listen", "clock", "--lossless", "--latest"]).failed(2, &["--latest"]);
    room.run(&["listen", "clock", "--rate", "0"]).failed(2, &["--rate"]);
}

#[test]
fn what_is_left_out_as_was_asked_for_is_summed_up_also_for_one_that_is_stopped() {
    let room = Room::new();
    let mut publish = room.start(&["publish", "clock", "tick", "7", "--rate", "500"]);
    publish.expect_line("clock is at ", SOON);
    let mut few = room.start(&["listen", "clock", "--rate", "20"]);
    for _ in 0..10 {
        few.next_line(SOON);
    }
    assert_eq!(few.stderr(), "");
    few.interrupt();
    assert!(few.wait(SOON).success());
    let sum = few.stderr();
    assert!(
        sum.lines().count() == 1 && sum.contains(" left out: they came faster than the requested rate"),
        "{sum}"
    );
}

#[test]
fn nobody_to_listen_to_is_an_exit_code() {
    let room = Room::new();
    room.run(&["listen", "weather", "--wait", "300ms"]).failed(1, &["weather"]);
}

#[test]
fn what_would_act_on_a_terminal_is_shown_instead() {
    let room = Room::new();
    let nasty = "red\u{1b}[31m\u{9b}2J\u{7}\u{202e}\r\nnext";
    let (mut service, _) = room.advertise(&["echo", "--echo"]);
    let shown = r"red\u{1b}[31m\u{9b}2J\u{7}\u{202e}\r";
    assert_eq!(room.run(&["send", "echo", nasty]).succeeded(), format!("{shown}\nnext\n"));
    service.expect_line(&format!(r"{shown}\nnext  ->  {shown}\nnext"), SOON);

    let ran = room.run(&["send", "echo", nasty, "--json"]);
    let unsafe_ones = ran.stdout.trim_end().chars().filter(|c| c.is_control() || *c == '\u{202e}').count();
    assert_eq!(unsafe_ones, 0, "{ran:?}");
    assert_eq!(ran.object()["reply"], nasty);

    let mut publish = room.start(&["publish", "news", "topic", nasty]);
    publish.expect_line(" is at ", SOON);
    assert_eq!(room.run(&["listen", "news", "--count", "1"]).succeeded(), format!("topic  {shown}\\nnext\n"));
}

#[test]
fn lines_are_the_same_whichever_system_has_written_them() {
    let room = Room::new();
    let arguments = ["publish", "log", "line", "--subscribers", "1"];
    let mut listen = room.start(&["listen", "log", "--count", "2", "--wait", "1m"]);
    room.fed(&arguments, "\u{feff}{\"n\": 1}\r\n two \r\n".as_bytes()).succeeded();
    assert_eq!(listen.next_line(SOON), "line  {\"n\":1}");
    assert_eq!(listen.next_line(SOON), "line   two ");
    assert!(listen.wait(SOON).success());
    let mut listen = room.start(&["listen", "log", "--wait", "1m"]);
    let utf16: Vec<u8> = "\u{feff}one\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let refused = room.fed(&arguments, &utf16);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("UTF-16"), "{refused:?}");
    listen.interrupt();
    listen.wait(SOON);
}
