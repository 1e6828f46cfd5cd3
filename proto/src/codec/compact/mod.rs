//! The compact encoding, for peers that agree on a type: no names, no tags, fields in order.
//!
//! It is the standard layout of [bincode 2](https://github.com/bincode-org/bincode/blob/v2.0.1/docs/spec.md), little-endian with
//! integers of variable length, except that a character is its UTF-8, as in bincode's code and not in its
//! specification. The code here is ours because that library is no longer maintained and because its errors, and the layers
//! that bounded it, cost a receiver of small messages a quarter of its processor time.

mod decoder;
mod encoder;
mod fault;
mod layout;
mod reader;
mod sink;
#[cfg(test)]
mod tests;

use std::mem::size_of;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Track;

use self::decoder::Decoder;
use self::encoder::Encoder;
use self::fault::{Reason, Undecodable};
use self::reader::Reader;
use self::sink::Refusal;
use super::budget::DecodeLimits;
use super::error::{DecodeError, EncodeError};
use super::output::Output;
use crate::buffer::WriteBuffer;

/// The size up to which a message is written into a slice, which is twice as fast as a buffer that may grow. Most are smaller.
const SMALL_BYTES: usize = 256;

/// The size of the largest numbers; other values are rarely this small.
const NUMBER_BYTES: usize = 16;
/// The room for a value of that size.
const NUMBER_ROOM: usize = 64;

/// Adds `value` to `out`, at most `max` bytes.
#[inline(always)]
pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
    max: usize,
    out: &mut impl WriteBuffer,
) -> Result<(), EncodeError> {
    // It would not fit into a slice of that size.
    if size_of_val(value) > SMALL_BYTES {
        return out.append(|out| encode_growing(value, max, out));
    }
    let room = if size_of_val(value) <= NUMBER_BYTES { NUMBER_ROOM } else { SMALL_BYTES };
    match out.fill(room.min(max), |room| encode_small(value, room)) {
        Ok(()) => Ok(()),
        Err(Refusal::Full) => out.append(|out| encode_growing(value, max, out)),
        Err(Refusal::Problem(problem)) => Err(EncodeError::Refused { problem: problem.0 }),
    }
}

/// Writes `value` to the beginning of `room`, and returns its length.
#[inline(always)]
fn encode_small<T: Serialize + ?Sized>(value: &T, mut room: &mut [u8]) -> Result<usize, Refusal> {
    let length = room.len();
    value.serialize(Encoder(&mut room))?;
    Ok(length - room.len())
}

/// Encodes like [`encode`], for values that are not small.
#[inline(never)]
fn encode_growing<T: Serialize + ?Sized>(
    value: &T,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut output = Output::new(out, max);
    match value.serialize(Encoder(&mut output)) {
        Ok(()) => {
            output.finish();
            Ok(())
        }
        Err(refusal) => Err(output.undo(refusal.to_string())),
    }
}

/// Reads a `T` from all of `bytes`.
#[inline(always)]
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes, limits);
    match T::deserialize(Decoder::<Undecodable>::new(&mut reader, size_of::<T>())) {
        Ok(value) if reader.remaining() == 0 => Ok(value),
        Ok(_) => Err(left_over(reader.remaining())),
        Err(Undecodable) => Err(explain::<T>(bytes, limits)),
    }
}

#[cold]
#[inline(never)]
fn left_over(count: usize) -> DecodeError {
    DecodeError::whole(format!("{count} bytes are left over after the value"))
}

/// Decodes again, now with reasons and keeping track of the position.
#[cold]
#[inline(never)]
fn explain<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> DecodeError {
    let mut reader = Reader::new(bytes, limits);
    let mut track = Track::new();
    let decoder = Decoder::<Reason>::new(&mut reader, size_of::<T>());
    match T::deserialize(serde_path_to_error::Deserializer::new(decoder, &mut track)) {
        Err(Reason(problem)) => DecodeError::at(&track.path(), problem),
        Ok(_) => DecodeError::whole("its Deserialize refused it, and accepts it when it is read again"),
    }
}
