//! Sockets of ZeroMQ and programs of Python's NetworkZero, as they come from PyPI, in one mesh with `mz`.

mod gateway;

use std::net::TcpListener;

use meshzero_testing::{Process, python, require};
use serde_json::json;

use crate::support::{Room, SOON, json};

#[test]
fn req_and_dealer_sockets_call_a_service() {
    if !require::networkzero() {
        return;
    }
    let room = Room::new();
    let (_service, address) = room.advertise(&["echo", "--echo"]);
    let said = python::start(include_str!("zmq_asks.py"), &[&address]).succeed(SOON);
    let said: Vec<_> = said.lines().map(json).collect();
    assert_eq!(said[..3], [(); 3].map(|()| json!(["req", true])), "{said:?}");
    let error = said[3][1]["error"].as_str().expect("a sentence");
    assert!(error.contains("JSON") && error.contains("line 1"), "{error}");
    assert_eq!(said[4..], [json!(["dealer", true]), json!(["dealer bare", "bare"]), json!(["pull", true])]);
}

#[test]
fn a_program_of_networkzero_calls_and_listens_by_address() {
    if !require::networkzero() {
        return;
    }
    let room = Room::new();
    let (_service, address) = room.advertise(&["greeter", "--reply", "Hello, {}!"]);
    let weather = free();
    let _weather = room.start(&["publish", "weather", "temp", "21.5", "--rate", "20", "--at", &weather]);
    let said = python::start(include_str!("asks.py"), &[&address, &weather, ""]).succeed(SOON);
    let said: Vec<_> = said.lines().map(json).collect();
    assert_eq!(said, [json!("Hello, [\"World\",1]!"), json!(["temp", 21.5])], "{said:?}");
}

#[test]
fn the_mesh_calls_and_listens_to_a_program_of_networkzero_by_address() {
    if !require::networkzero() {
        return;
    }
    let room = Room::new();
    let (answers, news) = (free(), free());
    let _serves = serve(&[&answers, &news]);
    assert_eq!(
        room.run(&["send", &answers, r#"{"x": [1, null]}"#, "--wait", "20s"]).object(),
        json!({ "hello": { "x": [1, null] } })
    );
    let heard = room.run(&["listen", &news, "tick/1", "--count", "3", "--json"]).succeeded();
    let numbers: Vec<_> = heard.lines().filter_map(|line| json(line)["item"]["number"].as_u64()).collect();
    assert_eq!(numbers.len(), 3, "{heard}");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 2), "{heard}");
    room.run(&["send", &news, "x"]).failed(4, &[&news]);
}

#[test]
fn a_program_that_dies_before_it_answers_may_have_acted() {
    if !require::networkzero() {
        return;
    }
    let room = Room::new();
    let (answers, news) = (free(), free());
    let mut serves = serve(&[&answers, &news]);
    let mut send = room.start(&["send", &answers, "slow", "--wait", "60s"]);
    serves.expect_line("asked slow", SOON);
    serves.kill();
    let status = send.wait(SOON);
    assert_eq!(status.code(), Some(3), "{}", send.stderr());
    assert!(send.stderr().contains("may have been handled"), "{}", send.stderr());
}

/// A program of NetworkZero that answers and publishes.
#[track_caller]
fn serve(arguments: &[&str]) -> Process {
    let mut serves = python::start(include_str!("serves.py"), arguments);
    serves.expect_line("ready", SOON);
    serves
}

/// An address on loopback that nobody listens at.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").to_string()
}
