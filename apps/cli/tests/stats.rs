//! `mz stats`.

use crate::support::Room;
#[cfg(unix)]
use crate::support::address_of;

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

    let transport = if cfg!(unix) { "unix" } else { "tcp" };
    assert_eq!(service["links"][0]["transport"], transport, "{service}");

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

#[cfg(unix)]
#[test]
fn programs_of_different_users_and_programs_without_unix_sockets_use_tcp() {
    use std::os::unix::process::CommandExt;

    use meshzero_testing::{Process, require};

    let transports = |room: &Room, address: &str| {
        let stats = room.run(&["stats", address, "--json"]).object();
        let links = stats["services"][0]["links"].as_array().expect("a list").clone();
        links.iter().map(|link| link["transport"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let room = Room::new();
    let mut service = room.mz(&["advertise", "echo", "--echo"]);
    let mut over_tcp = Process::start(service.env("MESHZERO_UNIX_SOCKETS", "off"));
    let address = address_of(&mut over_tcp);
    assert_eq!(transports(&room, &address), ["tcp"]);
    if !require::another_user(service.get_program().as_ref()) {
        return;
    }
    let mut command = room.mz(&["advertise", "theirs", "--echo"]);
    let mut theirs = Process::start(command.uid(require::ANOTHER_USER));
    let address = address_of(&mut theirs);
    assert_eq!(transports(&room, &address), ["tcp"]);
    assert_eq!(room.run(&["send", &address, "1"]).succeeded(), "1\n");
}
