//! Attacks by subscribers.

use std::time::Duration;

use meshzero_proto::name::Topic;
use meshzero_proto::news::{Keep, Policy, Subscribe};
use meshzero_proto::wire::frame::FrameKind;
use meshzero_proto::wire::hello::Purpose;

use super::stranger::{ends, framed, reset};
use super::victim::{Attack, Victim};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("a subscription that is none", |victim| {
            for payload in [&b""[..], b"\xc1", b"\x80", &[0xdd, 255, 255, 255, 255], &[0x91; 1_000]] {
                is_cut_off(victim, &framed(FrameKind::Subscribe, 1, payload));
            }
            Vec::new()
        }),
        Attack::new("a prefix that is too long", |victim| {
            let mut long = subscribe(Policy::last(1));
            let at = long.windows(4).position(|part| part == b"pose").expect("its prefix is in it");
            long[at - 1] = 0xd9;
            long.splice(at..at + 4, [&[200][..], &[b'x'; 200]].concat());
            is_cut_off(victim, &framed(FrameKind::Subscribe, 1, &long));
            Vec::new()
        }),
        Attack::new("a prefix that acts on a terminal", |victim| {
            let mut escape = subscribe(Policy::last(1));
            let at = escape.windows(4).position(|part| part == b"pose").expect("its prefix is in it");
            escape[at] = 0x1b;
            is_cut_off(victim, &framed(FrameKind::Subscribe, 1, &escape));
            Vec::new()
        }),
        Attack::new("two subscriptions on one connection", |victim| {
            is_cut_off(victim, &framed(FrameKind::Subscribe, 1, &subscribe(Policy::last(1))).repeat(2));
            Vec::new()
        }),
        Attack::new("100,000 subscriptions on one connection", |victim| {
            is_cut_off(victim, &framed(FrameKind::Subscribe, 1, &subscribe(Policy::last(1))).repeat(100_000));
            Vec::new()
        }),
        Attack::new("500 subscriptions at once", |victim| {
            let subscribe = framed(FrameKind::Subscribe, 1, &subscribe(Policy::default()));
            (0..500).map(|_| victim.stranger().goes_on(Purpose::News, &subscribe)).collect()
        })
        .within(32 << 20),
        Attack::new("2,000 subscriptions in turn", |victim| {
            let subscribe = framed(FrameKind::Subscribe, 1, &subscribe(Policy::last(1)));
            (0..2_000).for_each(|_| reset(victim.stranger().goes_on(Purpose::News, &subscribe)));
            Vec::new()
        })
        .within(48 << 20),
        Attack::new("policies without a bound", |victim| {
            let items = u32::MAX;
            let every = Some(Duration::MAX);
            let greedy = [Keep::Wait, Keep::DropOldest, Keep::Last { items }, Keep::Last { items: 0 }];
            let policies = greedy.map(|keep| Policy { keep, items, bytes: u64::MAX, every });
            let subscribe = |policy| framed(FrameKind::Subscribe, 1, &subscribe(policy));
            policies.map(|policy| victim.stranger().goes_on(Purpose::News, &subscribe(policy))).into()
        }),
        Attack::new("a subscriber that never subscribes", |victim| {
            vec![victim.stranger().goes_on(Purpose::News, &framed(FrameKind::Ping, 0, b"").repeat(10_000))]
        }),
    ]
}

fn subscribe(policy: Policy) -> Vec<u8> {
    let prefix = Topic::new("pose").expect("a topic");
    Subscribe { prefix, fingerprint: None, policy }.to_bytes()
}

fn is_cut_off(victim: &Victim, bytes: &[u8]) {
    ends(victim.stranger().goes_on(Purpose::News, bytes));
}
