//! Clients that can less than this version: they get what they can read.

use std::io::Read;
use std::net::TcpStream;
use std::time::Instant;

use meshzero_proto::codec::{DecodeLimits, Encoding, decode};
use meshzero_proto::wire::frame::{self, FrameKind, Frames};
use meshzero_proto::wire::hello::{Hello, Purpose};

use super::stranger::{PATIENCE, Stranger, packed, request, say};
use crate::support::Room;

/// The kinds of frame that the reply to the request `id` came in, and the bytes that they carried together.
#[track_caller]
fn reply(stream: &mut TcpStream, id: u64) -> (Vec<FrameKind>, Vec<u8>) {
    let (begun, mut bytes) = (Instant::now(), Vec::new());
    loop {
        let (mut kinds, mut carried, mut is_whole) = (Vec::new(), Vec::new(), false);
        for (header, payload) in Frames::new(&bytes).filter(|(header, _)| header.id == id) {
            kinds.push(header.kind);
            carried.extend_from_slice(payload);
            is_whole = header.kind == FrameKind::Reply || header.flags & frame::LAST != 0;
        }
        if is_whole {
            return (kinds, carried);
        }
        assert!(begun.elapsed() < PATIENCE, "no reply, only {kinds:?}");
        let mut buffer = vec![0; 64 << 10];
        let read = stream.read(&mut buffer).expect("it answers");
        assert!(read > 0, "it ended the connection after {kinds:?}");
        bytes.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn who_takes_no_pieces_gets_a_long_reply_whole() {
    let room = Room::new();
    let (_process, address) = room.advertise(&["echo", "--echo"]);
    let endpoint = Stranger { address: address.parse().expect("an address with a port"), mesh: &room.mesh };
    let (id, message) = (1 << 32, "long ".repeat(100_000));
    let ask = |pieces| {
        let (mut stream, _) = endpoint.welcomed_as(&Hello { pieces, ..endpoint.hello(Purpose::Requests) });
        let question = request(id, &packed(&message));
        assert_eq!(say(&mut stream, &question), question.len());
        reply(&mut stream, id)
    };
    let read = |payload: &[u8]| {
        decode::<String>(payload, Encoding::MessagePack, &DecodeLimits::default()).expect("it is a text")
    };
    let (kinds, whole) = ask(false);
    assert_eq!(kinds, [FrameKind::Reply]);
    assert!(read(&whole) == message, "another reply");
    let (kinds, frame) = ask(true);
    assert!(kinds.len() > 1 && kinds.iter().all(|kind| *kind == FrameKind::Piece), "{kinds:?}");
    let (header, payload) = Frames::new(&frame).next().expect("the pieces are a frame");
    assert_eq!(header.kind, FrameKind::Reply);
    assert!(read(payload) == message, "another reply");
}
