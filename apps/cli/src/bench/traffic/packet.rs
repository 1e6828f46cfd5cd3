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

/// One packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Packet<B> {
    /// The measurement that it belongs to.
    pub(crate) stream: u32,
    /// Its sequence number, from 0.
    pub(crate) number: u64,
    /// The bytes after the number.
    pub(super) body: B,
}

impl<B: Body> Packet<B> {
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
