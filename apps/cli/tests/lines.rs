//! `mz publish` with lines that cannot be sent: each is told, and the others are published.

use crate::support::{Room, SOON, json};

#[test]
fn a_line_that_is_no_text_or_too_long_costs_no_other() {
    let room = Room::new();
    let mut listen = room.start(&["listen", "log", "--count", "4", "--wait", "1m"]);
    let mut publish = room.mz(&["publish", "log", "line", "--subscribers", "1"]);
    let input =
        [b"{\"n\": 1}\nna\xefve\n".as_slice(), &[b'x'; 7_000_000], b"\n[broken\n\r\nlast, without an end"]
            .concat();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("lines-of-all-kinds.txt");
    std::fs::write(&file, input).expect("there is room for a file");
    let output = publish.stdin(std::fs::File::open(file).expect("it is there")).output().expect("mz runs");
    let (said, published) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "line 2 is not UTF-8",
        "line 3 is left out: it has 7000000 bytes; a message has 1048576 at most",
        "line 4 is left out",
        "--text",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(
        published.ends_with("published 4, 1 of them with characters replaced, left out 2\n"),
        "{published}"
    );
    for line in ["line  {\"n\":1}", "line  na\u{fffd}ve", "line  ", "line  last, without an end"] {
        assert_eq!(listen.next_line(SOON), line);
    }
    assert!(listen.wait(SOON).success());
}

#[test]
fn bytes_that_begin_as_utf_16_does_and_are_not_are_replaced() {
    let room = Room::new();
    let ran = room.fed(&["publish", "log", "line"], b"\xff\xfe bad\nok\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.ends_with("published 2, 1 of them with characters replaced\n"), "{ran:?}");
}

#[test]
fn a_line_that_is_left_out_is_not_counted_as_replaced() {
    let room = Room::new();
    let ran = room.fed(&["publish", "log", "line"], b"{\xff\nok\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.ends_with("published 1, left out 1\n"), "{ran:?}");
}

#[test]
fn a_line_may_be_longer_than_the_message_that_it_becomes() {
    let room = Room::new();
    let escaped = |characters: usize| format!("\"{}\"\n", "\\u0061".repeat(characters));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("lines-that-are-escaped.txt");
    std::fs::write(&file, escaped(500_000) + &escaped(1_100_000)).expect("there is room for a file");
    let mut publish = room.mz(&["publish", "log", "line"]);
    let output = publish.stdin(std::fs::File::open(file).expect("it is there")).output().expect("mz runs");
    let (said, published) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 2 is left out"), "{said}");
    assert!(published.ends_with("published 1, left out 1\n"), "{published}");
}

#[test]
fn what_is_replaced_and_left_out_is_told_to_programs() {
    let room = Room::new();
    let ran = room.fed(&["publish", "log", "line", "--json"], b"\xff\n{\n{}\n");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told: Vec<_> = ran.stderr.lines().map(json).collect();
    assert_eq!((&told[0]["line"], &told[0]["replaced"]), (&1.into(), &"it is not UTF-8".into()));
    assert_eq!(told[1]["line"], 2);
    assert!(told[1]["left_out"].as_str().is_some_and(|reason| reason.contains("--text")), "{ran:?}");
    let done = json(ran.stdout.lines().last().expect("a last line"));
    let expected = r#"{"event": "published", "published": 2, "replaced": 1, "left_out": 1}"#;
    assert_eq!(done, json(expected));

    // A whole file of them is told in a few lines.
    let ran = room.fed(&["publish", "log", "line"], &b"{\n".repeat(500));
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 5), "{ran:?}");
    let ran = room.fed(&["publish", "log", "line", "--text"], &b"{\n".repeat(500));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_without_an_end_takes_no_memory() {
    use std::process::Stdio;

    let room = Room::new();
    let mut command = room.mz(&["publish", "log", "line"]);
    let zeros = std::process::Command::new("head")
        .args(["-c", "150000000", "/dev/zero"])
        .stdout(Stdio::piped())
        .spawn();
    let mut zeros = zeros.expect("there is a head");
    let lines = zeros.stdout.take().expect("it is a pipe");
    let publish = command.stdin(lines).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut publish = publish.spawn().expect("mz starts");
    let mut peak = 0;
    meshzero_testing::eventually(SOON, "it has ended", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", publish.id())).unwrap_or_default();
        let now = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
        peak = peak.max(now.unwrap_or(0_u64));
        publish.try_wait().expect("it can be waited for")
    });
    zeros.wait().expect("it has ended");
    let output = publish.wait_with_output().expect("it has ended");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("150000000 bytes"), "{said}");
    assert!(peak < 80_000, "{peak} kB");
}
