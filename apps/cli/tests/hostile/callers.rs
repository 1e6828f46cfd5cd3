//! Endpoints that are none: `mz` as a client of somebody who answers whatever it likes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use meshzero_proto::id::{InstanceId, LinkId};
use meshzero_proto::name::{MeshName, TypeName};
use meshzero_proto::wire::catalogue::{Catalogue, MessageEntry};
use meshzero_proto::wire::frame::FrameKind;
use meshzero_proto::wire::hello::{self, HelloAnswer, MAGIC, Rejection, Welcome};
use meshzero_proto::wire::refusal::Refusal;

use super::multicast::{advert, announce};
use super::stranger::{framed, node, packed};
use crate::support::Room;

/// The time for `mz` to notice that this leads nowhere, when it waits for half a second itself.
const SEEN: Duration = Duration::from_secs(20);

/// The answer of an endpoint to any connection.
fn answers() -> Vec<(&'static str, Vec<u8>)> {
    let welcome = hello::encode_answer(&HelloAnswer::Welcome(Welcome {
        node: node(),
        instance: InstanceId::from_random([1; 16]),
        service: None,
        message_bytes: u32::MAX,
        link: Some(LinkId::from_random([2; 16])),
        received: 0,
        standby: None,
    }));
    let name = TypeName::new("Value").expect("a name");
    let catalogue = Catalogue::new(vec![MessageEntry { name, message: None, reply: None }]);
    let begun = [&welcome[..], &framed(FrameKind::Catalogue, 0, &catalogue.to_bytes())].concat();
    let after = |bytes: &[u8]| [&begun[..], bytes].concat();
    let other_mesh = Rejection::OtherMesh { theirs: MeshName::new("other \u{202e} mesh").expect("a name") };
    let escapes = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m";
    let undecodable = Refusal::Undecodable { message: escapes.into(), problem: escapes.repeat(10_000) };
    let handles = vec![escapes.to_owned(); 5_000];
    vec![
        ("nothing at all", Vec::new()),
        ("noise", (0..10_000).map(|_| fastrand::u8(..)).collect()),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("half an answer", welcome[..20].to_vec()),
        ("an answer of 65,535 bytes", [&MAGIC[..], &[255, 255]].concat()),
        ("a mesh whose name acts on a terminal", hello::encode_answer(&HelloAnswer::Rejected(other_mesh))),
        ("no catalogue", [&welcome[..], &framed(FrameKind::Reply, 1, b"\xc0")].concat()),
        (
            "a catalogue of four billion",
            [&welcome[..], &framed(FrameKind::Catalogue, 0, &[0xdd, 255, 255, 255, 255])].concat(),
        ),
        (
            "a catalogue that nests",
            [&welcome[..], &framed(FrameKind::Catalogue, 0, &[0x91; 10_000])].concat(),
        ),
        ("a frame of 4 GiB", after(&[255, 255, 255, 255, FrameKind::Reply as u8, 0, 0, 0])),
        ("an unknown kind", after(&[4, 0, 0, 0, 200, 0, 0, 0])),
        (
            "replies that nobody asked for",
            after(&(0..10_000).flat_map(|id| framed(FrameKind::Reply, id, b"\xc0")).collect::<Vec<u8>>()),
        ),
        ("a request", after(&framed(FrameKind::Request, 1, &packed("you?")))),
        ("an acknowledgement of what was never sent", after(&framed(FrameKind::Ack, u64::MAX, b""))),
        (
            "a refusal that acts on a terminal",
            after(&replies(|id| framed(FrameKind::Refusal, id, &undecodable.to_bytes()))),
        ),
        (
            "a refusal without an end",
            after(&replies(|id| {
                framed(
                    FrameKind::Refusal,
                    id,
                    &Refusal::NoHandler { message: escapes.into(), handles: handles.clone() }.to_bytes(),
                )
            })),
        ),
        ("a reply that nests", after(&replies(|id| framed(FrameKind::Reply, id, &[0x91; 100_000])))),
        (
            "a reply that acts on a terminal",
            after(&replies(|id| framed(FrameKind::Reply, id, &packed(&escapes)))),
        ),
        (
            "a description of maps",
            after(&replies(|id| framed(FrameKind::Reply, id, &br#"[{"":0},"#.repeat(1_000)))),
        ),
    ]
}

/// A reply for each of the numbers that the first call may have.
fn replies(reply: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
    let first = reply(0);
    let numbers = [0, 1, 1 << 32];
    numbers.iter().flat_map(|id| if *id == 0 { first.clone() } else { reply(*id) }).collect()
}

#[test]
fn no_endpoint_hurts_its_callers() {
    let room = Room::new();
    // Most of the time is waited.
    thread::scope(|scope| {
        for (what, answer) in answers() {
            let room = &room;
            scope.spawn(move || is_survived(room, what, &answer));
        }
    });
}

fn is_survived(room: &Room, what: &str, answer: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let answer = answer.to_vec();
    // It ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || answer_once(stream, &answer));
        }
    });
    for arguments in
        [&["send", &address, "hello", "--wait", "500ms"][..], &["describe", &address, "--wait", "500ms"]]
    {
        let begun = Instant::now();
        let ran = room.run(arguments);
        assert!(begun.elapsed() < SEEN, "{what}: {arguments:?} took {:?}", begun.elapsed());
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code.is_some_and(|code| code <= 5), "{what}: {ran:?}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(!said.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), "{what}: {said:?}");
        assert!(said.len() < 64 << 10, "{what}: {} bytes were said", said.len());
    }
}

#[test]
fn names_that_were_heard_are_shown_and_do_not_act() {
    let room = Room::new();
    let names = ["right \u{202e} left", "wide \u{200b} space", "\u{1b}[2J", "\u{9b}31m"];
    // It listens from its start on: announced for as long as it looks.
    let (over, announcing) = mpsc::channel::<()>();
    let mesh = room.mesh.clone();
    let announcer = thread::spawn(move || {
        while announcing.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
            announce((0..).zip(names).map(|(number, name)| advert(&mesh, number, name)));
        }
    });
    let ran = room.run(&["discover", "nobody", "--wait", "2s"]);
    drop(over);
    announcer.join().expect("it announces");
    assert!(!ran.stderr.chars().any(|c| c.is_control() && c != '\n'), "{ran:?}");
    ran.failed(1, &["right \\u{202e} left", "wide \\u{200b} space"]);
}

fn answer_once(mut stream: TcpStream, answer: &[u8]) {
    // Whether the caller still listens is what is tested, and no failure here.
    let _ = stream.set_read_timeout(Some(SEEN));
    let mut hello = [0; 4_096];
    let _ = stream.read(&mut hello);
    let _ = stream.write_all(answer);
    while stream.read(&mut hello).is_ok_and(|read| read > 0) {}
}
