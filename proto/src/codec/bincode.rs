//! Bincode, for peers that agree on a type: no names, no tags, fields in order.

use std::marker::PhantomData;
use std::mem::size_of;

use bincode::config::{self, Configuration};
use bincode::error::{DecodeError as Fault, EncodeError as Refusal};
use bincode::serde::{BorrowedSerdeDecoder, encode_into_slice, encode_into_writer, seed_decode_from_slice};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};
use serde::{Deserialize, Serialize};
use serde_path_to_error::Track;

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};
use super::error::{DecodeError, EncodeError};
use super::output::Output;
use super::strict::Strict;
use crate::buffer::WriteBuffer;

/// Little-endian with variable-length integers; its limits are not used, because they do not bound memory.
const CONFIG: Configuration = config::standard();

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
    match out.fill(room.min(max), |room| encode_into_slice(Strict(value), room, CONFIG)) {
        Ok(()) => Ok(()),
        Err(Refusal::UnexpectedEnd) => out.append(|out| encode_growing(value, max, out)),
        Err(refusal) => Err(EncodeError::Refused { problem: refusal_text(refusal) }),
    }
}

/// Encodes like [`encode`], for values that are not small.
#[inline(never)]
fn encode_growing<T: Serialize + ?Sized>(
    value: &T,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut output = Output::new(out, max);
    match encode_into_writer(Strict(value), &mut output, CONFIG) {
        Ok(()) => {
            output.finish();
            Ok(())
        }
        Err(refusal) => Err(output.undo(refusal_text(refusal))),
    }
}

/// Reads a `T` from all of `bytes`.
#[inline(always)]
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> Result<T, DecodeError> {
    let budget = Budget::new(limits, bytes.len());
    // Not with bincode's own functions, each layer of which copies the value once more.
    let mut decoder = BorrowedSerdeDecoder::from_slice(bytes, CONFIG, ());
    match T::deserialize(Bounded::<_, false>::new(decoder.as_deserializer(), &budget, size_of::<T>())) {
        Ok(value) if u8::deserialize(decoder.as_deserializer()).is_err() => Ok(value),
        // Passed on as it is, so that it is not taken apart on the usual path.
        result => Err(decode_error(result, bytes, limits)),
    }
}

#[cold]
#[inline(never)]
fn decode_error<T: DeserializeOwned>(
    result: Result<T, Fault>,
    bytes: &[u8],
    limits: &DecodeLimits,
) -> DecodeError {
    match result {
        Ok(_) => trailing_bytes::<T>(bytes, limits),
        Err(fault) => explain::<T>(bytes, limits, fault),
    }
}

struct Seed<'b, T>(&'b Budget, PhantomData<T>);

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T;

    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(Bounded::<D, false>::new(deserializer, self.0, size_of::<T>()))
    }
}

/// Decodes again, now keeping track of the position.
#[cold]
fn explain<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits, fault: Fault) -> DecodeError {
    struct Tracked<'b, T>(Seed<'b, T>, &'b mut Track);

    impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Tracked<'_, T> {
        type Value = T;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            self.0.deserialize(serde_path_to_error::Deserializer::new(deserializer, self.1))
        }
    }

    let budget = Budget::new(limits, bytes.len());
    let mut track = Track::new();
    let seed = Tracked(Seed::<T>(&budget, PhantomData), &mut track);
    let located = seed_decode_from_slice(seed, bytes, CONFIG).err();
    DecodeError::at(&track.path(), fault_text(located.unwrap_or(fault)))
}

/// Decodes again, now counting.
#[cold]
fn trailing_bytes<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> DecodeError {
    let budget = Budget::new(limits, bytes.len());
    match seed_decode_from_slice(Seed::<T>(&budget, PhantomData), bytes, CONFIG) {
        Ok((_, read)) => {
            DecodeError::whole(format!("{} bytes are left over after the value", bytes.len() - read))
        }
        Err(fault) => explain::<T>(bytes, limits, fault),
    }
}

#[cold]
fn refusal_text(refusal: Refusal) -> String {
    match refusal {
        Refusal::OtherString(text) => text,
        Refusal::Other(text) => text.to_owned(),
        other => other.to_string(),
    }
}

fn fault_text(fault: Fault) -> String {
    match fault {
        Fault::OtherString(text) => text,
        Fault::Other(text) => text.to_owned(),
        Fault::UnexpectedEnd { .. } => "the bytes end before the value does".to_owned(),
        Fault::Utf8 { .. } => "text that is not UTF-8".to_owned(),
        Fault::InvalidBooleanValue(byte) => format!("the byte {byte} is neither true nor false"),
        Fault::InvalidCharEncoding(_) => "bytes that are not a character".to_owned(),
        Fault::InvalidIntegerType { .. } => "an integer that is too large for its type".to_owned(),
        Fault::UnexpectedVariant { found, .. } => format!("there is no variant {found}"),
        Fault::OutsideUsizeRange(length) => format!("a length of {length}"),
        other => other.to_string(),
    }
}
