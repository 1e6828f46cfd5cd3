//! Attacks by sheer number, most of them by somebody who never reads an answer.

use std::thread;

use meshzero_proto::wire::frame::{self, FrameKind, Header};
use meshzero_proto::wire::hello::Purpose;

use super::stranger::{MESSAGE, framed, packed, request, reset, say, say_on};
use super::victim::Attack;

/// The limit of what waits for a client that does not read: the queue, unacknowledged data, and data on the way.
const UNREAD: usize = 32 << 20;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("100,000 connections in turn", |victim| {
            let address = victim.stranger();
            thread::scope(|scope| {
                for _ in 0..4 {
                    // Reset, or the ports of this host would run out.
                    scope.spawn(move || (0..25_000).for_each(|_| reset(address.connect())));
                }
            });
            Vec::new()
        })
        .within(16 << 20),
        Attack::new("2,000 links in turn", |victim| {
            (0..2_000).for_each(|_| reset(victim.stranger().goes_on(Purpose::Requests, b"")));
            Vec::new()
        })
        .within(48 << 20),
        Attack::new("500 connections at once", |victim| {
            (0..500).map(|_| victim.stranger().goes_on(Purpose::Requests, b"")).collect()
        })
        .within(32 << 20),
        Attack::new("one number for 10,000 requests", |victim| {
            vec![victim.stranger().goes_on(Purpose::Requests, &request(7, &packed("again")).repeat(10_000))]
        })
        .within(16 << 20),
        Attack::new("numbers beyond all places", |victim| {
            let numbers = [1_024, 1 << 31, 1 << 32 | 5_000, u64::MAX - 1, u64::MAX];
            let all: Vec<u8> = numbers.iter().flat_map(|id| request(*id, &packed("far"))).collect();
            vec![victim.stranger().goes_on(Purpose::Requests, &all.repeat(100))]
        }),
        Attack::new("100,000 cancellations", |victim| {
            vec![
                victim
                    .stranger()
                    .goes_on(Purpose::Requests, &framed(FrameKind::Cancel, 7, b"").repeat(100_000)),
            ]
        }),
        Attack::new("requests that are cancelled at once", |victim| {
            let both = [request(7, &packed("never mind")), framed(FrameKind::Cancel, 7, b"")].concat();
            vec![victim.stranger().goes_on(Purpose::Requests, &both.repeat(20_000))]
        })
        .within(16 << 20),
        Attack::new("descriptions that nobody reads", |victim| {
            let mut stream = victim.stranger().goes_on(Purpose::Requests, b"");
            say_on(&mut stream, &framed(FrameKind::Describe, 7, b""), 4 << 20);
            vec![stream]
        })
        .within(UNREAD),
        Attack::new("refusals that nobody reads", |victim| {
            let mut stream = victim.stranger().goes_on(Purpose::Requests, b"");
            let mut unknown = Vec::new();
            frame::write(&mut unknown, Header { slot: 9, ..Header::new(FrameKind::Request, 7) }, &[0; 8]);
            say_on(&mut stream, &unknown, 16 << 20);
            vec![stream]
        })
        .within(UNREAD),
        Attack::new("signs of life that nobody reads", |victim| {
            let mut stream = victim.stranger().goes_on(Purpose::Requests, b"");
            say_on(&mut stream, &framed(FrameKind::Ping, 0, b""), 8 << 20);
            vec![stream]
        })
        .within(UNREAD),
        Attack::new("replies that nobody reads", |victim| {
            let mut stream = victim.stranger().goes_on(Purpose::Requests, b"");
            let message = packed(&"x".repeat(10_000));
            let all: Vec<u8> = (0..1_000).flat_map(|id| request(id, &message)).collect();
            say(&mut stream, &all);
            vec![stream]
        })
        .within(UNREAD),
        Attack::new("tells of a type that it does not handle", |victim| {
            let mut stream = victim.stranger().goes_on(Purpose::Requests, b"");
            let mut unknown = Vec::new();
            frame::write(&mut unknown, Header { slot: 9, ..Header::new(FrameKind::Tell, 0) }, b"");
            say_on(&mut stream, &unknown, 1 << 20);
            vec![stream]
        })
        .within(16 << 20),
        Attack::new("100 large messages whose sender leaves", |victim| {
            for _ in 0..100 {
                reset(
                    victim
                        .stranger()
                        .goes_on(Purpose::Requests, &request(1, &packed(&"x".repeat(MESSAGE / 2)))),
                );
            }
            Vec::new()
        })
        .within(128 << 20),
    ]
}
