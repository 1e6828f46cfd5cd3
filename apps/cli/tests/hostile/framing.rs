//! Attacks by frames that are none, or are out of place.

use std::thread;
use std::time::Duration;

use meshzero_proto::wire::frame::FrameKind;
use meshzero_proto::wire::hello::Purpose;

use super::stranger::{MESSAGE, ends, framed, packed, request, reset, say};
use super::victim::{Attack, Victim};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("frames of unknown kinds", |victim| {
            let known = |kind: &u8| FrameKind::from_byte(*kind).is_some();
            for kind in (0..=u8::MAX).filter(|kind| !known(kind)).step_by(10) {
                victim.stranger().is_cut_off(&[8, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0]);
            }
            Vec::new()
        }),
        Attack::new("a frame of no length", |victim| victim.stranger().is_cut_off(&[0; 16])),
        Attack::new("a frame shorter than its header", |victim| {
            victim.stranger().is_cut_off(&[4, 0, 0, 0, FrameKind::Request as u8, 0, 0, 0])
        }),
        Attack::new("a frame of 4 GiB", |victim| {
            victim.stranger().is_cut_off(&[255, 255, 255, 255, FrameKind::Request as u8, 0, 0, 0])
        }),
        Attack::new("a frame of one byte too many", |victim| {
            let length = u32::try_from(MESSAGE + 1_024).expect("it fits").to_le_bytes();
            victim.stranger().is_cut_off(&[&length[..], &[FrameKind::Tell as u8, 0, 0, 0]].concat())
        }),
        Attack::new("the beginning of a frame", |victim| {
            (1..16).map(|end| victim.stranger().goes_on(Purpose::Requests, &long(victim)[..end])).collect()
        }),
        Attack::new("long frames that never end", |victim| {
            (0..32)
                .map(|_| victim.stranger().goes_on(Purpose::Requests, &long(victim)[..MESSAGE - 100]))
                .collect()
        })
        .within(80 << 20),
        Attack::new("announced frames that never come", |victim| {
            (0..200).map(|_| victim.stranger().goes_on(Purpose::Requests, &long(victim)[..100])).collect()
        })
        .within(16 << 20),
        Attack::new("a frame byte by byte", |victim| {
            let mut stream = victim.stranger().goes_on(Purpose::Requests, b"");
            for byte in request(1, &packed("slow")).chunks(1) {
                say(&mut stream, byte);
                thread::sleep(Duration::from_millis(2));
            }
            vec![stream]
        }),
        Attack::new("a reset in the middle of a frame", |victim| {
            for end in (1..MESSAGE).step_by(MESSAGE / 20) {
                reset(victim.stranger().goes_on(Purpose::Requests, &long(victim)[..end]));
            }
            Vec::new()
        })
        .within(32 << 20),
        Attack::new("frames of the other end", |victim| {
            let kinds = [
                FrameKind::Catalogue,
                FrameKind::Reply,
                FrameKind::Refusal,
                FrameKind::Subscribed,
                FrameKind::News,
                FrameKind::Gap,
            ];
            for kind in kinds {
                victim.stranger().is_cut_off(&framed(kind, 1, b"payload"));
            }
            Vec::new()
        }),
        Attack::new("frames of other connections", |victim| {
            for kind in [FrameKind::Subscribe, FrameKind::Peer] {
                victim.stranger().is_cut_off(&framed(kind, 1, b"payload"));
            }
            ends(victim.stranger().goes_on(Purpose::News, &request(1, &packed("here?"))));
            Vec::new()
        }),
        Attack::new("an acknowledgement of what was never sent", |victim| {
            victim.stranger().is_cut_off(&framed(FrameKind::Ack, u64::MAX, b""))
        }),
        Attack::new("an acknowledgement that goes back", |victim| {
            vec![victim.stranger().goes_on(Purpose::Requests, &framed(FrameKind::Ack, 0, b"").repeat(1_000))]
        }),
        Attack::new("more after the last", |victim| {
            let more = [framed(FrameKind::Bye, 0, b""), request(1, &packed("late")).repeat(1_000)].concat();
            victim.stranger().is_cut_off(&more)
        }),
        Attack::new("frames that mean nothing", |victim| {
            vec![
                victim
                    .stranger()
                    .goes_on(Purpose::Requests, &framed(FrameKind::Void, 0, &[7; 1_000]).repeat(5_000)),
            ]
        }),
    ]
}

/// A request of the longest message.
fn long(_: &Victim) -> Vec<u8> {
    request(1, &packed(&"x".repeat(MESSAGE - 16)))
}
