//! `mz discover`, `mz list` and `mz describe`.

use std::future::IntoFuture as _;

use actix::{Actor, Context};
use meshzero::{Mesh, block_on};
use meshzero_testing::Process;

use crate::support::{Ran, Room, SOON, json};

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

#[test]
fn a_service_is_found_by_its_name_and_by_its_address() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["robot/arm", "--echo"]);
    assert_eq!(room.run(&["discover", "robot/arm"]).succeeded(), format!("{address}\n"));
    assert_eq!(room.run(&["discover", &address]).succeeded(), format!("{address}\n"));
    let found = room.run(&["discover", "robot/arm", "--json"]).object();
    assert_eq!(
        (&found["service"], &found["address"]),
        (&json("\"robot/arm\""), &json(&format!("{address:?}")))
    );
    assert!(found["ms"].is_f64() && found["node"].is_string() && found["instance"].is_string(), "{found}");
}

#[test]
fn every_instance_of_a_name_is_found() {
    let room = Room::new();
    let (_first, first) = room.advertise(&["robot/arm", "--echo"]);
    let (mut second, second_address) = room.advertise(&["robot/arm", "--echo"]);
    let found = room.run(&["discover", "robot/arm"]).succeeded();
    let mut expected = [first.as_str(), &second_address];
    expected.sort_by_key(|address| address.parse::<std::net::SocketAddr>().ok());
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    second.kill();
    assert_eq!(room.run(&["discover", "robot/arm"]).succeeded(), format!("{first}\n"));
}

#[test]
fn nobody_is_an_exit_code_and_a_sentence() {
    let room = Room::new();
    let (_service, _) = room.advertise(&["robot/leg", "--echo"]);
    room.run(&["discover", "robot/arm", "--wait", "700ms"])
        .failed(1, &["robot/arm", "700", "\"robot/leg\"", "lo"]);
    let ran = room.run(&["discover", "robot/arm", "--wait", "0", "--json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    let error = json(&ran.stderr);
    assert_eq!(error["exit"], 1);
    assert!(error["error"].as_str().is_some_and(|error| error.contains("robot/arm")), "{error}");
}

#[test]
fn services_are_listed_in_columns() {
    let room = Room::new();
    room.run(&["list", "--wait", "300ms"]).failed(1, &["no service", &room.mesh]);
    let (_arm, arm) = room.advertise(&["robot/arm", "--echo"]);
    let (_chat, chat) = room.advertise(&["chat", "--echo"]);
    let (_leg, _) = room.advertise(&["robot/a long leg", "--echo"]);

    let listed = meshzero_testing::eventually(SOON, "three services are listed", || {
        let listed = room.run(&["list"]).succeeded();
        (listed.lines().count() == 4).then_some(listed)
    });
    let lines: Vec<&str> = listed.lines().collect();
    let column = lines[0].find("ADDRESS").expect("a heading");
    assert!(lines[0].starts_with("SERVICE "), "{listed}");
    assert!(lines[1].starts_with("chat ") && lines[1][column..].starts_with(&chat), "{listed}");
    assert!(lines[2].starts_with("robot/a long leg "), "{listed}");
    assert!(lines[3].starts_with("robot/arm ") && lines[3][column..].starts_with(&arm), "{listed}");

    let group = room.run(&["list", "--group", "robot", "--json"]).succeeded();
    let names: Vec<_> = group.lines().map(|line| json(line)["service"].clone()).collect();
    assert_eq!(names, ["robot/a long leg", "robot/arm"]);
    let group = room.run(&["list", "--group", "robot/a", "--separator", " ", "--json"]).object();
    assert_eq!(group["service"], "robot/a long leg");
    room.run(&["list", "--group", "plane", "--wait", "200ms"]).failed(1, &["plane/"]);
    // No name can begin so.
    room.run(&["list", "--group", "plane\n", "--wait", "1h"]).failed(2, &["--group", "control character"]);
    room.run(&["list", "--group", &"x".repeat(128), "--watch"]).failed(2, &["--group", "129 bytes"]);
}

#[test]
fn a_watch_tells_what_comes_and_goes() {
    let room = Room::new();
    let mut watch = room.start(&["list", "--watch", "--group", "robot", "--json"]);
    let mut people = room.start(&["list", "--watch"]);
    let (mut arm, address) = room.advertise(&["robot/arm", "--echo"]);
    let up = json(&watch.next_line(SOON));
    assert_eq!((up["event"].as_str(), up["address"].as_str()), (Some("up"), Some(address.as_str())), "{up}");
    people.expect_line(&address, SOON);
    arm.kill();
    let down = json(&watch.next_line(SOON));
    assert_eq!(
        (down["event"].as_str(), down["service"].as_str()),
        (Some("down"), Some("robot/arm")),
        "{down}"
    );
    assert!(down["reason"].is_string(), "{down}");
    people.expect_line("down", SOON);

    let (arm, _) = room.advertise(&["robot/arm", "--echo"]);
    watch.expect_line("\"up\"", SOON);
    arm.interrupt();
    watch.expect_line("\"down\"", SOON);
}

#[test]
fn a_service_tells_what_it_handles() {
    let room = Room::new();
    let (_service, address) = room.advertise(&["echo", "--echo"]);
    let described = room.run(&["describe", "echo"]).succeeded();
    assert!(described.starts_with("echo\n  message  Value"), "{described}");
    assert_eq!(room.run(&["describe", &address]).succeeded(), described);
    assert!(described.contains("anything -> anything"), "{described}");
    let described = room.run(&["describe", "echo", "--json"]).object();
    assert_eq!(described["messages"][0]["name"], "Value");

    let mut news = room.start(&["publish", "weather", "celsius", "21.5"]);
    news.expect_line(" is at ", SOON);
    let described = room.run(&["describe", "weather"]).succeeded();
    assert!(described.contains("topic    celsius") && described.contains("is kept"), "{described}");
    let mut arm = room.start(&["demo-part", "arm", "--json"]);
    arm.expect_line("Advertises", SOON);
    let described = room.run(&["describe", "robot/arm"]).succeeded();
    let message = r#"message  Move  {joint: "Shoulder" | "Elbow", degrees: number}"#;
    assert!(described.contains(message) && described.contains("elbow: number"), "{described}");
    room.run(&["describe", "nobody", "--wait", "200ms"]).failed(1, &["nobody"]);
}

#[test]
fn another_mesh_is_another_world() {
    let (room, other) = (Room::new(), Room::new());
    let (_service, address) = room.advertise(&["robot/arm", "--echo"]);
    other
        .run(&["discover", "robot/arm", "--wait", "700ms"])
        .failed(1, &["robot/arm", "other meshes", &room.mesh]);
    other.run(&["send", &address, "x", "--wait", "500ms"]).failed(1, &[&address, "mesh"]);
    other.run(&["list", "--wait", "300ms"]).failed(1, &[&other.mesh]);
}

#[test]
fn a_list_says_how_many_services_a_limit_hides() {
    let room = Room::new();
    let mesh = block_on(Mesh::join().mesh(&room.mesh).interfaces("lo").into_future()).expect("it joins");
    let _services = ["arm", "base", "leg"]
        .map(|name| block_on(mesh.advertise(name, || Quiet).into_future()).expect("advertised"));
    let list = |arguments: &[&str]| {
        let mut mz = room.mz(&[&["list"][..], arguments].concat());
        Ran::from(mz.env("MESHZERO_LIMITS", "instances_per_node=1").output().expect("mz runs"))
    };
    // One after the other is heard of.
    let listed = meshzero_testing::eventually(SOON, "two are hidden", || {
        Some(list(&["--json"])).filter(|listed| listed.stderr.contains("\"hidden\":2"))
    });
    assert_eq!(listed.stdout.lines().count(), 1, "{listed:?}");
    assert!(json(&listed.stdout)["service"].is_string(), "{listed:?}");
    // Behind what the log says of it.
    let hidden = json(listed.stderr.lines().last().expect("a line"));
    let remedy = hidden["remedy"].as_str().expect("a text");
    assert!(remedy.contains("MESHZERO_LIMITS=instances_per_node=4"), "{remedy}");
    let listed = meshzero_testing::eventually(SOON, "two are hidden", || {
        Some(list(&[])).filter(|listed| listed.stderr.contains("not listed: 2 more services"))
    });
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 2), "a heading and one: {listed:?}");
    let all = meshzero_testing::eventually(SOON, "all are listed", || {
        Some(room.run(&["list"])).filter(|all| all.stdout.lines().count() == 4)
    });
    assert_eq!(all.stderr, "");
}

