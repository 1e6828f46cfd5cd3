//! News: what a subscriber asks for, what travels to it, and the bounded memory of what it has not got yet.

mod log;
mod newest;

use serde::{Deserialize, Serialize};

pub use self::log::{Cursor, Log, Read};
pub use self::newest::{Newest, Next};
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
    /// What to do when the subscriber is slower than the publisher.
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

/// What happens to news that a subscriber is too slow for. A slow subscriber never delays the publisher or others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Keep this many items, drop the oldest beyond, and tell the subscriber how many were dropped.
    DropOldest {
        /// Items kept, 1 at least.
        items: u32,
    },
    /// Keep only the newest item of each topic, overwritten in place.
    Latest,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DropOldest { items: 1_024 }
    }
}

/// Why a subscriber did not get an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The backlog was full.
    Overflow,
    /// A newer item of the topic replaced it, as the subscriber asked for.
    Superseded,
}

impl GapReason {
    /// As it travels.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Overflow => 1,
            Self::Superseded => 2,
        }
    }

    /// As it came; `None` for a reason of a later version.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Overflow),
            2 => Some(Self::Superseded),
            _ => None,
        }
    }
}

/// The bytes that are kept for a subscriber at most, besides the newest item.
pub const BACKLOG_BYTES: usize = 4 << 20;

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
    Some((u64::from_le_bytes(*count), GapReason::from_byte(*rest.first()?)?))
}

#[cfg(test)]
mod tests {
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
    fn nonsense_is_no_item_and_no_gap() {
        assert_eq!((read_item(b""), read_item(b"\x05four")), (None, None));
        assert_eq!((read_gap(b"12345678"), read_gap(b"12345678\xff")), (None, None));
    }
}
