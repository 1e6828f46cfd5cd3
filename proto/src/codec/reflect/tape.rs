//! The tokens that bincode would read or write: a type is safe if both tapes are equal.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::ReadingStopped;
use crate::codec::shape::Leaf;

/// One item that bincode reads or writes. Tuples, structs and units take no bytes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Leaf(Leaf),
    None,
    Some,
    List(usize),
    Map(usize),
    Variant(u32),
}

/// A serialiser that records the tokens that bincode would write.
pub(super) struct Tape<'a>(pub(super) &'a mut Vec<Token>);

macro_rules! leaves {
    ($($method:ident($type:ty) $leaf:ident)*) => {$(
        fn $method(self, _: $type) -> Result<(), ReadingStopped> {
            self.0.push(Token::Leaf(Leaf::$leaf));
            Ok(())
        }
    )*};
}

impl Serializer for Tape<'_> {
    type Ok = ();
    type Error = ReadingStopped;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    leaves! {
        serialize_bool(bool) Bool serialize_char(char) Char serialize_str(&str) Text serialize_bytes(&[u8]) Bytes
        serialize_u8(u8) U8 serialize_u16(u16) U16 serialize_u32(u32) U32 serialize_u64(u64) U64
        serialize_i8(i8) I8 serialize_i16(i16) I16 serialize_i32(i32) I32 serialize_i64(i64) I64
        serialize_u128(u128) U128 serialize_i128(i128) I128 serialize_f32(f32) F32 serialize_f64(f64) F64
    }

    fn serialize_none(self) -> Result<(), ReadingStopped> {
        self.0.push(Token::None);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ReadingStopped> {
        self.0.push(Token::Some);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ReadingStopped> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ReadingStopped> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), ReadingStopped> {
        self.0.push(Token::Variant(index));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ReadingStopped> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), ReadingStopped> {
        self.0.push(Token::Variant(index));
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, ReadingStopped> {
        self.0.push(Token::List(len.ok_or_else(unknown_length)?));
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, ReadingStopped> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, ReadingStopped> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, ReadingStopped> {
        self.0.push(Token::Variant(index));
        Ok(self)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, ReadingStopped> {
        self.0.push(Token::Map(len.ok_or_else(unknown_length)?));
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, ReadingStopped> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, ReadingStopped> {
        self.0.push(Token::Variant(index));
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

fn unknown_length() -> ReadingStopped {
    ReadingStopped::new("writes a list or map without giving its length first")
}

macro_rules! unnamed_parts {
    ($($part:ident $method:ident)*) => {$(
        impl $part for Tape<'_> {
            type Ok = ();
            type Error = ReadingStopped;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ReadingStopped> {
                value.serialize(Tape(self.0))
            }

            fn end(self) -> Result<(), ReadingStopped> {
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
        impl $part for Tape<'_> {
            type Ok = ();
            type Error = ReadingStopped;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), ReadingStopped> {
                value.serialize(Tape(self.0))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), ReadingStopped> {
                Err(ReadingStopped::new(format!("leaves out the field `{key}`")))
            }

            fn end(self) -> Result<(), ReadingStopped> {
                Ok(())
            }
        }
    )*};
}
named_parts! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Tape<'_> {
    type Ok = ();
    type Error = ReadingStopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ReadingStopped> {
        key.serialize(Tape(self.0))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ReadingStopped> {
        value.serialize(Tape(self.0))
    }

    fn end(self) -> Result<(), ReadingStopped> {
        Ok(())
    }
}
