//! The handshake.

use std::fmt::Debug;

use meshzero_proto::id::{InstanceId, LinkId, NodeId};
use meshzero_proto::name::{MeshName, ServiceName};
use meshzero_proto::wire::hello::{
    self, Hello, HelloAnswer, HelloError, MAX_HELLO_BYTES, Purpose, Rejection, Resume, Welcome,
};

use crate::memory;

/// Reads `bytes` as either end of a handshake, and encodes the result again.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    greeting(bytes, hello::parse_hello, hello::encode_hello);
    greeting(bytes, hello::parse_answer, hello::encode_answer);
}

fn greeting<T: Debug + PartialEq>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, HelloError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let read = memory::within(MAX_HELLO_BYTES * 16, || parse(bytes));
    // A reader that reads no more than is wanted gets the same.
    let mut filled = 0;
    let pieces = loop {
        let known = &bytes[..filled];
        match hello::missing_bytes(known).and_then(|wanted| Ok((wanted, parse(known)?))) {
            Err(error) => break Err(error),
            Ok((_, Some(read))) => break Ok(Some(read)),
            Ok((0, None)) => panic!("nothing more is wanted, and it is not whole"),
            Ok((wanted, None)) if filled + wanted > bytes.len() => break Ok(None),
            Ok((wanted, None)) => filled += wanted,
        }
        assert!(filled <= MAX_HELLO_BYTES);
    };
    if pieces != Ok(None) {
        assert_eq!(read, pieces);
    }
    match read {
        Ok(Some((greeting, length))) => {
            assert!(length <= bytes.len() && length <= MAX_HELLO_BYTES);
            let again = encode(&greeting);
            assert_eq!(parse(&again), Ok(Some((greeting, again.len()))));
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Valid handshakes.
pub fn seeds() -> Vec<Vec<u8>> {
    let (node, instance) = (NodeId::from_random([1; 16]), InstanceId::from_random([2; 16]));
    let link = LinkId::from_random([3; 16]);
    let hello = Hello {
        mesh: MeshName::default(),
        node,
        instance: None,
        purpose: Purpose::Requests,
        message_bytes: 1 << 20,
        resume: None,
        pieces: true,
        standby: None,
    };
    let welcome = Welcome {
        node,
        instance,
        service: ServiceName::new("robot/arm").ok(),
        message_bytes: 1 << 20,
        link: None,
        received: 0,
        standby: None,
    };
    let resume = Resume { link, received: 1 << 40, attempt: 1 };
    let hellos = [
        Hello { purpose: Purpose::Peer { hand_on: true }, instance: Some(instance), ..hello.clone() },
        Hello { purpose: Purpose::News, resume: Some(resume), ..hello.clone() },
        Hello { purpose: Purpose::Probe, ..hello.clone() },
        Hello { purpose: Purpose::Probe, standby: Some(link), ..hello.clone() },
        hello,
    ];
    let answers = [
        HelloAnswer::Welcome(Welcome { link: Some(link), service: None, ..welcome.clone() }),
        HelloAnswer::Welcome(welcome),
        HelloAnswer::Rejected(Rejection::OtherMesh { theirs: MeshName::default() }),
        HelloAnswer::Rejected(Rejection::Full),
    ];
    hellos.iter().map(hello::encode_hello).chain(answers.iter().map(hello::encode_answer)).collect()
}
