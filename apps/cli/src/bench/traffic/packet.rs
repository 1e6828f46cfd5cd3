//! Numbered packets, and the messages that carry them.
//!
//! Packets without a body, with a short one and with any other are of different types, as the messages of a program are. One
//! type for all would take the space of the largest and a destructor, so that the report would be about that.

use std::fmt::Debug;

use actix::Message;
use meshzero::Blob;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::pattern::Pattern;

/// The size of a packet's number in bytes.
pub(crate) const NUMBER: usize = size_of::<u64>();
/// The shortest packet: its number and nothing else.
pub(crate) const SHORTEST: usize = NUMBER;
/// The longest packet.
pub(crate) const LONGEST: usize = 16 << 20;

/// The size of a packet with a short body.
pub(crate) const SHORT: usize = 64;

/// The length of a short body.
const SHORT_BODY: usize = SHORT - NUMBER;

/// The stream of packets that belongs to no measurement.
pub(crate) const NO_STREAM: u16 = 0;

/// The bits of a packet's number within its stream.
const SEQUENCE_BITS: u32 = 48;

/// The stream of a packet, which is one measurement, and its number in it. Both take the 8 bytes that a packet over bare TCP has
/// for its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PacketId(u64);

impl PacketId {
    const MAX_NUMBER: u64 = (1 << SEQUENCE_BITS) - 1;

    /// The packet of `stream` with this number, from 0.
    #[inline]
    pub(crate) fn new(stream: u16, number: u64) -> Self {
        Self(u64::from(stream) << SEQUENCE_BITS | number & Self::MAX_NUMBER)
    }

    /// Returns the stream.
    #[inline]
    pub(crate) fn stream(self) -> u16 {
        (self.0 >> SEQUENCE_BITS) as u16
    }

    /// Returns the number within the stream.
    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0 & Self::MAX_NUMBER
    }
}

/// One packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Packet<B> {
    /// Its stream and its number.
    pub(crate) id: PacketId,
    /// The bytes after the number.
    pub(super) body: B,
}

impl<B: Body> Packet<B> {
    /// Returns the stream that it belongs to.
    #[inline]
    pub(crate) fn stream(&self) -> u16 {
        self.id.stream()
    }

    /// Returns its number in the stream.
    #[inline]
    pub(crate) fn number(&self) -> u64 {
        self.id.number()
    }

    /// Returns the bytes after the number.
    #[inline]
    pub(crate) fn body(&self) -> &[u8] {
        self.body.as_slice()
    }
}

/// A packet without a reply.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OneWay<B>(pub(crate) Packet<B>);

impl<B: 'static> Message for OneWay<B> {
    type Result = ();
}

/// A packet that is echoed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Echo<B>(pub(crate) Packet<B>);

impl<B: 'static> Message for Echo<B> {
    type Result = Packet<B>;
}

/// A kind of body.
pub(crate) trait Body:
    Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static
{
    /// Cuts the body with this number and length from the pattern.
    ///
    /// # Panics
    /// Bodies of this kind do not have that length, or the pattern is not long enough.
    fn cut(pattern: &Pattern, number: u64, length: usize) -> Self;

    /// Returns its bytes.
    fn as_slice(&self) -> &[u8];
}

impl Body for () {
    #[inline]
    fn cut(_: &Pattern, _: u64, length: usize) {
        assert_eq!(length, 0, "the length of no body");
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &[]
    }
}

/// A body without memory of its own.
pub(crate) type ShortBody = ByteArray<SHORT_BODY>;

impl Body for ShortBody {
    #[inline]
    fn cut(pattern: &Pattern, number: u64, length: usize) -> Self {
        assert_eq!(length, SHORT_BODY, "the length of a short body");
        // A copy of a length that is known at compile time needs no call.
        Self::new(*pattern.bytes(number, SHORT_BODY).first_chunk().expect("it has this length"))
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self[..]
    }
}

/// A body that shares the memory of the pattern, or of what was received.
impl Body for Blob {
    fn cut(pattern: &Pattern, number: u64, length: usize) -> Self {
        pattern.shared(number, length).into()
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        self
    }
}

/// Evaluates an expression in which `$body` is the [`Body`] of packets of a size.
macro_rules! with_body {
    ($size:expr, $body:ident => $expression:expr) => {
        match $size {
            $crate::bench::traffic::packet::SHORTEST => {
                type $body = ();
                $expression
            }
            $crate::bench::traffic::packet::SHORT => {
                type $body = $crate::bench::traffic::packet::ShortBody;
                $expression
            }
            _ => {
                type $body = meshzero::Blob;
                $expression
            }
        }
    };
}
pub(crate) use with_body;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_and_a_number_are_separate() {
        for stream in [NO_STREAM, 1, u16::MAX] {
            for number in [0, 1, (1 << SEQUENCE_BITS) - 1] {
                let id = PacketId::new(stream, number);
                assert_eq!((id.stream(), id.number()), (stream, number));
            }
        }
        let after_last = PacketId::new(7, 1 << SEQUENCE_BITS);
        assert_eq!((after_last.stream(), after_last.number()), (7, 0), "the stream stays");
    }
}
