use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

/// Returns the bytes that a peer with such a socket sends first, from its greeting on.
fn opening(socket: SocketType) -> Vec<u8> {
    let mut bytes = greeting().to_vec();
    write_ready(&mut bytes, socket, false);
    bytes
}

/// Returns all events of `bytes`, which arrive `step` at a time.
fn events(bytes: &[u8], step: usize, limit: usize) -> Result<Vec<ZmtpEvent>, ZmtpError> {
    let mut conversation = ZmtpMachine::new(limit);
    let mut buffer = BytesMut::new();
    let mut events = Vec::new();
    for part in bytes.chunks(step.max(1)) {
        buffer.extend_from_slice(part);
        while let Some(event) = conversation.next(&mut buffer)? {
            events.push(event);
        }
    }
    Ok(events)
}

fn after_opening(socket: SocketType, more: &[u8]) -> Result<Vec<ZmtpEvent>, ZmtpError> {
    let mut events = events(&[&opening(socket), more].concat(), usize::MAX, 1_000)?;
    assert_eq!(events.remove(0), ZmtpEvent::Ready { socket, is_meshzero: false });
    Ok(events)
}

fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_message(&mut bytes, frames.iter().copied());
    bytes
}

#[test]
fn a_conversation_is_the_same_however_it_is_split() {
    let mut bytes = opening(SocketType::Req);
    let long = vec![7; 300];
    bytes.extend(message(&[b"", b"{}"]));
    bytes.extend(message(&[b"", &long]));
    let expected = vec![
        ZmtpEvent::Ready { socket: SocketType::Req, is_meshzero: false },
        ZmtpEvent::Message(vec![Bytes::new(), Bytes::from_static(b"{}")]),
        ZmtpEvent::Message(vec![Bytes::new(), Bytes::from(long)]),
    ];
    for step in 1..bytes.len() + 1 {
        assert_eq!(events(&bytes, step, 1_000), Ok(expected.clone()), "{step} bytes at a time");
    }
}

