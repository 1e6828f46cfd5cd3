//! The bytes of one reply on their way to the caller.

use std::ops::Deref;

use bytes::Bytes;
use meshzero_proto::codec::{self, DecodeError, DecodeLimits, Encoding, WireType};

/// Replies up to this length are copied, which costs less than sharing the buffer that they arrived in.
const MAX_SHORT_BYTES: usize = 110;

/// An encoded reply.
#[derive(Debug, Clone)]
pub(crate) enum ReplyBytes {
    /// A copy: the number of bytes, and the bytes.
    Short(u8, [u8; MAX_SHORT_BYTES]),
    /// A part of the buffer in which it arrived.
    Long(Bytes),
}

impl ReplyBytes {
    /// The reply `part` of the buffer `buffer`.
    #[inline(always)]
    pub(crate) fn from_part(buffer: &Bytes, part: &[u8]) -> Self {
        match u8::try_from(part.len()) {
            Ok(length) if part.len() <= MAX_SHORT_BYTES => {
                let mut bytes = [0; MAX_SHORT_BYTES];
                bytes[..part.len()].copy_from_slice(part);
                Self::Short(length, bytes)
            }
            _ => Self::Long(buffer.slice_ref(part)),
        }
    }
}

impl Deref for ReplyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl ReplyBytes {
    /// Decodes the reply.
    ///
    /// # Errors
    /// [`DecodeError`].
    #[inline]
    pub(crate) fn decode<T: WireType>(
        &self,
        encoding: Encoding,
        limits: &DecodeLimits,
    ) -> Result<T, DecodeError> {
        match self {
            Self::Short(..) => codec::decode(self, encoding, limits),
            Self::Long(bytes) => codec::decode_part(bytes, bytes, encoding, limits),
        }
    }
}

impl From<Vec<u8>> for ReplyBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Long(bytes.into())
    }
}
