//! Values that are already MessagePack: written by a program of another language, or stored to be read by one.

use std::any::Any;

use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny};
use serde::ser::{Error as _, Serialize, Serializer};

use super::blob;
use super::budget::DecodeLimits;
use super::error::{DecodeError, EncodeError};
use super::well_formed;

/// The wire name of a value without a type.
pub(super) const WIRE_NAME: &str = "Value";

/// A value as its MessagePack: a message, a reply or an item of news that is not converted on its way. It can be sent and
/// received wherever a value without a type can, and is a `Value` to the other end.
///
/// It is for programs that have a representation of their own, such as the objects of another language: they write and read the
/// bytes themselves, which preserves details that serde's model does not have, such as the header form of a list.
///
/// Received bytes are checked before they become one of these: they are one complete value, with text that is UTF-8 and without
/// extension types, and obey the limits of nesting, number and memory of every message. The sender is responsible for the
/// bytes it sends; the other end refuses invalid ones.
///
/// It can only be a whole message: serde cannot encode it as a part of another value.
///
/// ```
/// use meshzero_proto::codec::Packed;
///
/// // [true, nil]
/// let packed = Packed::from(vec![0x92, 0xc3, 0xc0]);
/// assert_eq!(packed.bytes().len(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Packed(Bytes);

impl Packed {
    /// Returns the MessagePack.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<T: Into<Bytes>> From<T> for Packed {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

/// Returns `value`, if it is a `Packed`. For any other type the compiler removes the check.
#[inline(always)]
pub(super) fn of<T: 'static>(value: &T) -> Option<&Packed> {
    (value as &dyn Any).downcast_ref()
}

/// Adds `packed` to `out` unchanged, at most `max` bytes.
pub(super) fn write(packed: &Packed, max: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if packed.0.len() > max {
        return Err(EncodeError::TooLarge { max });
    }
    out.extend_from_slice(&packed.0);
    Ok(())
}

/// Reads a `T`, if it is a `Packed`.
#[inline(always)]
pub(super) fn read<T: DeserializeOwned + 'static>(
    bytes: &[u8],
    limits: &DecodeLimits,
) -> Option<Result<T, DecodeError>> {
    let mut read: Option<T> = None;
    let target = (&mut read as &mut dyn Any).downcast_mut::<Option<Packed>>()?;
    if let Err(problem) = well_formed::check(bytes, limits) {
        return Some(Err(DecodeError::whole(problem)));
    }
    // Shared if it is long enough, like other bytes.
    *target = Some(Packed(blob::shared(bytes).unwrap_or_else(|| Bytes::copy_from_slice(bytes))));
    read.map(Ok)
}

/// Only this crate's MessagePack can write it; serde cannot.
impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("a packed value can only be a whole message, not a part of another value"))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any value in a description, and nothing that could be proven for bincode.
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom("a packed value can only be a whole message, not a part of another value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Encoding, decode, decode_part, encode, encode_preferring, type_info};

    #[test]
    fn a_packed_value_is_sent_unchanged_and_never_as_bincode() {
        assert_eq!(type_info::<Packed>().fingerprint(), None);
        assert_eq!(type_info::<Packed>().name(), "Value");
        // A list of two with the longest header, which serde would shorten.
        let long_header = vec![0xdd, 0, 0, 0, 2, 1, 0xa1, b'x'];
        let packed = Packed::from(long_header.clone());
        for preferred in [Encoding::MessagePack, Encoding::Bincode] {
            let mut out = vec![7];
            let encoding = encode_preferring(&packed, preferred, 100, &mut out);
            assert_eq!((encoding, &out[1..]), (Ok(Encoding::MessagePack), &long_header[..]));
            let decoded: Packed =
                decode(&out[1..], Encoding::MessagePack, &DecodeLimits::default()).expect("it decodes");
            assert_eq!(decoded, packed);
        }
    }

    #[test]
    fn a_value_that_is_too_long_or_bincode_is_refused() {
        let packed = Packed::from(vec![0xc3]);
        let mut out = Vec::new();
        let too_long = encode_preferring(&packed, Encoding::MessagePack, 0, &mut out);
        assert_eq!(too_long, Err(EncodeError::TooLarge { max: 0 }));
        for encoding in [Encoding::MessagePack, Encoding::Bincode] {
            assert!(encode(&packed, encoding, 10, &mut out).is_err());
        }
        assert!(out.is_empty());
        assert!(decode::<Packed>(&[0xc3], Encoding::Bincode, &DecodeLimits::default()).is_err());
    }

    #[test]
    fn a_long_value_shares_the_received_buffer() {
        let mut bytes = vec![0xc6, 0, 0, 0x40, 0];
        bytes.resize(5 + 0x4000, 9);
        let source = Bytes::from(bytes);
        let packed: Packed =
            decode_part(&source, &source, Encoding::MessagePack, &DecodeLimits::default()).expect("bytes");
        assert_eq!(packed.bytes().as_ptr(), source.as_ptr());
    }
}