/// The bytes that libzmq 4.3.4 sends from a REQ and a SUB socket.
#[test]
fn bytes_of_libzmq_are_parsed() {
    let greeting =
        [&b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL"[..], &[0; 16], b"\x00", &[0; 31]].concat();
    let ready = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00";
    let request = b"\x01\x00\x00\x07\"Alice\"";
    let all = [&greeting[..], ready, request].concat();
    assert_eq!(
        events(&all, 5, 100),
        Ok(vec![
            ZmtpEvent::Ready { socket: SocketType::Req, is_meshzero: false },
            ZmtpEvent::Message(vec![Bytes::new(), Bytes::from_static(b"\"Alice\"")]),
        ])
    );
    let ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB";
    let subscribed = b"\x04\x0e\x09SUBSCRIBEnews";
    let all = [&greeting[..], ready, subscribed].concat();
    assert_eq!(
        events(&all, 7, 100),
        Ok(vec![
            ZmtpEvent::Ready { socket: SocketType::Sub, is_meshzero: false },
            ZmtpEvent::Subscribe(Bytes::from_static(b"news")),
        ])
    );
}

#[test]
fn both_forms_of_a_subscription_are_accepted() {
    let mut bytes = message(&[b"\x01wind"]);
    write_subscription(&mut bytes, b"wind", false);
    bytes.extend(b"\x04\x0e\x09SUBSCRIBErain\x04\x0b\x06CANCELrain");
    let text = |text: &'static [u8]| Bytes::from_static(text);
    assert_eq!(
        after_opening(SocketType::Sub, &bytes),
        Ok(vec![
            ZmtpEvent::Subscribe(text(b"wind")),
            ZmtpEvent::Cancel(text(b"wind")),
            ZmtpEvent::Subscribe(text(b"rain")),
            ZmtpEvent::Cancel(text(b"rain")),
        ])
    );
    let events = after_opening(SocketType::Dealer, &message(&[b"\x01wind"]));
    assert_eq!(events, Ok(vec![ZmtpEvent::Message(vec![text(b"\x01wind")])]), "no subscription");
}

#[test]
fn a_pong_repeats_the_context_of_its_ping_and_unknown_commands_are_skipped() {
    let bytes = b"\x04\x09\x04PING\x00\x0aab\x04\x05\x04PONG\x04\x04\x03NEW";
    assert_eq!(after_opening(SocketType::Sub, bytes), Ok(vec![ZmtpEvent::Ping(Bytes::from_static(b"ab"))]));
    let mut pong = Vec::new();
    write_pong(&mut pong, b"ab");
    assert_eq!(pong, b"\x04\x07\x04PONGab");
}

#[test]
fn an_endpoint_is_recognised_by_its_ready_command() {
    let mut bytes = greeting().to_vec();
    write_ready(&mut bytes, SocketType::Rep, true);
    assert_eq!(
        events(&bytes, 64, 100),
        Ok(vec![ZmtpEvent::Ready { socket: SocketType::Rep, is_meshzero: true }])
    );
}

#[test]
fn other_protocols_and_versions_are_distinguished() {
    let error = |bytes: &[u8]| events(bytes, 1, 100).expect_err("it is no conversation");
    assert_eq!(error(b"GET / HTTP/1.1"), ZmtpError::NoGreeting);
    assert_eq!(error(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00"), ZmtpError::NoGreeting);
    assert_eq!(error(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01"), ZmtpError::UnsupportedVersion(1));
    let mut curve = greeting();
    curve[12..17].copy_from_slice(b"CURVE");
    assert_eq!(error(&curve), ZmtpError::Mechanism("CURVE".to_owned()));
    let mut unknown = greeting().to_vec();
    unknown.extend(b"\x04\x1b\x05READY\x0bSocket-Type\x00\x00\x00\x05RADIO");
    assert_eq!(error(&unknown), ZmtpError::SocketType("RADIO".to_owned()));
    let mut given_up = greeting().to_vec();
    write_error(&mut given_up, "no room");
    assert_eq!(error(&given_up), ZmtpError::Closed("no room".to_owned()));
}

#[test]
fn frames_out_of_order_are_errors() {
    let mut early = greeting().to_vec();
    early.extend(message(&[b"early"]));
    assert_eq!(events(&early, 64, 100), Err(ZmtpError::OutOfOrder));
    let mut twice = Vec::new();
    write_ready(&mut twice, SocketType::Req, false);
    assert_eq!(after_opening(SocketType::Req, &twice), Err(ZmtpError::OutOfOrder));
    let between = b"\x01\x00\x04\x05\x04PONG";
    assert_eq!(after_opening(SocketType::Req, between), Err(ZmtpError::OutOfOrder));
}

#[test]
fn invalid_lengths_and_endless_messages_are_errors() {
    let excessive = b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff";
    assert!(matches!(after_opening(SocketType::Req, excessive), Err(ZmtpError::TooLong { .. })));
    assert_eq!(after_opening(SocketType::Req, b"\x08\x00"), Err(ZmtpError::Flags(8)));
    assert_eq!(after_opening(SocketType::Req, b"\x05\x00"), Err(ZmtpError::Flags(5)));
    let frames = b"\x01\x00".repeat(100);
    assert_eq!(after_opening(SocketType::Req, &frames), Err(ZmtpError::TooManyFrames));
    let parts = [&[1, 255][..], &[0; 255]].concat().repeat(5);
    assert!(matches!(after_opening(SocketType::Req, &parts), Err(ZmtpError::TooLong { .. })));
    let property = b"\x04\x1a\x05READY\x0bSocket-Type\xff\xff\xff\xffREQQ";
    assert_eq!(events(&[&greeting()[..], property].concat(), 64, 100), Err(ZmtpError::Command));
}

#[test]
fn envelopes_end_at_the_empty_frame() {
    let frames =
        |frames: &[&'static [u8]]| frames.iter().map(|frame| Bytes::from_static(frame)).collect::<Vec<_>>();
    let request = |envelope: &[&'static [u8]], body: &'static [u8]| {
        Some(Envelope { envelope: frames(envelope), body: Bytes::from_static(body) })
    };
    assert_eq!(split_envelope(frames(&[b"", b"x"])), request(&[b""], b"x"));
    assert_eq!(split_envelope(frames(&[b"id", b"", b"x"])), request(&[b"id", b""], b"x"));
    assert_eq!(split_envelope(frames(&[b"x"])), request(&[], b"x"));
    assert_eq!(split_envelope(frames(&[b"id", b"x"])), request(&[b"id"], b"x"));
    assert_eq!(split_envelope(frames(&[b"", b"x", b"y"])), None);
    assert_eq!(split_envelope(Vec::new()), None);
}

proptest! {
    #[test]
    fn any_message_is_decoded_as_it_was_encoded(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..8), step in 1usize..700) {
        let bytes = [opening(SocketType::Dealer), message(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>())].concat();
        let frames = frames.into_iter().map(Bytes::from).collect();
        prop_assert_eq!(events(&bytes, step, 4_000).expect("a conversation").pop(), Some(ZmtpEvent::Message(frames)));
    }

    #[test]
    fn any_bytes_are_events_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600), step in 1usize..100) {
        // Arbitrary bytes never panic, and the sizes in which they arrive make no difference.
        let all = [opening(SocketType::Sub), bytes].concat();
        let (unsplit, split) = (events(&all, usize::MAX, 200), events(&all, step, 200));
        prop_assert_eq!(unsplit.is_ok(), split.is_ok());
        if let (Ok(unsplit), Ok(split)) = (unsplit, split) {
            prop_assert_eq!(unsplit, split);
        }
    }
}
