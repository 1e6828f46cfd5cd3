//! The bytes of ZeroMQ sockets and NetworkZero programs: conversations, JSON, adverts and commands.

use bytes::BytesMut;
use meshzero_proto::codec::{self, DecodeLimits, Encoding, Json};
use meshzero_proto::networkzero::{Command, ServiceAdvert};
use meshzero_proto::zmtp::{self, SocketType, ZmtpError, ZmtpEvent, ZmtpMachine};

use crate::memory;

/// The limit of a message's length.
const LIMIT: usize = 4_096;

/// The first byte selects the kind of the others.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else { return };
    match what % 4 {
        0 => converse(bytes),
        1 => transcode(bytes),
        2 => {
            if let Ok(advert) = ServiceAdvert::from_bytes(bytes)
                && let Some(written) = advert.to_bytes()
            {
                let again = ServiceAdvert::from_bytes(&written).expect("it was encoded from this value");
                assert_eq!((&again.name, again.address), (&advert.name, advert.address));
            }
        }
        _ => {
            if let Ok(json) = serde_json::from_slice(bytes)
                && let Err(error) = Command::from_json(&json)
            {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// A conversation gives the same result however it is cut, and no more than a message's length is buffered.
fn converse(bytes: &[u8]) {
    let all = [opening(SocketType::Sub), bytes.to_vec()].concat();
    let whole = memory::within(64 * LIMIT + 8 * all.len(), || events(&all, all.len()));
    let cut = events(&all, 1 + usize::from(bytes.first().copied().unwrap_or(0)) % 7);
    assert_eq!(whole.is_ok(), cut.is_ok());
    if let (Ok(whole), Ok(cut)) = (whole, cut) {
        assert_eq!(whole, cut);
    }
}

fn events(bytes: &[u8], step: usize) -> Result<Vec<ZmtpEvent>, ZmtpError> {
    let mut conversation = ZmtpMachine::new(LIMIT);
    let (mut buffer, mut events) = (BytesMut::new(), Vec::new());
    for part in bytes.chunks(step) {
        buffer.extend_from_slice(part);
        while let Some(event) = conversation.next(&mut buffer)? {
            if let ZmtpEvent::Message(frames) = &event {
                assert!(frames.iter().map(|frame| frame.len()).sum::<usize>() <= LIMIT);
                let _ = zmtp::split_envelope(frames.clone());
            }
            events.push(event);
        }
    }
    Ok(events)
}

/// Converts JSON into a message, and that back into JSON.
fn transcode(bytes: &[u8]) {
    let limits = DecodeLimits { bytes: 1 << 20, nesting: 32, values: 4_096, values_per_byte: 0 };
    let json = Json::new(bytes.to_vec(), &limits);
    let mut packed = Vec::new();
    if codec::encode(&json, Encoding::MessagePack, LIMIT, &mut packed).is_ok() {
        let back: Json =
            codec::decode(&packed, Encoding::MessagePack, &limits).expect("it was encoded from this value");
        serde_json::from_slice::<serde_json::Value>(back.text()).expect("it is JSON");
    }
    // Read as the message of a stranger.
    if let Ok(json) = codec::decode::<Json>(bytes, Encoding::MessagePack, &limits) {
        serde_json::from_slice::<serde_json::Value>(json.text()).expect("it is JSON");
    }
    if let Some((_, value)) = codec::single_entry(bytes) {
        assert!(value.len() < bytes.len());
    }
    if let Some(inside) = codec::whole_bytes(bytes) {
        assert!(inside.len() < bytes.len());
    }
}

fn opening(socket: SocketType) -> Vec<u8> {
    let mut bytes = zmtp::greeting().to_vec();
    zmtp::write_ready(&mut bytes, socket, false);
    bytes
}

/// One of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    zmtp::write_subscription(&mut said, b"wind", true);
    zmtp::write_message(&mut said, [&b"id"[..], b"", b"{}"]);
    zmtp::write_pong(&mut said, b"ab");
    let seeds: [(u8, &[u8]); 9] = [
        (0, &said),
        (0, b"\x04\x0e\x09SUBSCRIBEnews\x04\x0b\x06CANCELnews\x04\x08\x04PING\x00\x0aa"),
        (1, br#"{"a": [1, -2, 0.5, null, true, "text"], "b": {}}"#),
        (1, &[0x82, 0xa1, b'a', 0xc4, 2, 0, 255, 1, 0x92, 0xc0, 0xc3]),
        (1, &[0x81, 0xa4, b'M', b'o', b'v', b'e', 0xca, 0x3f, 0, 0, 0]),
        (2, br#"["hello", "192.168.1.7:50000", 20]"#),
        (3, br#"["advertise", "hello", null, false, 20]"#),
        (3, br#"["discover", "hello", 0.5]"#),
        (3, br#"["discover_all"]"#),
    ];
    seeds.map(|(what, bytes)| [&[what][..], bytes].concat()).into()
}
