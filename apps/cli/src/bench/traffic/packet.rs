//! Numbered packets whose bytes follow from their number and are checked on arrival.

use std::fmt;
use std::ops::Range;

use actix::Message;
use bytes::Bytes;
use meshzero::Blob;
use serde::de::value::BytesDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The size of a packet's number in bytes.
pub(crate) const NUMBER: usize = size_of::<u64>();
/// The shortest packet: its number and nothing else.
pub(crate) const SHORTEST: usize = NUMBER;
/// The longest packet.
pub(crate) const LONGEST: usize = 16 << 20;

/// The limit of bodies without memory of their own; with the number these are packets of 64 bytes.
const INLINE: usize = 56;
/// The offsets at which a body may begin in the pattern, in steps of 8 bytes.
const SHIFTS: usize = 4_096;
/// The limit of bodies that are compared completely.
const WHOLE: usize = 4_096;
/// The bytes of a longer body that are compared at its beginning, at its end, and at a place between that moves with
/// the number.
const PART: usize = 1_024;

/// One packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Packet {
    /// The measurement that it belongs to.
    pub(crate) stream: u32,
    /// Its sequence number, from 0.
    pub(crate) number: u64,
    body: Body,
}

/// A packet without a reply.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct OneWay(pub(crate) Packet);

/// A packet that is echoed.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Packet")]
pub(crate) struct Echo(pub(crate) Packet);

/// The bytes after the number.
#[derive(Clone)]
enum Body {
    Inline { bytes: [u8; INLINE], length: u8 },
    Shared(Blob),
}

impl Body {
    /// Returns the bytes as an inline body, if they fit.
    fn inline(bytes: &[u8]) -> Option<Self> {
        // The usual length, which is known at compile time, takes a fraction of the time.
        if let Ok(bytes) = <[u8; INLINE]>::try_from(bytes) {
            return Some(Self::Inline { bytes, length: INLINE as u8 });
        }
        let mut inline = [0; INLINE];
        inline.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self::Inline { bytes: inline, length: bytes.len() as u8 })
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { bytes, length } => &bytes[..usize::from(*length).min(INLINE)],
            Self::Shared(blob) => blob,
        }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.as_slice().len())
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline { .. } => serializer.serialize_bytes(self.as_slice()),
            Self::Shared(blob) => blob.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(ReadBody)
    }
}

struct ReadBody;

impl<'de> Visitor<'de> for ReadBody {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Body, E> {
        match Body::inline(bytes) {
            Some(body) => Ok(body),
            // A blob shares the received bytes.
            None => Blob::deserialize(BytesDeserializer::new(bytes)).map(Body::Shared),
        }
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Body, E> {
        Ok(Body::Shared(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Body, A::Error> {
        let mut body = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            body.push(byte);
        }
        Ok(Body::Shared(body.into()))
    }
}

/// The bytes that bodies are cut from: the same in every process, and different at every offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern {
    bytes: Bytes,
}

impl Pattern {
    /// Creates the pattern for packets of `size` bytes at most.
    pub(crate) fn new(size: usize) -> Self {
        let mut pattern = Self::default();
        pattern.grow(size);
        pattern
    }

    /// Grows it for packets of `size` bytes.
    pub(crate) fn grow(&mut self, size: usize) {
        let length = size.min(LONGEST) + SHIFTS;
        if length > self.bytes.len() {
            self.bytes = pseudo_random(length).into();
        }
    }

    /// Returns the packet of `size` bytes with this number. It shares the pattern's memory unless it is short.
    ///
    /// # Panics
    /// The pattern is not long enough.
    pub(crate) fn packet(&self, stream: u32, number: u64, size: usize) -> Packet {
        let range = cut(number, size.saturating_sub(NUMBER));
        let body = match Body::inline(&self.bytes[range.clone()]) {
            Some(body) => body,
            None => Body::Shared(self.bytes.slice(range).into()),
        };
        Packet { stream, number, body }
    }

    /// Returns whether a packet of `size` bytes arrived as it was sent. Of a long one only a part is compared, a
    /// different part for each number.
    pub(crate) fn is_intact(&self, packet: &Packet, size: usize) -> bool {
        let body = packet.body.as_slice();
        let wanted = self.bytes.get(cut(packet.number, size.saturating_sub(NUMBER)));
        wanted.is_some_and(|wanted| {
            wanted.len() == body.len()
                && parts(packet.number, body.len()).all(|part| wanted[part.clone()] == body[part])
        })
    }
}

/// Returns the range of a packet's body in the pattern.
fn cut(number: u64, length: usize) -> Range<usize> {
    let start = (number % (SHIFTS as u64 / 8)) as usize * 8;
    start..start + length
}

/// Returns the parts of a body that are compared.
fn parts(number: u64, length: usize) -> impl Iterator<Item = Range<usize>> {
    let [head, middle, tail] = if length <= WHOLE {
        [0..length, 0..0, 0..0]
    } else {
        let places = length.div_ceil(PART);
        let start = (number % places as u64) as usize * PART;
        [0..PART, start..(start + PART).min(length), length - PART..length]
    };
    [head, middle, tail].into_iter()
}

/// Generates bytes by xorshift, so that both sides have the same without sending them.
fn pseudo_random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_size_and_are_intact() {
        for size in [8, 9, 64, 65, 4_096, 5_000, 100_000] {
            let (ours, theirs) = (Pattern::new(size), Pattern::new(LONGEST));
            for number in [0, 1, 511, 512, 1 << 40] {
                let packet = ours.packet(7, number, size);
                assert_eq!(NUMBER + packet.body.as_slice().len(), size);
                assert!(theirs.is_intact(&packet, size), "{number} of {size}");
                assert!(!theirs.is_intact(&packet, size + 1));
            }
        }
    }

    #[test]
    fn a_wrong_byte_shows_wherever_it_is() {
        let (pattern, size) = (Pattern::new(9_000), 9_000);
        for place in [0, 1_500, 5_000, size - NUMBER - 1] {
            let found = (0..9).any(|number| {
                let mut packet = pattern.packet(0, number, size);
                let mut bytes = packet.body.as_slice().to_vec();
                bytes[place] ^= 1;
                packet.body = Body::Shared(bytes.into());
                !pattern.is_intact(&packet, size)
            });
            assert!(found, "byte {place}");
        }
    }

    #[test]
    fn a_number_that_does_not_go_with_the_bytes_shows() {
        let pattern = Pattern::new(64);
        let mut packet = pattern.packet(0, 5, 64);
        packet.number = 6;
        assert!(!pattern.is_intact(&packet, 64));
    }
}
