//! News: subscriptions, the encoding of items, and the bounded queues of undelivered items.

mod gap;
mod item;
mod patience;
mod policy;
mod rate;
mod shared_log;
mod subscriber_queue;
mod superseded;

use serde::{Deserialize, Serialize};

pub use self::gap::{GapReason, Missed};
pub use self::policy::{Keep, Policy};
pub use self::shared_log::{Cursor, Log, LogRead};
pub use self::subscriber_queue::{NextItem, Queue};
pub use self::superseded::newest;
use crate::buffer::WriteBuffer;
use crate::codec::{Fingerprint, control};
use crate::name::Topic;
use crate::wire::frame::{self, FrameKind, Header};

/// A subscription request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// The prefix of the requested topics; the empty text selects all.
    pub prefix: Topic,
    /// The subscriber's item type: an item of the same fingerprint is sent as bincode, all others as MessagePack.
    pub fingerprint: Option<Fingerprint>,
    /// The queue and the rate for the subscriber.
    pub policy: Policy,
}

impl Subscribe {
    /// Encodes it as MessagePack.
    pub fn to_bytes(&self) -> Vec<u8> {
        control::to_bytes(self)
    }

    /// Decodes the MessagePack bytes.
    ///
    /// # Errors
    /// The problem, as text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        control::from_bytes(bytes)
    }
}

/// Begins the frame of an item; the bytes appended to `out` until it is ended are the encoded item.
///
/// # Panics
/// If the topic exceeds the length limit.
#[inline(always)]
pub fn begin_item(out: &mut impl WriteBuffer, topic: &str) -> frame::FrameWriter {
    let writer = frame::FrameWriter::new(out, Header::new(FrameKind::News, 0));
    out.put(&[u8::try_from(topic.len()).expect("a topic has at most 128 bytes")]);
    out.put(topic.as_bytes());
    writer
}

/// Splits the payload of an item's frame into the topic's bytes and the encoded item; `None` if it is too short.
#[inline]
pub fn read_item(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Encodes the frame of a gap.
pub fn gap(count: u64, reason: GapReason) -> Vec<u8> {
    let mut out = Vec::new();
    let mut payload = count.to_le_bytes().to_vec();
    payload.push(reason.to_byte());
    frame::write(&mut out, Header::new(FrameKind::Gap, 0), &payload);
    out
}

/// Reads the payload of a gap's frame; `None` if it is not valid.
pub fn read_gap(payload: &[u8]) -> Option<(u64, GapReason)> {
    let (count, rest) = payload.split_first_chunk()?;
    Some((u64::from_le_bytes(*count), GapReason::from_byte(*rest.first()?)))
}

#[cfg(test)]
mod tests;
