//! The serializer of the compact encoding.
//!
//! It refuses values that would not be read back: the encoding has no names of fields, so a field left out by
//! `skip_serializing_if` shifts all that follow.

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::layout::U128_FOLLOWS;
use super::sink::{Refusal, Sink};

/// A serializer that appends to a [`Sink`].
pub(super) struct Encoder<'s, S>(pub(super) &'s mut S);

impl<S: Sink> Encoder<'_, S> {
    #[inline(always)]
    fn array<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Refusal> {
        self.0.put(bytes)
    }

    #[inline(always)]
    fn integer(&mut self, integer: impl Into<u64>) -> Result<(), Refusal> {
        self.0.put_integer(integer.into())
    }

    /// Not inlined into the code of each type: integers of 128 bits are rare.
    #[inline(never)]
    fn u128(&mut self, integer: u128) -> Result<(), Refusal> {
        if let Ok(integer) = u64::try_from(integer) {
            return self.integer(integer);
        }
        self.array([U128_FOLLOWS])?;
        self.array(integer.to_le_bytes())
    }

    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.integer(bytes.len() as u64)?;
        self.0.write(bytes)
    }
}

macro_rules! numbers {
    ($($method:ident($type:ty) |$value:ident| $call:ident($encoded:expr))*) => {$(
        #[inline(always)]
        fn $method(mut self, $value: $type) -> Result<(), Refusal> {
            self.$call($encoded)
        }
    )*};
}

impl<'s, S: Sink> Serializer for Encoder<'s, S> {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_bool(bool) |value| array([u8::from(value)])
        serialize_u8(u8) |value| array([value])
        serialize_u16(u16) |value| integer(value)
        serialize_u32(u32) |value| integer(value)
        serialize_u64(u64) |value| integer(value)
        serialize_u128(u128) |value| u128(value)
        serialize_i8(i8) |value| array(value.to_le_bytes())
        serialize_i16(i16) |value| integer((value << 1 ^ value >> 15) as u16)
        serialize_i32(i32) |value| integer((value << 1 ^ value >> 31) as u32)
        serialize_i64(i64) |value| integer((value << 1 ^ value >> 63) as u64)
        serialize_i128(i128) |value| u128((value << 1 ^ value >> 127) as u128)
        serialize_f32(f32) |value| array(value.to_le_bytes())
        serialize_f64(f64) |value| array(value.to_le_bytes())
        serialize_str(&str) |value| bytes(value.as_bytes())
        serialize_bytes(&[u8]) |value| bytes(value)
    }

    #[inline(always)]
    fn serialize_char(self, value: char) -> Result<(), Refusal> {
        self.0.write(value.encode_utf8(&mut [0; 4]).as_bytes())
    }

    #[inline(always)]
    fn serialize_none(mut self) -> Result<(), Refusal> {
        self.array([0])
    }

    #[inline(always)]
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Refusal> {
        self.array([1])?;
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_unit(self) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline(always)]
    fn serialize_unit_variant(
        mut self,
        _: &'static str,
        number: u32,
        _: &'static str,
    ) -> Result<(), Refusal> {
        self.integer(number)
    }

    #[inline(always)]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        number: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.integer(number)?;
        value.serialize(self)
    }

    #[inline(always)]
    fn serialize_seq(mut self, length: Option<usize>) -> Result<Self, Refusal> {
        self.integer(length.ok_or_else(|| unknown_length("list"))? as u64)?;
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple(self, _: usize) -> Result<Self, Refusal> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Refusal> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        number: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Refusal> {
        self.integer(number)?;
        Ok(self)
    }

    #[inline(always)]
    fn serialize_map(mut self, length: Option<usize>) -> Result<Self, Refusal> {
        self.integer(length.ok_or_else(|| unknown_length("map"))? as u64)?;
        Ok(self)
    }

    #[inline(always)]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Refusal> {
        Ok(self)
    }

    #[inline(always)]
    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        number: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Refusal> {
        self.integer(number)?;
        Ok(self)
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! unnamed_parts {
    ($($part:ident $method:ident)*) => {$(
        impl<S: Sink> $part for Encoder<'_, S> {
            type Ok = ();
            type Error = Refusal;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                value.serialize(Encoder(self.0))
            }

            #[inline(always)]
            fn end(self) -> Result<(), Refusal> {
                Ok(())
            }
        }
    )*};
}
unnamed_parts! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! named_parts {
    ($($part:ident)*) => {$(
        impl<S: Sink> $part for Encoder<'_, S> {
            type Ok = ();
            type Error = Refusal;

            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), Refusal> {
                value.serialize(Encoder(self.0))
            }

            #[cold]
            fn skip_field(&mut self, key: &'static str) -> Result<(), Refusal> {
                Err(Refusal::custom(format_args!(
                    "the field `{key}` is left out, which the compact encoding cannot express"
                )))
            }

            #[inline(always)]
            fn end(self) -> Result<(), Refusal> {
                Ok(())
            }
        }
    )*};
}
named_parts! { SerializeStruct SerializeStructVariant }

impl<S: Sink> SerializeMap for Encoder<'_, S> {
    type Ok = ();
    type Error = Refusal;

    #[inline(always)]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        key.serialize(Encoder(self.0))
    }

    #[inline(always)]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        value.serialize(Encoder(self.0))
    }

    #[inline(always)]
    fn end(self) -> Result<(), Refusal> {
        Ok(())
    }
}

#[cold]
fn unknown_length(kind: &str) -> Refusal {
    Refusal::custom(format_args!("a {kind} of unknown length, which the compact encoding cannot express"))
}
