//! Alternative forms of a value that programs without its Rust type may send in a self-describing format.
//!
//! A value without content may be nil, `[]` or `{}`, and numeric keys of a map may be numbers or, as in JSON, text.

use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

/// The visitor of a unit, which accepts an empty list or map as well.
pub(super) struct UnitForms<V>(pub(super) V);

impl<'de, V: Visitor<'de>> Visitor<'de> for UnitForms<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<V::Value, A::Error> {
        match list.next_element::<IgnoredAny>()? {
            None => self.0.visit_unit(),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self.0)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        match map.next_key::<IgnoredAny>()? {
            None => self.0.visit_unit(),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Map, &self.0)),
        }
    }
}

/// The visitor of a struct without fields, which accepts nil as well.
pub(super) struct EmptyForms<V>(pub(super) V);

impl<'de, V: Visitor<'de>> Visitor<'de> for EmptyForms<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_map(MapDeserializer::<_, E>::new(std::iter::empty::<((), ())>()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }
}

/// The key of a map: for an integer or a bool, its text is accepted too.
pub(super) struct TextKey<T>(pub(super) T);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for TextKey<T> {
    type Value = T::Value;

    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(TextKey(deserializer))
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            struct Key<V>(V);

            impl<'de, V: Visitor<'de>> Visitor<'de> for Key<V> {
                type Value = V::Value;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.expecting(f)
                }

                fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
                    self.0.visit_bool(value)
                }

                fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
                    self.0.visit_u64(value)
                }

                fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
                    self.0.visit_i64(value)
                }

                fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
                    self.0.visit_f64(value)
                }

                fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
                    match text.parse::<$type>() {
                        Ok(value) => self.0.$visit(value),
                        Err(_) => Err(E::invalid_type(Unexpected::Str(text), &self.0)),
                    }
                }
            }

            self.0.deserialize_any(Key(visitor))
        }
    )*};
}

macro_rules! as_is {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for TextKey<D> {
    type Error = D::Error;

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    }

    as_is! {
        deserialize_any() deserialize_f32() deserialize_f64() deserialize_u128() deserialize_i128()
        deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_unit_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, TextKey(visitor))
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// The visitor of a newtype around a key.
impl<'de, V: Visitor<'de>> Visitor<'de> for TextKey<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline(always)]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(TextKey(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(list)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}
