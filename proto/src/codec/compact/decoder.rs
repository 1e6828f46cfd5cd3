//! The deserializer of the compact encoding.
//!
//! It charges its budget as [`Bounded`](crate::codec::bounded::Bounded) does for the other formats, but has no formats behind it: one
//! layer less between a type and its bytes, which the compiler looks through also without optimization of the whole program.

use std::marker::PhantomData;
use std::mem::size_of;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::reader::Reader;
use crate::codec::budget::FIRST_ENTRY_COST;

/// A deserializer of the next value of a [`Reader`], with errors of type `E`.
pub(super) struct Decoder<'r, 'de, E> {
    reader: &'r mut Reader<'de>,
    /// The size of the room that this value is stored in and that has been charged.
    charged: usize,
    error: PhantomData<E>,
}

impl<'r, 'de, E: Error> Decoder<'r, 'de, E> {
    /// Creates a deserializer of a value for which `charged` bytes have been charged.
    #[inline(always)]
    pub(super) fn new(reader: &'r mut Reader<'de>, charged: usize) -> Self {
        Self { reader, charged, error: PhantomData }
    }

    /// Charges for a `T` unless it fits into the room that has been charged.
    #[inline(always)]
    fn charge<T>(&self) -> Result<(), E> {
        if size_of::<T>() > self.charged { self.reader.budget.memory(size_of::<T>()) } else { Ok(()) }
    }

    /// Reads the fields of a value that has been charged.
    #[inline(always)]
    fn fields<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, E> {
        let reader = self.reader;
        reader.budget.enter_nested()?;
        let fields = Sequence::<E, FIELDS> { reader: &mut *reader, remaining: count, error: PhantomData };
        let value = visitor.visit_seq(fields);
        reader.budget.leave_nested();
        value
    }
}

macro_rules! values {
    ($($method:ident $read:ident $visit:ident)*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            visitor.$visit(self.reader.$read()?)
        }
    )*};
}

impl<'de, E: Error> Deserializer<'de> for Decoder<'_, 'de, E> {
    type Error = E;

    values! {
        deserialize_bool bool visit_bool
        deserialize_i8 i8 visit_i8
        deserialize_i16 i16 visit_i16
        deserialize_i32 i32 visit_i32
        deserialize_i64 i64 visit_i64
        deserialize_i128 i128 visit_i128
        deserialize_u8 u8 visit_u8
        deserialize_u16 u16 visit_u16
        deserialize_u32 u32 visit_u32
        deserialize_u64 u64 visit_u64
        deserialize_u128 u128 visit_u128
        deserialize_f32 f32 visit_f32
        deserialize_f64 f64 visit_f64
        deserialize_char char visit_char
        deserialize_str text visit_borrowed_str
        deserialize_string text visit_borrowed_str
        deserialize_bytes bytes visit_borrowed_bytes
        deserialize_byte_buf bytes visit_borrowed_bytes
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(not_described("a value of any type"))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(not_described("a value to skip"))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(not_described("the name of a field"))
    }

