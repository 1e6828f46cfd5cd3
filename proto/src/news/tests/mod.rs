//! Tests of the encoding of news, and of the queues against a naive model.

mod model;
mod resumed;

use std::time::Duration;

use super::*;
use crate::codec::Encoding;
use crate::wire::frame::Frames;

#[test]
fn items_and_gaps_are_encoded_and_read_back() {
    let topic = Topic::new("pose/left").expect("a topic");
    let mut bytes = Vec::new();
    let writer = begin_item(&mut bytes, &topic);
    bytes.push(1);
    assert_eq!((writer.end(&mut bytes, Err("no")), bytes.len()), (Err("no"), 0));
    let writer = begin_item(&mut bytes, &topic);
    bytes.extend_from_slice(b"item");
    writer.end::<()>(&mut bytes, Ok(Encoding::Bincode)).expect("it is written");
    bytes.extend(gap(1 << 40, GapReason::Superseded));
    let frames: Vec<_> = Frames::new(&bytes).collect();
    assert_eq!((frames[0].0.kind, frames[0].0.flags), (FrameKind::News, frame::BINCODE));
    assert_eq!(read_item(frames[0].1), Some((&b"pose/left"[..], &b"item"[..])));
    assert_eq!(frames[1].0.kind, FrameKind::Gap);
    assert_eq!(read_gap(frames[1].1), Some((1 << 40, GapReason::Superseded)));
}

#[test]
fn a_subscription_is_encoded_and_may_have_fewer_or_more_fields() {
    let prefix = Topic::new("pose").expect("a topic");
    let policy = Policy { every: Some(Duration::from_millis(20)), bytes: 1 << 40, ..Policy::last(3) };
    let subscribe = Subscribe { prefix: prefix.clone(), fingerprint: None, policy };
    assert_eq!(Subscribe::from_bytes(&subscribe.to_bytes()), Ok(subscribe));
    let other = rmp_serde::to_vec_named(&serde_json::json!({
        "prefix": "pose", "fingerprint": null, "policy": { "items": 7, "colour": "red" }, "more": [1],
    }));
    let policy = Policy { items: 7, ..Policy::default() };
    let subscribe = Subscribe { prefix, fingerprint: None, policy };
    assert_eq!(Subscribe::from_bytes(&other.expect("it is written")), Ok(subscribe));
}

#[test]
fn invalid_payloads_are_neither_items_nor_gaps() {
    assert_eq!((read_item(b""), read_item(b"\x05four")), (None, None));
    assert_eq!(read_gap(b"12345678"), None);
}
