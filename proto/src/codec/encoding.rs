//! The two encodings of a message, and the conversion of values to bytes and back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::budget::DecodeLimits;
use super::error::{DecodeError, EncodeError};
use super::wire::WireType;
use super::{blob, compact, converted_values, msgpack, packed};
use crate::buffer::WriteBuffer;

/// The encoding of a message. Every frame declares its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Bincode 2 with variable-length integers: only between ends that have the same fingerprint of the type.
    Bincode,
    /// MessagePack with names of fields and variants: between any two programs, with and without Rust.
    MessagePack,
}

/// Adds the bytes of `value` to the end of `out`, at most `max` of them.
///
/// # Errors
/// [`EncodeError`] with the reason; `out` is then unchanged. Bincode refuses a value that skips a field, or a list or map
/// whose length is not known at its start, and neither can write a [`Packed`](super::Packed): see [`encode_preferring`].
#[inline(always)]
pub fn encode<T: Serialize + ?Sized>(
    value: &T,
    encoding: Encoding,
    max: usize,
    out: &mut impl WriteBuffer,
) -> Result<(), EncodeError> {
    match encoding {
        Encoding::Bincode => compact::encode(value, max, out),
        Encoding::MessagePack => out.append(|out| msgpack::encode(value, max, out)),
    }
}

/// Adds the bytes of `value` to the end of `out`, at most `max` of them, and returns their encoding: the preferred one, or
/// MessagePack if bincode would not be read back as it was written. A value that already is MessagePack is written unchanged.
///
/// # Errors
/// [`EncodeError`] with the reason; `out` is then unchanged. An integer of 128 bits is refused if its type would not read it back
/// from MessagePack.
#[inline(always)]
pub fn encode_preferring<T: WireType>(
    value: &T,
    preferred: Encoding,
    max: usize,
    out: &mut impl WriteBuffer,
) -> Result<Encoding, EncodeError> {
    if let Some(packed) = packed::of(value) {
        return out.append(|out| packed::write(packed, max, out)).map(|()| Encoding::MessagePack);
    }
    if preferred == Encoding::MessagePack {
        return out.append(|out| encode_readable(value, max, out));
    }
    match encode(value, preferred, max, out) {
        Err(EncodeError::Refused { .. }) => out.append(|out| encode_readable(value, max, out)),
        result => result.map(|()| preferred),
    }
}

/// Encodes like [`encode`] in MessagePack, if the type reads it back.
#[inline]
fn encode_readable<T: WireType>(value: &T, max: usize, out: &mut Vec<u8>) -> Result<Encoding, EncodeError> {
    let start = out.len();
    msgpack::encode(value, max, out)?;
    match converted_values::check(value, &out[start..], max) {
        Ok(()) => Ok(Encoding::MessagePack),
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Decodes a `T` from all of `bytes`, within `limits`.
///
/// # Errors
/// [`DecodeError`] names the invalid field. For any bytes, this neither panics nor takes more memory or stack than `limits`
/// allow, as far as `T`'s own code does not.
#[inline(always)]
pub fn decode<T: DeserializeOwned + 'static>(
    bytes: &[u8],
    encoding: Encoding,
    limits: &DecodeLimits,
) -> Result<T, DecodeError> {
    match encoding {
        Encoding::MessagePack => {
            packed::read(bytes, limits).unwrap_or_else(|| msgpack::decode(bytes, limits))
        }
        Encoding::Bincode => compact::decode(bytes, limits),
    }
}

/// Decodes like [`decode`], for types that may borrow, and not for a [`Packed`](super::Packed).
///
/// # Errors
/// Those of [`decode`].
#[inline(always)]
pub fn read<T: DeserializeOwned>(
    bytes: &[u8],
    encoding: Encoding,
    limits: &DecodeLimits,
) -> Result<T, DecodeError> {
    match encoding {
        Encoding::Bincode => compact::decode(bytes, limits),
        Encoding::MessagePack => msgpack::decode(bytes, limits),
    }
}

/// Decodes like [`decode`], from `bytes` that are a part of `source`: a [`Blob`](super::Blob) in the value shares it.
///
/// # Errors
/// Those of [`decode`].
#[inline(always)]
pub fn decode_part<T: DeserializeOwned + 'static>(
    source: &Bytes,
    bytes: &[u8],
    encoding: Encoding,
    limits: &DecodeLimits,
) -> Result<T, DecodeError> {
    let _sharing = blob::sharing(source, bytes);
    decode(bytes, encoding, limits)
}
