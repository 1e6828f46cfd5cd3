//! The datagrams of multicast DNS: replies, announcements and the questions of others.

use std::net::SocketAddr;

use meshzero_proto::discovery::advert::MAX_RECEIVED_ADDRESSES;
use meshzero_proto::discovery::query::{
    self, ForeignQuestions, NETWORK_DATAGRAM_BYTES, Question, ReplyAssembler, ReplyTotals,
};

use crate::memory;

/// The limit of memory for incomplete replies, with what one datagram adds.
const KEPT: usize = 3 << 20;

/// The bytes are datagrams, each behind two bytes of length. The first byte is the number of hosts that send them in turn.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    let Some((hosts, mut rest)) = bytes.split_first() else { return };
    memory::within(KEPT, || {
        let mut replies = ReplyAssembler::default();
        let mut number: u8 = 0;
        while let Some((length, behind)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
            let (datagram, behind) = behind.split_at(length);
            rest = behind;
            number = number.wrapping_add(1) % (hosts / 16).max(1);
            let from = SocketAddr::from(([10, 0, 0, number], 5_353));
            for replied in [query::parse_reply(datagram), replies.add(from, datagram)] {
                check(replied);
            }
            if let Ok(asked) = ForeignQuestions::parse(datagram) {
                assert!(asked.questions.len() <= datagram.len() && asked.known.len() <= datagram.len());
            }
        }
    });
    check(query::parse_reply(bytes));
}

fn check(replied: Result<ReplyTotals, query::ReplyError>) {
    match replied {
        Ok(ReplyTotals { adverts, gone, invalid }) => {
            assert!(gone.len() < 9_000);
            assert!(adverts.iter().all(|advert| advert.addresses.len() <= MAX_RECEIVED_ADDRESSES));
            assert!(invalid.iter().all(|(_, problem)| problem.to_string().len() < 2_000));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The question, which is a datagram of the same kind, and replies.
pub fn seeds() -> Vec<Vec<u8>> {
    let datagram = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).expect("a datagram").to_le_bytes();
        [&[1], &length[..], bytes].concat()
    };
    vec![datagram(&question()), datagram(&reply()), [reply(), reply()].concat()]
}

fn question() -> Vec<u8> {
    let known = meshzero_proto::id::InstanceId::from_random([1; 16]);
    Question::encode(&[Question::All], [known], NETWORK_DATAGRAM_BYTES)
}

/// One service in a responder's reply: SRV, TXT and A, with compressed names.
fn reply() -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    let label = "00112233445566778899aabbccddeeff";
    let instance = bytes.len();
    for part in [label, "_meshzero", "_tcp", "local"] {
        text(&mut bytes, part);
    }
    bytes.push(0);
    // SRV: the host is named by the instance's label.
    bytes.extend([0, 33, 0, 1, 0, 0, 0, 10, 0, 8, 0, 0, 0, 0, 15, 160, 0xc0, instance as u8]);
    bytes.extend([0xc0, instance as u8, 0, 16, 0, 1, 0, 0, 0, 10]);
    let mut txt = Vec::new();
    let version = format!("v={}", meshzero_proto::discovery::advert::PROTOCOL_VERSION);
    for property in [&version, "mesh=meshzero", &format!("node={label}"), "svc=robot/arm"] {
        text(&mut txt, property);
    }
    bytes.extend(u16::try_from(txt.len()).expect("it is short").to_be_bytes());
    bytes.extend(txt);
    bytes.extend([0xc0, instance as u8, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 10, 0, 0, 1]);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("it is short"));
    bytes.extend(text.as_bytes());
}