    #[inline(always)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        let Self { reader, charged, .. } = self;
        if reader.is_some()? {
            reader.budget.enter_wrapped()?;
            let value = visitor.visit_some(Decoder::<E>::new(reader, charged));
            reader.budget.leave_wrapped();
            value
        } else {
            visitor.visit_none()
        }
    }

    #[inline(always)]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    #[inline(always)]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        let Self { reader, charged, .. } = self;
        reader.budget.enter_wrapped()?;
        let value = visitor.visit_newtype_struct(Decoder::<E>::new(reader, charged));
        reader.budget.leave_wrapped();
        value
    }

    #[inline(always)]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        let reader = self.reader;
        let remaining = reader.length()?;
        reader.budget.enter_nested()?;
        let elements = Sequence::<E, ELEMENTS> { reader: &mut *reader, remaining, error: PhantomData };
        let value = visitor.visit_seq(elements);
        reader.budget.leave_nested();
        value
    }

    #[inline(always)]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        let reader = self.reader;
        let remaining = reader.length()?;
        reader.budget.enter_nested()?;
        let cost = FIRST_ENTRY_COST;
        let value = visitor.visit_map(Entries { reader: &mut *reader, remaining, cost, error: PhantomData });
        reader.budget.leave_nested();
        value
    }

    #[inline(always)]
    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, E> {
        self.charge::<V::Value>()?;
        self.fields(count, visitor)
    }

    #[inline(always)]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, E> {
        self.charge::<V::Value>()?;
        self.fields(count, visitor)
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        self.charge::<V::Value>()?;
        self.fields(fields.len(), visitor)
    }

    #[inline(always)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        self.charge::<V::Value>()?;
        let Self { reader, charged, .. } = self;
        reader.budget.enter_nested()?;
        let value = visitor.visit_enum(Decoder::<E>::new(reader, charged));
        reader.budget.leave_nested();
        value
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The number of a variant, and then its content.
impl<'de, E: Error> EnumAccess<'de> for Decoder<'_, 'de, E> {
    type Error = E;
    type Variant = Self;

    #[inline(always)]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), E> {
        let number: u32 = self.reader.u32()?;
        Ok((seed.deserialize(number.into_deserializer())?, self))
    }
}

/// The content of a variant, which lies within the enum that has been charged.
impl<'de, E: Error> VariantAccess<'de> for Decoder<'_, 'de, E> {
    type Error = E;

    #[inline(always)]
    fn unit_variant(self) -> Result<(), E> {
        Ok(())
    }

    #[inline(always)]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, E> {
        seed.deserialize(Decoder::<E>::new(self.reader, size_of::<T::Value>()))
    }

    #[inline(always)]
    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, E> {
        self.fields(count, visitor)
    }

    #[inline(always)]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        self.fields(fields.len(), visitor)
    }
}

/// Selects the elements of a list, which are charged one by one, and before they are read.
const ELEMENTS: bool = true;
/// Selects the fields of a struct, a tuple or a variant, which lie within memory that has been charged.
const FIELDS: bool = false;

/// The elements of a list, or the fields of a value.
struct Sequence<'r, 'de, E, const PARTS: bool> {
    reader: &'r mut Reader<'de>,
    remaining: usize,
    error: PhantomData<E>,
}

impl<'de, E: Error, const PARTS: bool> SeqAccess<'de> for Sequence<'_, 'de, E, PARTS> {
    type Error = E;

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, E> {
        if self.remaining == 0 {
            return Ok(None);
        }
        self.remaining -= 1;
        if PARTS == ELEMENTS {
            self.reader.budget.element(size_of::<T::Value>())?;
        }
        seed.deserialize(Decoder::<E>::new(self.reader, size_of::<T::Value>())).map(Some)
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        self.reader.budget.plausible(Some(self.remaining))
    }
}

/// The entries of a map, which are charged like elements.
struct Entries<'r, 'de, E> {
    reader: &'r mut Reader<'de>,
    remaining: usize,
    /// The cost of the next entry, in entries.
    cost: usize,
    error: PhantomData<E>,
}

impl<'de, E: Error> MapAccess<'de> for Entries<'_, 'de, E> {
    type Error = E;

    #[inline(always)]
    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, E> {
        if self.remaining == 0 {
            return Ok(None);
        }
        self.remaining -= 1;
        self.reader.budget.element(size_of::<T::Value>() * self.cost)?;
        seed.deserialize(Decoder::<E>::new(self.reader, size_of::<T::Value>())).map(Some)
    }

    #[inline(always)]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, E> {
        self.reader.budget.memory(size_of::<T::Value>() * self.cost)?;
        self.cost = 1;
        seed.deserialize(Decoder::<E>::new(self.reader, size_of::<T::Value>()))
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        self.reader.budget.plausible(Some(self.remaining))
    }
}

#[cold]
fn not_described<E: Error>(wanted: &str) -> E {
    E::custom(format_args!("the type asks for {wanted}, which the compact encoding does not describe"))
}
