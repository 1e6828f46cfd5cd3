//! Attacks by what is inside of messages.

use std::net::TcpStream;

use meshzero_proto::wire::frame::{self, FrameKind, Header};
use meshzero_proto::wire::hello::Purpose;

use super::stranger::{MESSAGE, framed, packed, request};
use super::victim::{Attack, Victim};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("nested lists", |victim| sends(victim, &[0x91; 100_000])),
        Attack::new("nested maps", |victim| sends(victim, &[0x81, 0xa0].repeat(50_000))),
        Attack::new("nested keys", |victim| sends(victim, &[0x81; 100_000])),
        Attack::new("nested extensions", |victim| sends(victim, &[0xc7, 255, 1].repeat(30_000))),
        Attack::new("a list of four billion", |victim| sends(victim, &[0xdd, 255, 255, 255, 255])),
        Attack::new("a map of four billion", |victim| sends(victim, &[0xdf, 255, 255, 255, 255])),
        Attack::new("a text of 4 GiB", |victim| sends(victim, &[0xdb, 255, 255, 255, 255])),
        Attack::new("bytes of 4 GiB", |victim| sends(victim, &[0xc6, 255, 255, 255, 255])),
        Attack::new("an extension of 4 GiB", |victim| sends(victim, &[0xc9, 255, 255, 255, 255, 1])),
        Attack::new("lists of four billion in each other", |victim| {
            sends(victim, &[0xdd, 255, 255, 255, 255].repeat(1_000))
        }),
        Attack::new("a million nulls", |victim| {
            sends(victim, &[vec![0xdd, 0, 15, 66, 64], vec![0xc0; 1_000_000]].concat())
        })
        .within(48 << 20),
        Attack::new("a million empty texts", |victim| {
            sends(victim, &[vec![0xdd, 0, 15, 66, 64], vec![0xa0; 1_000_000]].concat())
        })
        .within(48 << 20),
        Attack::new("300,000 maps of one entry", |victim| {
            sends(victim, &[vec![0xdd, 0, 4, 147, 224], [0x81, 0xa0, 0xc0].repeat(300_000)].concat())
        })
        .within(48 << 20),
        Attack::new("as many values as are allowed, again and again", |victim| {
            let most = packed(&vec![0u8; 65_000]);
            let all: Vec<u8> = (0..10).flat_map(|id| request(id, &most)).collect();
            vec![victim.stranger().goes_on(Purpose::Requests, &all)]
        })
        .within(64 << 20),
        Attack::new("text that is none", |victim| sends(victim, b"\xa4\xff\xfe\x80\xc0")),
        Attack::new("no message", |victim| sends(victim, b"")),
        Attack::new("a message and more", |victim| {
            sends(victim, &[packed("text"), vec![0xc0; 100]].concat())
        }),
        Attack::new("the byte that means nothing", |victim| sends(victim, &[0xc1; 100])),
        Attack::new("text that acts on a terminal", |victim| {
            sends(victim, &packed("\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\n\0"))
        }),
        Attack::new("bincode where there is none", |victim| {
            let mut bytes = Vec::new();
            for (id, payload) in
                [&b"\0\0\0\0\xfd\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\0\0\0\0\x01"].iter().enumerate()
            {
                let flags = frame::BINCODE | frame::REPLY_BINCODE;
                frame::write(
                    &mut bytes,
                    Header { flags, ..Header::new(FrameKind::Request, id as u64) },
                    payload,
                );
            }
            vec![victim.stranger().goes_on(Purpose::Requests, &bytes)]
        }),
        Attack::new("every flag", |victim| {
            let mut bytes = Vec::new();
            for flags in 0..=u8::MAX {
                let header = Header { flags, ..Header::new(FrameKind::Request, u64::from(flags)) };
                frame::write(&mut bytes, header, &[0; 8]);
            }
            vec![victim.stranger().goes_on(Purpose::Requests, &bytes)]
        }),
        Attack::new("a request without its deadline", |victim| {
            victim.stranger().is_cut_off(&framed(FrameKind::Request, 1, b"\0\0"))
        }),
        Attack::new("a deadline of a millisecond, and of fifty days", |victim| {
            let within = |ms: u32, id| {
                framed(FrameKind::Request, id, &[&ms.to_le_bytes()[..], &packed("soon")].concat())
            };
            let all: Vec<u8> =
                (0..500).flat_map(|id| within(if id % 2 == 0 { 1 } else { u32::MAX }, id)).collect();
            vec![victim.stranger().goes_on(Purpose::Requests, &all)]
        }),
        Attack::new("types that it does not handle", |victim| {
            let mut bytes = Vec::new();
            for slot in [1, 255, 256, u16::MAX] {
                for kind in [FrameKind::Request, FrameKind::Tell] {
                    frame::write(&mut bytes, Header { slot, ..Header::new(kind, slot.into()) }, &[0; 8]);
                }
            }
            vec![victim.stranger().goes_on(Purpose::Requests, &bytes)]
        }),
        Attack::new("the longest message", |victim| sends(victim, &packed(&"x".repeat(MESSAGE - 16))))
            .within(32 << 20),
    ]
}

/// Asks and tells this.
fn sends(victim: &Victim, message: &[u8]) -> Vec<TcpStream> {
    let both = [request(1, message), framed(FrameKind::Tell, 0, message)].concat();
    vec![victim.stranger().goes_on(Purpose::Requests, &both)]
}
