//! Attacks by somebody who claims to be another node and tells about the mesh.

use std::net::TcpStream;

use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::peer::{MAX_UPDATE_BYTES, PeerUpdate};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::{MeshName, ServiceName};
use meshzero_proto::wire::frame::FrameKind;
use meshzero_proto::wire::hello::{self, HelloAnswer, Purpose};

use super::stranger::{ends, framed, node, request};
use super::victim::{Attack, Victim};

const PEER: Purpose = Purpose::Peer { hand_on: true };

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("a peer that tells nonsense", |victim| {
            for payload in [&b""[..], b"\xc1", &[0x91; 1_000], b"\x81\xa5known\xdd\xff\xff\xff\xff"] {
                ends(victim.stranger().goes_on(PEER, &framed(FrameKind::Peer, 0, payload)));
            }
            Vec::new()
        }),
        Attack::new("a peer that asks", |victim| {
            ends(victim.stranger().goes_on(PEER, &request(1, b"\xc0")));
            Vec::new()
        }),
        Attack::new("a telling that is too long", |victim| {
            ends(
                victim
                    .stranger()
                    .goes_on(PEER, &framed(FrameKind::Peer, 0, &vec![0xc0; 2 * MAX_UPDATE_BYTES])),
            );
            Vec::new()
        }),
        Attack::new("20,000 services that are not there", |victim| {
            tells(victim, (0..20_000).map(|n| fake(victim, n)).collect())
        })
        .within(48 << 20),
        Attack::new("a service at a thousand addresses", |victim| {
            let mut advert = fake(victim, 0);
            advert.addresses = (1..1_000).map(|port| ([127, 0, 0, 1], port).into()).collect();
            tells(victim, vec![advert; 48])
        })
        .within(16 << 20),
        Attack::new("the victim's own name elsewhere", |victim| {
            let service = ServiceName::new("victim").expect("a name");
            tells(victim, (0..100).map(|n| Advert { service: service.clone(), ..fake(victim, n) }).collect())
        })
        .within(16 << 20),
        Attack::new("the victim's own instance elsewhere, and its end", |victim| {
            let (stream, welcome) = victim.stranger().welcomed(PEER);
            drop(stream);
            let stolen = Advert { instance: welcome.instance, node: welcome.node, ..fake(victim, 0) };
            let told = PeerUpdate { known: vec![stolen], gone: vec![welcome.instance] };
            vec![victim.stranger().goes_on(PEER, &told.to_frames())]
        }),
        Attack::new("a hundred peers that never read", |victim| {
            (0..100).map(|_| victim.stranger().goes_on(PEER, b"")).collect()
        })
        .within(16 << 20),
        Attack::new("the victim itself", |victim| {
            let (stream, welcome) = victim.stranger().welcomed(PEER);
            drop(stream);
            let itself = hello::Hello { node: welcome.node, ..victim.stranger().hello(PEER) };
            let stream = victim.stranger().says(&hello::encode_hello(&itself));
            ends(stream);
            Vec::new()
        }),
        Attack::new("an answer as a telling", |victim| {
            let rejection = hello::encode_answer(&HelloAnswer::Rejected(hello::Rejection::Full));
            ends(victim.stranger().goes_on(PEER, &rejection));
            Vec::new()
        }),
    ]
}

/// A service that nobody offers.
fn fake(victim: &Victim, number: u32) -> Advert {
    let port = 1 + (number % 60_000) as u16;
    Advert {
        instance: InstanceId::from_random(std::array::from_fn(|_| fastrand::u8(..))),
        node: node(),
        mesh: MeshName::new(&victim.room.mesh).expect("a name"),
        service: ServiceName::new(format!("fake/{number}")).expect("a name"),
        addresses: vec![([127, 9, 9, 9], port).into()],
        leaving: false,
    }
}

fn tells(victim: &Victim, known: Vec<Advert>) -> Vec<TcpStream> {
    vec![victim.stranger().goes_on(PEER, &PeerUpdate { known, gone: Vec::new() }.to_frames())]
}
