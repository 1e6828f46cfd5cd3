//! Attacks by multicast DNS, on loopback.

use std::net::{Ipv4Addr, UdpSocket};

use super::victim::Attack;

/// The address of multicast DNS.
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5_353);

const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;
const A: u16 = 1;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("datagrams that are no DNS", |_| {
            announce((0..200).map(|_| (0..fastrand::usize(..1_400)).map(|_| fastrand::u8(..)).collect()))
        }),
        Attack::new("names that point to themselves", |_| {
            let header = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            announce((0..50).map(|at| {
                [&header[..], &[0xc0, 12 + at], &[0, 12, 0, 1, 0, 0, 0, 10, 0, 2, 0xc0, 12]].concat()
            }))
        }),
        Attack::new("names that never end", |_| {
            let header = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            announce((1..64).map(|length| {
                [&header[..], &[[length].as_slice(), &vec![b'x'; length.into()]].concat().repeat(20)].concat()
            }))
        }),
        Attack::new("records that are not there", |_| {
            announce((0..50).map(|_| vec![0, 0, 0x84, 0, 255, 255, 255, 255, 255, 255, 255, 255]))
        }),
        Attack::new("names that act on a terminal", |victim| {
            announce((0..20).map(|number| advert(&victim.room.mesh, number, "\u{1b}[2Jowned")))
        }),
        Attack::new("services of other versions and with texts that are none", |victim| {
            announce((0..50).map(|number| {
                let mut bytes = advert(&victim.room.mesh, number, "name");
                let at = bytes.windows(2).position(|part| part == b"v=").expect("a version");
                bytes[at + 2] = 0xff - number as u8;
                bytes
            }))
        }),
        Attack::new("20,000 services that are announced and not there", |victim| {
            announce((0..20_000).map(|number| advert(&victim.room.mesh, number, &format!("fake/{number}"))))
        })
        .within(96 << 20),
    ]
}

/// Sends datagrams to all who listen on loopback.
pub(super) fn announce(datagrams: impl Iterator<Item = Vec<u8>>) -> Vec<std::net::TcpStream> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket on loopback");
    let options = socket2::SockRef::from(&socket);
    options.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("loopback is an interface");
    options.set_multicast_loop_v4(true).expect("a socket");
    for datagram in datagrams {
        // The system may have no room for more; the next one takes its place.
        let _ = socket.send_to(&datagram, GROUP);
    }
    Vec::new()
}

/// The announcement of a service that is not there.
pub(super) fn advert(mesh: &str, number: u32, service: &str) -> Vec<u8> {
    let id = |salt: u32| format!("{:032x}", u128::from(number) << 64 | u128::from(salt) << 32 | 0xabcd);
    let kind = name(&["_meshzero", "_tcp", "local"]);
    let label = id(1);
    let instance = name(&[&label, "_meshzero", "_tcp", "local"]);
    let host = name(&[&label, "local"]);
    let version = format!("v={}", meshzero_proto::discovery::advert::PROTOCOL_VERSION);
    let mut txt = Vec::new();
    for property in [version, format!("mesh={mesh}"), format!("node={}", id(2)), format!("svc={service}")] {
        txt.push(u8::try_from(property.len()).expect("a property is short"));
        txt.extend(property.as_bytes());
    }
    let srv = [&[0, 0, 0, 0, 15, 160][..], &host].concat();
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    for (name, kind, data) in [
        (&kind, PTR, &instance),
        (&instance, SRV, &srv),
        (&instance, TXT, &txt),
        (&host, A, &vec![127, 9, 9, 9]),
    ] {
        bytes.extend(name);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 120]);
        bytes.extend(u16::try_from(data.len()).expect("a record is short").to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

fn name(labels: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len()).expect("a label is short"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
