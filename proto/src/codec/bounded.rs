//! A deserialiser in front of the self-describing formats: it limits nesting, elements and memory for every type.
//!
//! It charges values before they are stored: elements of lists and maps, and structs, tuples and enums that are larger than the
//! room charged for their parent (those behind a `Box` or an `Arc`). Owned text and bytes are requested from the
//! format as borrowed ones, so that a forged length is compared with the input and never allocated. The compact encoding
//! charges in the same way, without this layer.

use std::fmt;
use std::mem::size_of;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::budget::{Budget, FIRST_ENTRY_COST};
use super::lenient::{EmptyForms, TextKey, UnitForms};

/// Selects visitors of lists and maps, whose parts are charged one by one.
const ELEMENTS: bool = true;
/// Selects visitors of structs, tuples and variants, whose parts lie within memory that was charged.
const FIELDS: bool = false;

/// A format's deserialiser under a budget, which accepts more forms of a value than the format's own serialiser writes.
pub(super) struct Bounded<'b, D> {
    inner: D,
    budget: &'b Budget,
    /// The size of the room that this value is stored in and that has been charged.
    charged: usize,
}

impl<'b, D> Bounded<'b, D> {
    /// Wraps `inner` with `budget`, for a value of `charged` bytes.
    #[inline(always)]
    pub(super) fn new(inner: D, budget: &'b Budget, charged: usize) -> Self {
        Self { inner, budget, charged }
    }

    /// Charges for a `T` unless it fits into the room that has been charged.
    #[inline(always)]
    fn charge<T, E: Error>(&self) -> Result<(), E> {
        if size_of::<T>() > self.charged { self.budget.memory(size_of::<T>()) } else { Ok(()) }
    }

    #[inline(always)]
    fn visitor<V, const PARTS: bool>(&self, inner: V) -> BoundedVisitor<'b, V, PARTS> {
        BoundedVisitor { inner, budget: self.budget, charged: self.charged }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            // When asked for any value, the format reports what it found if that is not a number.
            self.inner.deserialize_any(visitor)
        }
    )*};
}

