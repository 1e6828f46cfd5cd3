//! Attacks before the handshake is over.

use std::thread;
use std::time::Duration;

use meshzero_proto::id::{InstanceId, LinkId};
use meshzero_proto::name::MeshName;
use meshzero_proto::wire::hello::{
    self, Hello, HelloAnswer, MAGIC, MAX_HELLO_BYTES, Purpose, Rejection, Resume, Welcome,
};

use super::stranger::{ends, node, reset, say};
use super::victim::{Attack, Victim};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("zeros", |victim| is_hung_up_on(victim, &[0; 4_096])),
        Attack::new("ones", |victim| is_hung_up_on(victim, &[0xff; 4_096])),
        Attack::new("noise", |victim| {
            let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(64 << 10).collect();
            is_hung_up_on(victim, &[b"Q", &noise[..]].concat())
        }),
        Attack::new("HTTP", |victim| is_hung_up_on(victim, b"GET / HTTP/1.1\r\nHost: robot\r\n\r\n")),
        Attack::new("HTTP/2", |victim| is_hung_up_on(victim, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        Attack::new("WebSocket", |victim| {
            is_hung_up_on(victim, b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        }),
        Attack::new("TLS ClientHello", |victim| {
            let begin = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
            is_hung_up_on(victim, &[&begin[..], &[7; 506]].concat())
        }),
        Attack::new("SSH", |victim| is_hung_up_on(victim, b"SSH-2.0-OpenSSH_9.6\r\n")),
        Attack::new("Redis", |victim| is_hung_up_on(victim, b"*1\r\n$4\r\nPING\r\n")),
        Attack::new("SMB", |victim| is_hung_up_on(victim, b"\0\0\0\x54\xffSMBr\0\0\0\0")),
        Attack::new("an endpoint's answer", |victim| {
            let answer = HelloAnswer::Welcome(Welcome {
                node: node(),
                instance: InstanceId::from_random([1; 16]),
                service: None,
                message_bytes: u32::MAX,
                link: None,
                received: 0,
                standby: None,
            });
            is_hung_up_on(victim, &hello::encode_answer(&answer))
        }),
        Attack::new("connections that close at once", |victim| {
            (0..200).for_each(|_| drop(victim.stranger().connect()));
            Vec::new()
        }),
        Attack::new("silence", |victim| vec![victim.stranger().connect()]),
        Attack::new("half a hello", |victim| {
            let hello = right(victim);
            vec![victim.stranger().says(&hello[..hello.len() / 2])]
        }),
        Attack::new("half a hello and a reset", |victim| {
            let hello = right(victim);
            (1..hello.len()).for_each(|end| reset(victim.stranger().says(&hello[..end])));
            Vec::new()
        }),
        Attack::new("a hello byte by byte", |victim| {
            let mut stream = victim.stranger().connect();
            for byte in right(victim).chunks(1) {
                say(&mut stream, byte);
                thread::sleep(Duration::from_millis(2));
            }
            vec![stream]
        }),
        Attack::new("64 handshakes that never end", |victim| {
            (0..64).map(|_| victim.stranger().says(&MAGIC)).collect()
        }),
        Attack::new("600 handshakes that never end", |victim| {
            (0..600).map(|_| victim.stranger().says(&MAGIC)).collect()
        }),
        Attack::new("a hello of no bytes", |victim| is_hung_up_on(victim, &prefixed(0, b""))),
        Attack::new("a hello of 65,535 bytes", |victim| {
            is_hung_up_on(victim, &prefixed(u16::MAX, &[0; 100]))
        }),
        Attack::new("a hello of one byte too many", |victim| {
            let length = u16::try_from(MAX_HELLO_BYTES - 5).expect("it is short");
            is_hung_up_on(victim, &prefixed(length, &[0; 600]))
        }),
        Attack::new("a hello that announces more than comes", |victim| {
            let mut hello = right(victim);
            hello[4] += 1;
            vec![victim.stranger().says(&hello)]
        }),
        Attack::new("a hello that announces less than comes", |victim| {
            let mut hello = right(victim);
            hello[4] -= 1;
            is_hung_up_on(victim, &hello)
        }),
        Attack::new("every other version", |victim| {
            for version in (0..=u8::MAX).filter(|version| *version != MAGIC[3]).step_by(17) {
                let mut hello = right(victim);
                hello[3] = version;
                is_hung_up_on(victim, &hello);
            }
            Vec::new()
        }),
        Attack::new("a hello that is no MessagePack", |victim| {
            is_hung_up_on(victim, &prefixed(3, b"\xc1\xc1\xc1"))
        }),
        Attack::new("a hello that nests", |victim| is_hung_up_on(victim, &extended(victim, &[0x91; 300]))),
        Attack::new("a hello with a list that never comes", |victim| {
            is_hung_up_on(victim, &extended(victim, &[0xdd, 255, 255, 255, 255]))
        }),
        Attack::new("a hello with text that is none", |victim| {
            let name = victim.room.mesh.as_bytes();
            let mut hello = right(victim);
            let at = hello.windows(name.len()).position(|part| part == name).expect("its mesh is in it");
            hello[at] = 0xff;
            is_hung_up_on(victim, &hello)
        }),
        Attack::new("a hello with an escape in its mesh", |victim| {
            let name = victim.room.mesh.as_bytes();
            let mut hello = right(victim);
            let at = hello.windows(name.len()).position(|part| part == name).expect("its mesh is in it");
            hello[at] = 0x1b;
            is_hung_up_on(victim, &hello)
        }),
        Attack::new("another mesh", |victim| {
            let mesh = MeshName::new("another").expect("a name");
            let rejection = victim.stranger().is_rejected(&Hello { mesh, ..requests(victim) });
            assert!(matches!(rejection, Rejection::OtherMesh { .. }), "{rejection:?}");
            Vec::new()
        }),
        Attack::new("another instance", |victim| {
            let instance = Some(InstanceId::from_random([9; 16]));
            let rejection = victim.stranger().is_rejected(&Hello { instance, ..requests(victim) });
            assert_eq!(rejection, Rejection::OtherInstance);
            Vec::new()
        }),
        Attack::new("a link that never was", |victim| {
            let resume = Some(Resume { link: LinkId::from_random([9; 16]), received: 0, attempt: 1 });
            let rejection = victim.stranger().is_rejected(&Hello { resume, ..requests(victim) });
            assert_eq!(rejection, Rejection::UnknownLink);
            Vec::new()
        }),
        Attack::new("somebody else's link", |victim| {
            let (stream, welcome) = victim.stranger().welcomed(Purpose::Requests);
            let resume = welcome.link.map(|link| Resume { link, received: 0, attempt: 1 });
            let rejection = victim.stranger().is_rejected(&Hello { resume, ..requests(victim) });
            assert_eq!(rejection, Rejection::UnknownLink, "that is another node's");
            vec![stream]
        }),
        Attack::new("a link of which more has arrived than was sent", |victim| {
            ends(resumed(victim, u64::MAX));
            Vec::new()
        }),
        Attack::new("a link that goes on again and again", |victim| {
            let first = requests(victim);
            let mut stream = victim.stranger().says(&hello::encode_hello(&first));
            let link = link(&mut stream);
            let again = Hello { resume: Some(Resume { link, received: 0, attempt: 0 }), ..first };
            let again = hello::encode_hello(&again);
            (0..300).map(|_| victim.stranger().says(&again)).collect()
        }),
        Attack::new("who takes no byte", |victim| {
            let hello = Hello { message_bytes: 0, ..requests(victim) };
            vec![victim.stranger().says(&hello::encode_hello(&hello))]
        }),
        Attack::new("a hello twice", |victim| is_hung_up_on(victim, &right(victim).repeat(2))),
        Attack::new("500 probes", |victim| {
            let probe = hello::encode_hello(&Hello { purpose: Purpose::Probe, ..requests(victim) });
            (0..500).for_each(|_| ends(victim.stranger().says(&probe)));
            Vec::new()
        }),
    ]
}

/// Says this on a fresh connection, which the other end then ends.
fn is_hung_up_on(victim: &Victim, bytes: &[u8]) -> Vec<std::net::TcpStream> {
    ends(victim.stranger().says(bytes));
    Vec::new()
}

fn requests(victim: &Victim) -> Hello {
    victim.stranger().hello(Purpose::Requests)
}

/// The bytes of a hello that is right.
fn right(victim: &Victim) -> Vec<u8> {
    hello::encode_hello(&requests(victim))
}

fn prefixed(length: u16, body: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &length.to_le_bytes(), body].concat()
}

