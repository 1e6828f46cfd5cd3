//! MessagePack with field and variant names, for all other peers, with times and addresses as text.

use std::io::ErrorKind;
use std::mem::size_of;

use rmp_serde::config::{DefaultConfig, HumanReadableConfig};
use rmp_serde::decode::{Error as Fault, ReadRefReader};
use rmp_serde::{Deserializer, Serializer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_path_to_error::Track;

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};
use super::error::{DecodeError, EncodeError};
use super::output::Output;

/// Adds `value` to `out`, at most `max` bytes.
#[inline]
pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut output = Output::new(out, max);
    let mut serializer = Serializer::new(&mut output).with_struct_map().with_human_readable();
    match value.serialize(&mut serializer) {
        Ok(()) => {
            output.finish();
            Ok(())
        }
        Err(error) => Err(output.undo(error.to_string())),
    }
}

/// Reads a `T` from all of `bytes`.
#[inline]
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> Result<T, DecodeError> {
    let budget = Budget::new(limits, bytes.len());
    let mut source = source(bytes, limits);
    match T::deserialize(Bounded::new(&mut source, &budget, size_of::<T>())) {
        Ok(value) => match bool::deserialize(&mut source) {
            Err(Fault::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(DecodeError::whole("bytes are left over after the value")),
        },
        Err(fault) => Err(explain::<T>(bytes, limits, fault)),
    }
}

/// Returns a human-readable deserialiser, as at the other end, whose own depth limit never applies before that of the budget.
#[inline]
fn source<'a>(
    bytes: &'a [u8],
    limits: &DecodeLimits,
) -> Deserializer<ReadRefReader<'a, [u8]>, HumanReadableConfig<DefaultConfig>> {
    let mut source = Deserializer::from_read_ref(bytes).with_human_readable();
    source.set_max_depth((limits.nesting as usize).saturating_add(2));
    source
}

/// Decodes again, now keeping track of the position.
#[cold]
fn explain<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits, fault: Fault) -> DecodeError {
    let budget = Budget::new(limits, bytes.len());
    let mut track = Track::new();
    let mut source = source(bytes, limits);
    let tracked = serde_path_to_error::Deserializer::new(&mut source, &mut track);
    let located = T::deserialize(Bounded::new(tracked, &budget, size_of::<T>())).err();
    DecodeError::at(&track.path(), fault_text(located.unwrap_or(fault)))
}

fn fault_text(fault: Fault) -> String {
    match fault {
        Fault::Syntax(text) | Fault::Uncategorized(text) => text,
        Fault::InvalidMarkerRead(error) | Fault::InvalidDataRead(error)
            if error.kind() == ErrorKind::UnexpectedEof =>
        {
            "the bytes end before the value does".to_owned()
        }
        Fault::TypeMismatch(marker) => format!("another kind of value: {marker:?}"),
        Fault::LengthMismatch(read) => format!("more than the {read} elements expected"),
        Fault::Utf8Error(_) => "text that is not UTF-8".to_owned(),
        other => other.to_string(),
    }
}