macro_rules! as_is {
    ($($method:ident)*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

macro_rules! elements {
    ($($method:ident => $inner_method:ident)*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.visitor::<V, ELEMENTS>(visitor);
            self.inner.$inner_method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    numbers! {
        deserialize_bool deserialize_f32 deserialize_f64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    }
    as_is! { deserialize_u128 deserialize_i128 deserialize_char deserialize_identifier }
    elements! {
        deserialize_any => deserialize_any
        deserialize_ignored_any => deserialize_ignored_any
        deserialize_str => deserialize_str
        deserialize_string => deserialize_str
        deserialize_bytes => deserialize_bytes
        deserialize_byte_buf => deserialize_bytes
        deserialize_option => deserialize_option
        deserialize_seq => deserialize_seq
        deserialize_map => deserialize_map
    }

    #[inline(always)]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.visitor::<_, FIELDS>(UnitForms(visitor));
        self.inner.deserialize_any(visitor)
    }

    #[inline(always)]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_unit(visitor)
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.visitor::<V, FIELDS>(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    #[inline(always)]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.charge::<V::Value, D::Error>()?;
        let visitor = self.visitor::<V, FIELDS>(visitor);
        self.inner.deserialize_tuple(len, visitor)
    }

    #[inline(always)]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.charge::<V::Value, D::Error>()?;
        let visitor = self.visitor::<V, FIELDS>(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.charge::<V::Value, D::Error>()?;
        if fields.is_empty() {
            let visitor = self.visitor::<_, FIELDS>(EmptyForms(visitor));
            return self.inner.deserialize_any(visitor);
        }
        let visitor = self.visitor::<V, FIELDS>(visitor);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    #[inline(always)]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.charge::<V::Value, D::Error>()?;
        let visitor = self.visitor::<V, FIELDS>(visitor);
        self.inner.deserialize_enum(name, variants, visitor)
    }

    #[inline(always)]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

struct BoundedVisitor<'b, V, const PARTS: bool> {
    inner: V,
    budget: &'b Budget,
    charged: usize,
}

macro_rules! plain_values {
    ($($method:ident($type:ty))*) => {$(
        #[inline(always)]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

macro_rules! sized_values {
    ($($method:ident($type:ty))*) => {$(
        #[inline(always)]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.budget.memory(value.len())?;
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>, const PARTS: bool> Visitor<'de> for BoundedVisitor<'_, V, PARTS> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    plain_values! {
        visit_bool(bool) visit_char(char) visit_f32(f32) visit_f64(f64)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
        visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
    }
    sized_values! {
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    #[inline(always)]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline(always)]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline(always)]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let Self { inner: visitor, budget, charged } = self;
        let _level = budget.wrapped()?;
        visitor.visit_some(Bounded::new(inner, budget, charged))
    }

    #[inline(always)]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let Self { inner: visitor, budget, charged } = self;
        let _level = budget.wrapped()?;
        visitor.visit_newtype_struct(Bounded::new(inner, budget, charged))
    }

    #[inline(always)]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { inner: visitor, budget, .. } = self;
        let _level = budget.nested()?;
        visitor.visit_seq(BoundedAccess::<A, PARTS> { inner, budget, entries: 1 })
    }

    #[inline(always)]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { inner: visitor, budget, .. } = self;
        let _level = budget.nested()?;
        visitor.visit_map(BoundedAccess::<A, PARTS> { inner, budget, entries: FIRST_ENTRY_COST })
    }

    #[inline(always)]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { inner: visitor, budget, .. } = self;
        let _level = budget.nested()?;
        visitor.visit_enum(BoundedAccess::<A, FIELDS> { inner, budget, entries: 1 })
    }
}

struct BoundedAccess<'b, A, const PARTS: bool> {
    inner: A,
    budget: &'b Budget,
    /// The cost of a map's next entry, in entries.
    entries: usize,
}

impl<'de, A: SeqAccess<'de>, const PARTS: bool> SeqAccess<'de> for BoundedAccess<'_, A, PARTS> {
    type Error = A::Error;

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let budget = self.budget;
        // Charged in advance: examining the element afterwards would copy it.
        if PARTS && self.inner.size_hint() != Some(0) {
            budget.element(size_of::<T::Value>())?;
        }
        self.inner.next_element_seed(BoundedSeed { inner: seed, budget })
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        self.budget.plausible(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>, const PARTS: bool> MapAccess<'de> for BoundedAccess<'_, A, PARTS> {
    type Error = A::Error;

    #[inline(always)]
    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let budget = self.budget;
        if PARTS && self.inner.size_hint() != Some(0) {
            budget.element(size_of::<T::Value>() * self.entries)?;
        }
        if PARTS {
            self.inner.next_key_seed(BoundedSeed { inner: TextKey(seed), budget })
        } else {
            self.inner.next_key_seed(BoundedSeed { inner: seed, budget })
        }
    }

    #[inline(always)]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let budget = self.budget;
        if PARTS {
            budget.memory(size_of::<T::Value>() * self.entries)?;
            self.entries = 1;
        }
        self.inner.next_value_seed(BoundedSeed { inner: seed, budget })
    }

    #[inline(always)]
    fn size_hint(&self) -> Option<usize> {
        self.budget.plausible(self.inner.size_hint())
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for BoundedAccess<'b, A, FIELDS> {
    type Error = A::Error;
    type Variant = BoundedAccess<'b, A::Variant, FIELDS>;

    #[inline(always)]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let budget = self.budget;
        let (variant, inner) = self.inner.variant_seed(BoundedSeed { inner: seed, budget })?;
        Ok((variant, BoundedAccess { inner, budget, entries: 1 }))
    }
}

impl<'de, 'b, A: VariantAccess<'de>> BoundedAccess<'b, A, FIELDS> {
    /// Returns the visitor of a variant's parts, which lie within the enum that has been charged.
    #[inline(always)]
    fn parts<V: Visitor<'de>>(budget: &'b Budget, inner: V) -> BoundedVisitor<'b, V, FIELDS> {
        BoundedVisitor { inner, budget, charged: size_of::<V::Value>() }
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for BoundedAccess<'_, A, FIELDS> {
    type Error = A::Error;

    #[inline(always)]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline(always)]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.newtype_variant_seed(BoundedSeed { inner: seed, budget: self.budget })
    }

    #[inline(always)]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Self::parts(self.budget, visitor))
    }

    #[inline(always)]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Self::parts(self.budget, visitor))
    }
}

struct BoundedSeed<'b, S> {
    inner: S,
    budget: &'b Budget,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for BoundedSeed<'_, S> {
    type Value = S::Value;

    #[inline(always)]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Bounded::new(inner, self.budget, size_of::<S::Value>()))
    }
}