/// A hello that is right but for a field of a later version.
fn extended(victim: &Victim, field: &[u8]) -> Vec<u8> {
    let mut hello = right(victim).split_off(MAGIC.len() + 2);
    assert_eq!(hello[0] & 0xf0, 0x80, "a map of few fields");
    hello[0] += 1;
    hello.extend([0xa1, b'z']);
    hello.extend(field);
    prefixed(u16::try_from(hello.len()).expect("it is short"), &hello)
}

/// The link that an answer names.
fn link(stream: &mut std::net::TcpStream) -> LinkId {
    use std::io::Read;
    let mut bytes = Vec::new();
    loop {
        let wanted = hello::missing_bytes(&bytes).expect("an answer");
        let known = bytes.len();
        bytes.resize(known + wanted, 0);
        stream.read_exact(&mut bytes[known..]).expect("an answer");
        if let Some((HelloAnswer::Welcome(welcome), _)) = hello::parse_answer(&bytes).expect("an answer") {
            return welcome.link.expect("a link begins");
        }
    }
}

/// The second connection of a link, which claims that so much has arrived.
fn resumed(victim: &Victim, received: u64) -> std::net::TcpStream {
    let first = requests(victim);
    let mut stream = victim.stranger().says(&hello::encode_hello(&first));
    let link = link(&mut stream);
    let again = Hello { resume: Some(Resume { link, received, attempt: 1 }), ..first };
    victim.stranger().says(&hello::encode_hello(&again))
}
