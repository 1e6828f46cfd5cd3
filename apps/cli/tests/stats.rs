//! `mz stats`.

use crate::support::Room;

#[test]
fn every_program_behind_a_service_tells_once_what_it_has_counted() {
    let room = Room::new();
    let (_first, address) = room.advertise(&["echo", "--echo"]);
    let (_second, _) = room.advertise(&["echo", "--echo"]);
    for message in ["1", "2", "3"] {
        room.run(&["send", &address, message]).succeeded();
    }
    let both = room.run(&["stats", "echo", "--json"]).succeeded();
    assert_eq!(both.lines().count(), 2, "{both}");

    let one = room.run(&["stats", &address, "--json"]).object();
    let service = &one["services"][0];
    assert_eq!((&service["service"], &service["messages"]), (&"echo".into(), &3.into()), "{service}");
    assert_eq!(service["connections"]["given_up"], 0, "who has ended has said so: {service}");
    assert!(service["links"].as_array().is_some_and(|links| !links.is_empty()), "{service}");

    assert_eq!(service["links"][0]["transport"], "tcp", "{service}");

    let table = room.run(&["stats", &address]).succeeded();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("SERVICE  NODE") && lines[0].contains("REFUSED"), "{table}");
    let row: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((row[0], row[2]), ("echo", "3"), "{table}");

    room.run(&["stats", &address, "--prometheus", "--json"]).failed(2, &["--prometheus", "--json"]);
    let text = room.run(&["stats", &address, "--prometheus"]).succeeded();
    let sample = "meshzero_service_messages_total{";
    let line = text.lines().find(|line| line.starts_with(sample)).expect("a sample");
    assert!(line.contains(r#"service="echo"#) && line.ends_with(" 3"), "{line}");
    assert!(text.ends_with("# EOF\n"), "{text}");

    room.run(&["stats", "nobody", "--wait", "10ms"]).failed(1, &["nobody"]);
}
