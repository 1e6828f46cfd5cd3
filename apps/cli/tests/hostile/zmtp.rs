//! Attacks in the language of ZeroMQ.

use std::net::TcpStream;

use meshzero_proto::zmtp::{self, SocketType};

use super::stranger::{ends, reset, say, say_on};
use super::victim::{Attack, Victim};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("ZeroMQ of its oldest version", |victim| {
            is_cut_off(victim, b"\xff\0\0\0\0\0\0\0\x01\x7f\x01")
        }),
        Attack::new("half a greeting of ZeroMQ", |victim| {
            vec![victim.stranger().says(&zmtp::greeting()[..40])]
        }),
        Attack::new("64 greetings of ZeroMQ that never end", |victim| {
            (0..64).map(|_| victim.stranger().says(&zmtp::greeting())).collect()
        }),
        Attack::new("ZeroMQ that wants CURVE", |victim| {
            let mut greeting = zmtp::greeting();
            greeting[12..17].copy_from_slice(b"CURVE");
            is_cut_off(victim, &greeting)
        }),
        Attack::new("ZeroMQ that is a socket of no known type", |victim| {
            let ready = b"\x04\x1b\x05READY\x0bSocket-Type\x00\x00\x00\x05RADIO";
            is_cut_off(victim, &[&zmtp::greeting()[..], ready].concat())
        }),
        Attack::new("ZeroMQ with a property of 4 GiB", |victim| {
            let ready = b"\x04\x1a\x05READY\x0bSocket-Type\xff\xff\xff\xffREQQ";
            is_cut_off(victim, &[&zmtp::greeting()[..], ready].concat())
        }),
        Attack::new("ZeroMQ that asks before it shakes hands", |victim| {
            is_cut_off(victim, &[&zmtp::greeting()[..], &message(&[b"", b"1"])].concat())
        }),
        Attack::new("a frame of ZeroMQ of 8 EiB", |victim| {
            goes_on(victim, SocketType::Req, b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff")
        }),
        Attack::new("a frame of ZeroMQ with every flag", |victim| {
            goes_on(victim, SocketType::Req, b"\xff\x00")
        }),
        Attack::new("a message of ZeroMQ whose frames never end", |victim| {
            goes_on(victim, SocketType::Dealer, &b"\x01\x00".repeat(100_000))
        }),
        Attack::new("a message of ZeroMQ of many long frames", |victim| {
            let frame = [&[3, 0, 0, 0, 0, 0, 3, 0, 0][..], &vec![7; 3 << 16]].concat();
            goes_on(victim, SocketType::Req, &frame.repeat(8))
        }),
        Attack::new("JSON that nests 500,000 deep", |victim| {
            asks(victim, "[".repeat(500_000).as_bytes(), "error")
        }),
        Attack::new("JSON of 200,000 small maps", |victim| {
            let maps = format!("[{}0]", r#"{"":0},"#.repeat(140_000));
            asks(victim, maps.as_bytes(), "error")
        }),
        Attack::new("JSON that is no text", |victim| asks(victim, b"\"\xff\xfe\"", "error")),
        Attack::new("a REQ that asks and leaves", |victim| {
            for _ in 0..200 {
                let mut stream = opened(victim, SocketType::Req);
                say(&mut stream, &message(&[b"", b"\"leaves\""]));
                reset(stream);
            }
            Vec::new()
        }),
        Attack::new("a DEALER that asks on and on and reads no answer", |victim| {
            let mut stream = opened(victim, SocketType::Dealer);
            let question = message(&[b"", format!("{:?}", "x".repeat(1_000)).as_bytes()]);
            say_on(&mut stream, &question, 64 << 20);
            vec![stream]
        }),
        Attack::new("100,000 subscriptions of one SUB", |victim| {
            let mut subscriptions = Vec::new();
            for number in 0..100_000u32 {
                zmtp::write_subscription(&mut subscriptions, &number.to_be_bytes(), true);
            }
            goes_on(victim, SocketType::Sub, &subscriptions)
        }),
        Attack::new("a SUB that subscribes and cancels on and on", |victim| {
            let mut stream = opened(victim, SocketType::Sub);
            let mut both = Vec::new();
            zmtp::write_subscription(&mut both, b"topic", true);
            zmtp::write_subscription(&mut both, b"topic", false);
            say_on(&mut stream, &both, 8 << 20);
            vec![stream]
        }),
        Attack::new("pings of ZeroMQ whose answers nobody reads", |victim| {
            let mut stream = opened(victim, SocketType::Sub);
            say_on(&mut stream, b"\x04\x17\x04PING\x00\x0a0123456789abcdef", 64 << 20);
            vec![stream]
        }),
    ]
}

fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    zmtp::write_message(&mut bytes, frames.iter().copied());
    bytes
}

/// Says this instead of a handshake; the other end ends the connection.
#[track_caller]
fn is_cut_off(victim: &Victim, bytes: &[u8]) -> Vec<TcpStream> {
    ends(victim.stranger().says(bytes));
    Vec::new()
}

/// A connection that has said which socket it is.
fn opened(victim: &Victim, socket: SocketType) -> TcpStream {
    let mut opening = zmtp::greeting().to_vec();
    zmtp::write_ready(&mut opening, socket, false);
    victim.stranger().says(&opening)
}

/// Says this after the handshake; the other end ends the connection.
#[track_caller]
fn goes_on(victim: &Victim, socket: SocketType, bytes: &[u8]) -> Vec<TcpStream> {
    let mut stream = opened(victim, socket);
    say(&mut stream, bytes);
    ends(stream);
    Vec::new()
}

/// Asks this, and gets an answer in which that stands.
#[track_caller]
fn asks(victim: &Victim, json: &[u8], answered: &str) -> Vec<TcpStream> {
    use std::io::Read;

    let mut stream = opened(victim, SocketType::Req);
    say(&mut stream, &message(&[b"", json]));
    let mut said = Vec::new();
    let mut buffer = [0; 4_096];
    while !String::from_utf8_lossy(&said).contains(answered) {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => said.extend_from_slice(&buffer[..read]),
            ended => panic!("no {answered:?} in {:?}: {ended:?}", String::from_utf8_lossy(&said)),
        }
    }
    vec![stream]
}
