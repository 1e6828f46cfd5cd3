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

/// Little-endian with variable-length integers; the limits are ours, because bincode's own do not bound memory.
const CONFIG: Configuration = config::standard();

/// The size of most messages: up to this, a message is written into a slice, which is twice as fast as a buffer that may grow.
const SMALL: usize = 256;

/// The size of numbers, which need no more room than this; other values are rarely this small.
const TINY: usize = 16;
const ROOM_FOR_TINY: usize = 64;

/// Adds `value` to `out`, at most `max` bytes.
#[inline(always)]
pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
    max: usize,
    out: &mut impl WriteBuffer,
) -> Result<(), EncodeError> {
    // It would not fit.
    if size_of_val(value) > SMALL {
        return out.append(|out| encode_growing(value, max, out));
    }
    let room = if size_of_val(value) <= TINY { ROOM_FOR_TINY } else { SMALL };
    match out.fill(room.min(max), |room| encode_into_slice(Strict(value), room, CONFIG)) {
        Ok(()) => Ok(()),
        Err(Refusal::UnexpectedEnd) => out.append(|out| encode_growing(value, max, out)),
        Err(refusal) => Err(EncodeError::Refused { problem: reason(refusal) }),
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
        Err(refusal) => Err(output.undo(reason(refusal))),
    }
}

/// Reads a `T` from all of `bytes`.
#[inline(always)]
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> Result<T, DecodeError> {
    let budget = Budget::new(limits, bytes.len());
    // Not with bincode's own functions, which move the value once more for each layer of them.
    let mut decoder = BorrowedSerdeDecoder::from_slice(bytes, CONFIG, ());
    match T::deserialize(Bounded::<_, false>::new(decoder.as_deserializer(), &budget, size_of::<T>())) {
        Ok(value) if u8::deserialize(decoder.as_deserializer()).is_err() => Ok(value),
        // Passed on in one piece, so that the compiler need not take it apart on the usual path.
        result => Err(unreadable(result, bytes, limits)),
    }
}

#[cold]
#[inline(never)]
fn unreadable<T: DeserializeOwned>(
    result: Result<T, Fault>,
    bytes: &[u8],
    limits: &DecodeLimits,
) -> DecodeError {
    match result {
        Ok(_) => left_over::<T>(bytes, limits),
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
    let again = seed_decode_from_slice(seed, bytes, CONFIG).err();
    DecodeError::at(&track.path(), problem(again.unwrap_or(fault)))
}

/// Decodes again, now counting.
#[cold]
fn left_over<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> DecodeError {
    let budget = Budget::new(limits, bytes.len());
    match seed_decode_from_slice(Seed::<T>(&budget, PhantomData), bytes, CONFIG) {
        Ok((_, read)) => {
            DecodeError::whole(format!("{} bytes are left over after the value", bytes.len() - read))
        }
        Err(fault) => explain::<T>(bytes, limits, fault),
    }
}

#[cold]
fn reason(refusal: Refusal) -> String {
    match refusal {
        Refusal::OtherString(text) => text,
        Refusal::Other(text) => text.to_owned(),
        other => other.to_string(),
    }
}

fn problem(fault: Fault) -> String {
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
