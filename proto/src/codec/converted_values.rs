//! Values that MessagePack, or serde's buffering, stores in another form: 128-bit integers, and bytes that are also text. Not
//! every type reads them back.
//!
//! Serde buffers the input of an untagged or internally tagged enum, or of flattened fields, in a form of its own without
//! 128-bit integers, which are encoded as 16 bytes. The type then silently accepts these, like other bytes, as text if they
//! are UTF-8 and it has a field for text. Only reading a value back shows whether a type does so; that is done only for values
//! that contain such parts.

use std::fmt::{self, Display};

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};
use serde_path_to_error::Track;
use xxhash_rust::xxh3::xxh3_128;

use super::blob::detached_len;
use super::budget::DecodeLimits;
use super::error::EncodeError;
use super::msgpack;
use super::type_info::type_info;
use super::wire::WireType;
use crate::limits::Limits;

/// The length from which looking up the type costs less than searching the bytes.
const LONG_BYTES: usize = 4 << 10;

/// The nesting limit for reading back. The value has been written with that much stack already.
const MAX_NESTING: u32 = 512;

/// Refuses a value that its own type would not read back unchanged from `bytes`, its MessagePack. A message has at most `max`
/// bytes.
#[inline]
pub(super) fn check<T: WireType>(value: &T, bytes: &[u8], max: usize) -> Result<(), EncodeError> {
    // The first check is fast, and sufficient for most values.
    if bytes.len() < LONG_BYTES && detached_len() == 0 && !may_have_bytes(bytes) {
        return Ok(());
    }
    check_type(value, bytes, max)
}

/// Returns true if the MessagePack may contain byte strings: those of less than 256, 65,536 and 2³² bytes begin with one of
/// these bytes.
#[inline]
fn may_have_bytes(bytes: &[u8]) -> bool {
    memchr::memchr3(0xc4, 0xc5, 0xc6, bytes).is_some()
}

#[cold]
fn check_type<T: WireType>(value: &T, bytes: &[u8], max: usize) -> Result<(), EncodeError> {
    let info = type_info::<T>();
    // Proven types are never buffered.
    if info.fingerprint().is_some() || info.is_exact() {
        return Ok(());
    }
    if bytes.len() >= LONG_BYTES && detached_len() == 0 && !may_have_bytes(bytes) {
        return Ok(());
    }
    read_back(value, bytes.len(), max)
}

fn read_back<T: WireType>(value: &T, length: usize, max: usize) -> Result<(), EncodeError> {
    let sent = parts(value);
    if sent.is_empty() {
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(length + detached_len());
    msgpack::encode(value, usize::MAX, &mut bytes)?;
    let limits = DecodeLimits::typed(&Limits { message_bytes: max, ..Limits::default() });
    let values = limits.values.max(bytes.len());
    let limits = DecodeLimits { nesting: MAX_NESTING, values, ..limits };
    let read = msgpack::decode::<T>(&bytes, &limits).map(|read| parts(&read));
    let missing = match read {
        Ok(read) => missing(&sent, read),
        // Bytes are not the reason; there is another one, which the other end reports.
        Err(_) => sent.iter().find(|(part, _)| *part == WidePart::Integer),
    };
    missing.map_or(Ok(()), |missing| Err(refused(value, *missing)))
}

/// Returns the first of `sent` that is not among `read`. Most are read in the order in which they were sent; maps may have
/// another order.
fn missing<P: Ord>(sent: &[P], mut read: Vec<P>) -> Option<&P> {
    let common = sent.iter().zip(&read).take_while(|(sent, read)| sent == read).count();
    let remaining = &sent[common..];
    if remaining.is_empty() {
        return None;
    }
    read.sort_unstable();
    remaining.iter().find(|part| read.binary_search(part).is_err())
}

fn refused<T: Serialize>(value: &T, (part, hash): (WidePart, u128)) -> EncodeError {
    let path = path_of(value, (part, hash));
    let location = if path == "." { "the value".to_owned() } else { format!("`{path}`") };
    let description = match part {
        WidePart::Integer => "a 128-bit integer",
        WidePart::Bytes => "bytes that are text as well",
    };
    let remedy = match part {
        WidePart::Integer => "use 64 bits, or text",
        WidePart::Bytes => "tag the enum",
    };
    let problem = format!(
        "{location} is {description}, which its type cannot read back: it is part of an untagged or internally tagged enum, or is \
         flattened; {remedy}"
    );
    EncodeError::Refused { problem }
}

/// A part of a value that may be read as a value of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WidePart {
    Integer,
    Bytes,
}

