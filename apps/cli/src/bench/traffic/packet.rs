//! Numbered packets, and the messages that carry them.

use std::fmt;

use actix::Message;
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
pub(super) const INLINE: usize = 56;

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
    #[inline]
    fn inline(bytes: &[u8]) -> Option<Self> {
        // The usual length, which is known at compile time, takes a fraction of the time.
        if let Ok(bytes) = <[u8; INLINE]>::try_from(bytes) {
            return Some(Self::Inline { bytes, length: INLINE as u8 });
        }
        if bytes.is_empty() {
            return Some(Self::Inline { bytes: [0; INLINE], length: 0 });
        }
        let mut inline = [0; INLINE];
        inline.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self::Inline { bytes: inline, length: bytes.len() as u8 })
    }

    #[inline]
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
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline { .. } => serializer.serialize_bytes(self.as_slice()),
            Self::Shared(blob) => blob.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    #[inline]
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

    #[inline]
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

impl Packet {
    /// Creates a packet whose body is the first `length` of these bytes.
    #[inline]
    pub(super) fn short(stream: u32, number: u64, bytes: [u8; INLINE], length: usize) -> Self {
        Self { stream, number, body: Body::Inline { bytes, length: length as u8 } }
    }

    /// Creates a packet whose body shares memory.
    pub(super) fn shared(stream: u32, number: u64, body: Blob) -> Self {
        Self { stream, number, body: Body::Shared(body) }
    }

    /// Returns the bytes after the number.
    #[inline]
    pub(crate) fn body(&self) -> &[u8] {
        self.body.as_slice()
    }
}
