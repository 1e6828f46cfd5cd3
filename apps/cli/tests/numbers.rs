//! Times and counts at the ends of their ranges: refused with the range, or taken for the longest; never a panic.

use meshzero_testing::{Event, Fault, FaultProxy, Faults};

use crate::support::{Room, SOON};

/// Every option that takes a time, with the rest of a command that ends by itself.
const TIMES: [&[&str]; 11] = [
    &["discover", "nobody", "--wait"],
    &["send", "nobody", "x", "--wait"],
    &["listen", "nobody", "--wait"],
    &["describe", "nobody", "--wait"],
    &["stats", "nobody", "--wait"],
    &["list", "--wait"],
    &["advertise", "a", "--limit"],
    &["bench", "latency", "--duration"],
    &["bench", "latency", "--warm-up"],
    &["bench", "latency", "--spin"],
    &["bench", "serve", "a", "--spin"],
];

/// Every option that takes a number.
const NUMBERS: [&[&str]; 13] = [
    &["advertise", "a", "--jobs"],
    &["publish", "a", "b", "c", "--rate"],
    &["publish", "a", "b", "c", "--count"],
    &["publish", "a", "b", "c", "--count", "1", "--subscribers"],
    &["listen", "nobody", "--count"],
    &["listen", "nobody", "--last"],
    &["listen", "nobody", "--rate"],
    &["listen", "nobody", "--keep"],
    &["bench", "latency", "--in-flight"],
    &["bench", "latency", "--rate"],
    &["bench", "latency", "--size"],
    &["bench", "fanout", "--subscribers"],
    &["bench", "discovery", "--runs"],
];

#[test]
fn what_is_no_time_or_number_says_what_is() {
    let room = Room::new();
    for option in TIMES.iter().chain(&NUMBERS) {
        for value in [
            "never",
            "-1",
            "-1s",
            "NaN",
            "inf",
            "1e300s",
            "1e999",
            "",
            " ",
            "0x10",
            "1_000",
            "9".repeat(400).as_str(),
        ] {
            // A time of four hundred digits is a long one.
            if value.len() == 400
                && option.last().is_some_and(|option| ["--wait", "--limit", "--warm-up"].contains(option))
            {
                continue;
            }
            let mut arguments = option.to_vec();
            let last = arguments.pop().expect("an option");
            let last = format!("{last}={value}");
            arguments.push(&last);
            let ran = room.run(&arguments);
            assert!(ran.stderr.contains("--"), "{arguments:?} {ran:?}");
            ran.failed(2, &[]);
        }
    }
}

#[test]
fn the_shortest_and_the_longest_times_work() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["echo", "--exec", "cat", "--limit", "365d"]);
    for none in ["1y", "1ns", "31536001s", "999999999999h", &"9".repeat(400)] {
        room.run(&["discover", "echo", "--wait", none]).failed(2, &["--wait", "365d is the longest"]);
    }
    for longest in ["31536000s", "8760h", "365d"] {
        assert_eq!(room.run(&["discover", "echo", "--wait", longest]).succeeded(), format!("{address}\n"));
        assert_eq!(room.run(&["send", "echo", "x", "--wait", longest]).succeeded(), "x\n");
        assert_eq!(room.run(&["send", &address, "x", "--wait", longest]).succeeded(), "x\n");
        room.run(&["describe", "echo", "--wait", longest]).succeeded();
        room.run(&["stats", "echo", "--wait", longest]).succeeded();
        room.run(&["list", "--wait", longest]).succeeded();
    }
    for none in ["0", "0.000000000001ms"] {
        for command in [
            &["discover", "nobody"][..],
            &["send", "nobody", "x"],
            &["send", "127.0.0.1:1", "x"],
            &["send", "localhost:1", "x"],
            &["send", "nobody-here:1", "x"],
            &["listen", "nobody"],
            &["describe", "nobody"],
            &["stats", "nobody"],
        ] {
            room.run(&[command, &["--wait", none]].concat()).failed(1, &[]);
        }
    }
    room.run(&["advertise", "a", "--exec", "cat", "--limit", "0"]).failed(2, &["--limit", "1ms"]);
    let most = u64::MAX.to_string();
    let rarely =
        ["publish", "clock", "tick", "1", "--rate", "1e-300", "--subscribers", "1", "--count", &most];
    let mut publish = room.start(&rarely);
    publish.expect_line(" is at ", SOON);
    let listen = ["listen", "clock", "--rate", "1e-300", "--count", "1", "--keep", "4294967295"];
    assert_eq!(room.run(&listen).succeeded(), "tick  1\n");
}

#[test]
fn an_answer_is_waited_for_as_long_as_was_asked_for() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["echo", "--echo"]);
    let proxy = FaultProxy::in_front_of(address.parse().expect("an address"));
    let proxied = proxy.address().to_string();
    for command in ["describe", "stats"] {
        let mut codes = Vec::new();
        // From the handshake on to the answer itself.
        for bytes in (0..1_000).step_by(100) {
            proxy.all(Faults { down: Fault::after(bytes, Event::Swallow), ..Faults::default() });
            let ran = room.run(&[command, &proxied, "--wait", "500ms"]);
            match ran.code {
                Some(1) => assert!(ran.stderr.contains("500ms"), "{ran:?}"),
                Some(3) => assert!(ran.stderr.contains("no answer within 500ms"), "{ran:?}"),
                code => assert_eq!(code, Some(0), "{ran:?}"),
            }
            codes.push(ran.code);
        }
        assert!(codes.contains(&Some(1)) && codes.contains(&Some(3)), "{codes:?}");
    }
}
