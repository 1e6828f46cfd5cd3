//! News: what a subscriber asks for, what travels to it, and the bounded memory of what it has not got yet.

mod log;
mod missed;
#[cfg(test)]
mod model;
mod pace;
mod patience;
mod policy;
mod queue;

use serde::{Deserialize, Serialize};

pub use self::log::{Cursor, Log, Read};
pub use self::missed::{GapReason, Missed};
pub use self::policy::{Keep, Policy};
pub use self::queue::{Next, Queue};
use crate::codec::Fingerprint;
use crate::frame::{self, Header, Kind};
use crate::name::Topic;

/// What a subscriber asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Topics that begin with this text; the empty text takes all.
    pub prefix: Topic,
    /// The subscriber's item type: an item of the same fingerprint travels as bincode, all others as MessagePack.
    pub fingerprint: Option<Fingerprint>,
    /// Which items are kept while the subscriber is slower than the publisher, and how many come at all.
    pub policy: Policy,
}

impl Subscribe {
    /// The MessagePack bytes that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("names and numbers always encode")
    }

    /// Reads what travelled.
    ///
    /// # Errors
    /// What does not decode, as text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// Begins the frame of an item; what is appended to `out` until it is ended is the encoded item.
#[inline(always)]
pub fn begin_item(out: &mut Vec<u8>, topic: &Topic) -> frame::Writing {
    let writing = frame::Writing::new(out, Header::new(Kind::News, 0));
    let text = topic.as_bytes();
    out.push(u8::try_from(text.len()).expect("a topic has at most 128 bytes"));
    out.extend_from_slice(text);
    writing
}

/// Divides the payload of an item's frame into the topic's bytes and the encoded item; `None` if it is too short.
#[inline]
pub fn read_item(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// The frame that tells of missing items.
pub fn gap(count: u64, reason: GapReason) -> Vec<u8> {
    let mut out = Vec::new();
    let mut payload = count.to_le_bytes().to_vec();
    payload.push(reason.to_byte());
    frame::write(&mut out, Header::new(Kind::Gap, 0), &payload);
    out
}

/// Reads the payload of the frame that tells of missing items; `None` if it makes no sense.
pub fn read_gap(payload: &[u8]) -> Option<(u64, GapReason)> {
    let (count, rest) = payload.split_first_chunk()?;
    Some((u64::from_le_bytes(*count), GapReason::from_byte(*rest.first()?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::Encoding;
    use crate::frame::Frames;

    #[test]
    fn items_and_gaps_travel() {
        let topic = Topic::new("pose/left").expect("a topic");
        let mut bytes = Vec::new();
        let writing = begin_item(&mut bytes, &topic);
        bytes.push(1);
        assert_eq!((writing.end(&mut bytes, Err("no")), bytes.len()), (Err("no"), 0));
        let writing = begin_item(&mut bytes, &topic);
        bytes.extend_from_slice(b"item");
        writing.end::<()>(&mut bytes, Ok(Encoding::Bincode)).expect("it is written");
        bytes.extend(gap(1 << 40, GapReason::Superseded));
        let frames: Vec<_> = Frames::new(&bytes).collect();
        assert_eq!((frames[0].0.kind, frames[0].0.flags), (Kind::News, frame::BINCODE));
        assert_eq!(read_item(frames[0].1), Some((&b"pose/left"[..], &b"item"[..])));
        assert_eq!(frames[1].0.kind, Kind::Gap);
        assert_eq!(read_gap(frames[1].1), Some((1 << 40, GapReason::Superseded)));
    }

    #[test]
    fn what_a_subscriber_asks_for_travels_and_may_say_less_or_more() {
        let prefix = Topic::new("pose").expect("a topic");
        let policy = Policy { every: Some(Duration::from_millis(20)), bytes: 1 << 40, ..Policy::last(3) };
        let asked = Subscribe { prefix: prefix.clone(), fingerprint: None, policy };
        assert_eq!(Subscribe::from_bytes(&asked.to_bytes()), Ok(asked));
        let other = rmp_serde::to_vec_named(&serde_json::json!({
            "prefix": "pose", "fingerprint": null, "policy": { "items": 7, "colour": "red" }, "more": [1],
        }));
        let policy = Policy { items: 7, ..Policy::default() };
        let asked = Subscribe { prefix, fingerprint: None, policy };
        assert_eq!(Subscribe::from_bytes(&other.expect("it is written")), Ok(asked));
    }

    #[test]
    fn nonsense_is_no_item_and_no_gap() {
        assert_eq!((read_item(b""), read_item(b"\x05four")), (None, None));
        assert_eq!(read_gap(b"12345678"), None);
    }
}