#[test]
fn a_watch_says_when_a_limit_hides_nothing_any_more() {
    let room = Room::new();
    let mesh = block_on(Mesh::join().mesh(&room.mesh).interfaces("lo").into_future()).expect("it joins");
    let mut services = Vec::from(
        ["arm", "base", "leg"]
            .map(|name| block_on(mesh.advertise(name, || Quiet).into_future()).expect("advertised")),
    );
    let watch = |arguments: &[&str]| {
        let mut mz = room.mz(&[&["list", "--watch"][..], arguments].concat());
        Process::start(mz.env("MESHZERO_LIMITS", "instances_per_node=1"))
    };
    let (mut told, mut shown) = (watch(&["--json"]), watch(&[]));
    told.expect_error_line(r#""hidden":2"#, SOON);
    shown.expect_error_line("not listed: 2 more services", SOON);
    services.truncate(1);
    told.expect_error_line(r#"{"hidden":0}"#, SOON);
    shown.expect_error_line("all services are listed now", SOON);
    drop(services);
}

#[test]
fn a_watch_tells_of_nothing_that_has_not_happened_and_says_once_how_many_a_limit_hides() {
    let room = Room::new();
    let mut limits = meshzero::Limits::default();
    limits.instances_per_node = 300;
    let join = Mesh::join().mesh(&room.mesh).interfaces("lo").limits(limits);
    let mesh = block_on(join.into_future()).expect("it joins");
    let _services: Vec<_> = (0..150)
        .map(|number| block_on(mesh.advertise(format!("svc/{number:03}"), || Quiet).into_future()))
        .collect();
    let mut watch = room.start(&["list", "--watch", "--group", "svc", "--json"]);
    watch.expect_error_line(r#""hidden":86"#, SOON);
    let mut pushed = room.start(&["list", "--watch", "--group", "svc"]);
    pushed.expect_error_line("not listed: 86 more services are known", SOON);
    for (mut watch, up) in [(watch, r#""event":"up""#), (pushed, "up ")] {
        watch.interrupt();
        watch.wait(SOON);
        let (told, said) = (watch.stdout(), watch.stderr());
        assert!(told.lines().all(|line| line.contains(up)), "{told}");
        assert_eq!(told.lines().count(), 64, "{told}");
        let said: Vec<_> =
            said.lines().filter(|line| line.contains("MESHZERO_LIMITS=instances_per_node=256")).collect();
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
