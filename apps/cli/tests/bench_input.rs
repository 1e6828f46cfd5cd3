//! Input that cannot be measured: each gives an exit code and a helpful sentence, before anything is measured.

use crate::support::{Room, SOON};

#[test]
fn options_that_cannot_be_read_say_what_to_write() {
    let room = Room::new();
    for (arguments, said) in [
        (&["latency", "--size", "4"][..], &["8 bytes at least", "16 MiB"][..]),
        (&["latency", "--size", "17MiB"], &["16 MiB at most"]),
        (&["latency", "--size", "big"], &["4KiB"]),
        (&["latency", "--rate", "0"], &["20k"]),
        (&["latency", "--rate", "1G"], &["100M"]),
        (&["latency", "--rate", "0.5"], &["fewer than 10 messages", "--duration"]),
        (&["latency", "--duration", "1ms"], &["50ms"]),
        (&["latency", "--find-max", "p98<5ms"], &["'p99<5ms'", "p99.9"]),
        (&["latency", "--find-max", "quick"], &["'p99<5ms'"]),
        (&["latency", "--find-max", "p99<5ms", "--rate", "5"], &["cannot be used with"]),
        (&["latency", "--spin", "1s"], &["50us"]),
        (&["throughput", "--calls", "--news"], &["cannot be used with"]),
        (&["fanout", "--subscribers", "0"], &["--subscribers"]),
        (&["fanout", "--subscribers", "1000"], &["256"]),
        (&["discovery", "--transport", "inproc"], &["two processes", "loopback"]),
        (&["latency", "--transport", "127.0.0.1:70000"], &["65535"]),
        (&["serve", "a\u{1b}b"], &["control character"]),
    ] {
        room.run(&[&["bench"], arguments].concat()).failed(2, said);
    }
}

#[test]
fn a_service_that_is_not_there_or_serves_something_else_is_told() {
    let room = Room::new();
    room.run(&["bench", "latency", "--transport", "nobody"])
        .failed(1, &["nobody advertises \"nobody\"", "inproc, loopback", "mz bench serve nobody"]);
    let (_greeter, address) = room.advertise(&["greeter", "--echo"]);
    for transport in ["greeter", &address] {
        room.run(&["bench", "latency", "--transport", transport])
            .failed(4, &["not a measurement service", "Value", "mz bench serve"]);
    }
}

#[test]
fn a_packet_that_the_limits_do_not_let_through_names_the_limit() {
    let room = Room::new();
    let mut bench = room.mz(&["bench", "latency", "--size", "64KiB", "--duration", "100ms"]);
    let output = bench.env("MESHZERO_LIMITS", "message_bytes=20000").output().expect("mz runs");
    crate::support::Ran::from(output).failed(2, &["65536", "20000", "MESHZERO_LIMITS"]);
}

#[test]
fn files_are_looked_at_before_anything_is_measured() {
    let room = Room::new();
    let folder = std::env::temp_dir().join(&room.mesh);
    std::fs::create_dir(&folder).expect("a folder of one's own");
    let file = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("it can be written");
    write("other.json", "{\"format\": 99, \"bench\": \"latency\"}");
    write("text.json", "this is no JSON");
    write("half.json", "{\"format\": 1, \"bench\": \"latency\"}");
    // A measurement of an hour would show that it was begun.
    let long = ["bench", "latency", "--duration", "1h"];
    let run = |option: &str, file: &str| room.run(&[&long[..], &[option, file]].concat());
    run("--compare", &file("none.json")).failed(2, &["cannot read", "none.json"]);
    run("--compare", &file("text.json")).failed(2, &["text.json is not a saved run", "--json >"]);
    run("--compare", &file("other.json")).failed(2, &["format 99", "format 1", "measure again"]);
    run("--compare", &file("half.json")).failed(2, &["half.json is not a complete saved run"]);
    run("--html", &file("no-such-folder/page.html")).failed(5, &["cannot write", "page.html"]);
    run("--html", folder.to_str().expect("UTF-8")).failed(5, &["cannot write"]);

    // A run that fails leaves no empty page, and keeps the one that was there.
    let (_greeter, _) = room.advertise(&["greeter", "--echo"]);
    let refused = ["bench", "latency", "--transport", "greeter", "--html"];
    room.run(&[&refused[..], &[&file("page.html")]].concat()).failed(4, &["greeter"]);
    assert!(!folder.join("page.html").exists());
    write("kept.html", "kept");
    room.run(&[&refused[..], &[&file("kept.html")]].concat()).failed(4, &["greeter"]);
    assert_eq!(std::fs::read_to_string(folder.join("kept.html")).expect("it is there"), "kept");
    std::fs::remove_dir_all(&folder).expect("it is this test's");
}

#[test]
fn a_server_that_cannot_listen_says_so() {
    let room = Room::new();
    let mut server = room.start(&["bench", "serve"]);
    let line = server.expect_line(" is at ", SOON);
    let address = line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    room.run(&["bench", "serve", "--at", address]).failed(5, &[address]);
}