/// Returns those parts of `value`, with a number that distinguishes them.
fn parts<T: Serialize>(value: &T) -> Vec<(WidePart, u128)> {
    let mut found = Vec::new();
    // A value that cannot be written was refused before.
    let _ = value.serialize(WideFinder { target: Target::All(&mut found) });
    found
}

/// Returns the path of one part.
fn path_of<T: Serialize>(value: &T, part: (WidePart, u128)) -> String {
    let mut track = Track::new();
    let finder = WideFinder { target: Target::One(part) };
    // An error is expected here.
    let _ = value.serialize(serde_path_to_error::Serializer::new(finder, &mut track));
    track.path().to_string()
}

/// A serialiser that finds parts: it collects all of them, or stops at one.
struct WideFinder<'a> {
    target: Target<'a>,
}

enum Target<'a> {
    All(&'a mut Vec<(WidePart, u128)>),
    One((WidePart, u128)),
}

impl WideFinder<'_> {
    fn reborrow(&mut self) -> WideFinder<'_> {
        let target = match &mut self.target {
            Target::All(found) => Target::All(found),
            Target::One(part) => Target::One(*part),
        };
        WideFinder { target }
    }

    fn found(self, part: WidePart, hash: u128) -> Result<(), Stopped> {
        match self.target {
            Target::All(found) => found.push((part, hash)),
            Target::One(wanted) if wanted == (part, hash) => return Err(Stopped),
            Target::One(_) => {}
        }
        Ok(())
    }
}

/// The part was found, or the value cannot be serialised.
#[derive(Debug)]
struct Stopped;

impl Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

impl serde::ser::Error for Stopped {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

macro_rules! skipped_values {
    ($($method:ident($($type:ty),*))*) => {$(
        fn $method(self, $(_: $type),*) -> Result<(), Stopped> {
            Ok(())
        }
    )*};
}

impl Serializer for WideFinder<'_> {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    skipped_values! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_str(&str)
        serialize_none() serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Stopped> {
        match std::str::from_utf8(bytes) {
            Ok(_) => self.found(WidePart::Bytes, xxh3_128(bytes)),
            Err(_) => Ok(()),
        }
    }

    fn serialize_i128(self, value: i128) -> Result<(), Stopped> {
        self.found(WidePart::Integer, value.cast_unsigned())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Stopped> {
        self.found(WidePart::Integer, value)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Stopped> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Stopped> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Stopped> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Stopped> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Stopped> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Stopped> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Stopped> {
        Ok(self)
    }
}

macro_rules! parts {
    ($($part:ident $method:ident($($name:ty)?))*) => {$(
        impl $part for WideFinder<'_> {
            type Ok = ();
            type Error = Stopped;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result<(), Stopped> {
                value.serialize(self.reborrow())
            }

            fn end(self) -> Result<(), Stopped> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq serialize_element()
    SerializeTuple serialize_element()
    SerializeTupleStruct serialize_field()
    SerializeTupleVariant serialize_field()
    SerializeStruct serialize_field(&'static str)
    SerializeStructVariant serialize_field(&'static str)
}

impl SerializeMap for WideFinder<'_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stopped> {
        key.serialize(self.reborrow())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        value.serialize(self.reborrow())
    }

    fn end(self) -> Result<(), Stopped> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    thread_local! {
        static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Debug, Clone, Copy)]
    struct Compared(usize);

    impl Ord for Compared {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARISONS.set(COMPARISONS.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Compared {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Compared {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Compared {}

    #[test]
    fn comparing_many_parts_takes_little_time() {
        const MANY: usize = 1 << 16;
        let sent: Vec<_> = (0..MANY).map(Compared).collect();
        let comparisons = |read: Vec<Compared>, missed: Option<usize>| {
            COMPARISONS.set(0);
            assert_eq!(missing(&sent, read).map(|part| part.0), missed);
            COMPARISONS.get()
        };
        assert!(comparisons(sent.clone(), None) <= MANY, "in order");
        let reversed: Vec<_> = sent.iter().rev().copied().collect();
        assert!(comparisons(reversed.clone(), None) <= 64 * MANY, "in another order");
        assert!(comparisons(reversed[1..].to_vec(), Some(MANY - 1)) <= 64 * MANY, "the last is missing");
        assert_eq!(missing(&sent[..1], Vec::new()).map(|part| part.0), Some(0));
    }
}
