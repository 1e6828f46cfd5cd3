//! A deserialiser that requests values like bincode, returns probe values, and records the requests.

use std::any::type_name;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Visitor};

use super::ReadingStopped;
use super::fields::fields;
use super::parts::parts;
use super::probe::ProbeKind;
use super::state::{Format, OpenType, ReflectionState};
use super::tape::Token;
use super::variant::read_enum;
use crate::codec::shape::{Definition, Fields, Leaf, Shape};

/// One value to be read.
pub(super) struct Reader<'a> {
    state: &'a mut ReflectionState,
    seen: &'a mut Shape,
    /// The type that holds the value.
    holder: &'static str,
}

impl<'a> Reader<'a> {
    /// Creates the reader of a value held by the type `holder`, which records its shape in `seen`.
    pub(super) fn new(state: &'a mut ReflectionState, seen: &'a mut Shape, holder: &'static str) -> Self {
        Self { state, seen, holder }
    }

    fn place<V>(&self) -> (&'static str, &'static str) {
        (self.holder, type_name::<V>())
    }

    fn leaf(&mut self, leaf: Leaf) -> Result<(), ReadingStopped> {
        self.state.step()?;
        *self.seen = Shape::Leaf(leaf);
        if leaf != Leaf::Unit {
            self.state.tape.push(Token::Leaf(leaf));
        }
        Ok(())
    }

    /// Answers a type that accepts any value. Bincode cannot; other formats may send any of these.
    fn anything<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
        *self.seen = Shape::Any;
        self.state.step()?;
        if self.state.format == Format::Bincode {
            let reason =
                "it reads what only a self-describing format can tell (untagged, tagged, flattened, dynamic)";
            return Err(self.state.give_up(reason));
        }
        let place = (self.holder, type_name::<V::Value>());
        let result = match self.state.probes.kind(place) {
            ProbeKind::Unit => visitor.visit_unit(),
            ProbeKind::Text => visitor.visit_str(""),
            ProbeKind::Number => visitor.visit_u64(0),
            ProbeKind::Truth => visitor.visit_bool(false),
            ProbeKind::Map => visitor.visit_map(MapDeserializer::new(std::iter::empty::<((), ())>())),
            ProbeKind::List => visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<()>())),
        };
        self.state.learned(result)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $leaf:ident)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
            self.leaf(Leaf::$leaf)?;
            let number = self.state.probes.number(self.place::<V::Value>());
            let result = visitor.$visit(<$type>::from(number));
            self.state.learned(result)
        }
    )*};
}

macro_rules! anything {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
            self.anything(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadingStopped;

    fn is_human_readable(&self) -> bool {
        self.state.format == Format::Readable
    }

    anything! { deserialize_any deserialize_identifier deserialize_ignored_any }

    numbers! {
        deserialize_u8 visit_u8 u8, U8 deserialize_u16 visit_u16 u16, U16
        deserialize_u32 visit_u32 u32, U32 deserialize_u64 visit_u64 u64, U64
        deserialize_u128 visit_u128 u128, U128
        deserialize_i16 visit_i16 i16, I16 deserialize_i32 visit_i32 i32, I32
        deserialize_i64 visit_i64 i64, I64 deserialize_i128 visit_i128 i128, I128
        deserialize_f32 visit_f32 f32, F32 deserialize_f64 visit_f64 f64, F64
    }

    fn deserialize_i8<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.leaf(Leaf::I8)?;
        let number = self.state.probes.number(self.place::<V::Value>());
        // Probe numbers are at most 100.
        let result = visitor.visit_i8(i8::try_from(number).unwrap_or(0));
        self.state.learned(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.leaf(Leaf::Bool)?;
        let truth = self.state.probes.truth(self.place::<V::Value>());
        let result = visitor.visit_bool(truth);
        self.state.learned(result)
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.leaf(Leaf::Char)?;
        let character = self.state.probes.character(self.place::<V::Value>());
        let result = visitor.visit_char(character);
        self.state.learned(result)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.leaf(Leaf::Text)?;
        let text = self.state.probes.text(self.place::<V::Value>());
        let result = visitor.visit_string(text.to_owned());
        self.state.learned(result)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.leaf(Leaf::Bytes)?;
        let bytes = self.state.probes.bytes(self.place::<V::Value>(), size_of::<V::Value>());
        let result = visitor.visit_byte_buf(bytes);
        self.state.learned(result)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ReadingStopped> {
        self.leaf(Leaf::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
        let Self { state, seen, holder } = self;
        state.step()?;
        let mut inner = Shape::Unseen;
        let result = if state.length() == 0 {
            state.tape.push(Token::None);
            visitor.visit_none()
        } else {
            state.tape.push(Token::Some);
            state.wrapped(|state| visitor.visit_some(Reader::new(state, &mut inner, holder)))
        };
        *seen = Shape::Option(Box::new(inner));
        result
    }

    /// Bincode writes a newtype as its content; a type that checks the content gets probes of its own.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        let Self { state, seen, .. } = self;
        let result = state
            .wrapped(|state| visitor.visit_newtype_struct(Reader::new(state, seen, type_name::<V::Value>())));
        state.learned(result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
        let Self { state, seen, .. } = self;
        let length = state.length();
        state.tape.push(Token::List(length));
        let mut shapes = Vec::new();
        let result = parts(state, &mut shapes, length, |list| visitor.visit_seq(list));
        let mut element = Shape::Unseen;
        let unified = shapes.into_iter().try_for_each(|shape| element.unify(shape));
        *seen = Shape::List(Box::new(element));
        state.agreed(unified)?;
        result
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        let Self { state, seen, .. } = self;
        let mut shapes = Vec::new();
        let result = parts(state, &mut shapes, length, |list| visitor.visit_seq(list));
        // Parts that the type does not request stay unseen: bincode would not skip them.
        shapes.resize(length, Shape::Unseen);
        *seen = Shape::Tuple(shapes);
        result
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadingStopped> {
        let Self { state, seen, .. } = self;
        let length = state.length();
        state.tape.push(Token::Map(length));
        let mut shapes = Vec::new();
        let result = parts(state, &mut shapes, length, |map| visitor.visit_map(map));
        let (mut key, mut value) = (Shape::Unseen, Shape::Unseen);
        let unified = shapes.into_iter().enumerate().try_for_each(|(place, shape)| {
            if place % 2 == 0 { key.unify(shape) } else { value.unify(shape) }
        });
        *seen = Shape::Map(Box::new(key), Box::new(value));
        state.agreed(unified)?;
        result
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        let Self { state, seen, .. } = self;
        let id =
            state.id::<V::Value>(name, names, || Definition::Struct { name, fields: Fields::unseen(names) });
        *seen = Shape::Named(id);
        let mut shapes = Vec::new();
        let open = OpenType { definition: id, forced: None };
        let result = state.within(open, |state| fields(state, (id, 0), names, &mut shapes, visitor));
        if result.is_ok() {
            state.agreed_length((id, 0), shapes.len())?;
        }
        if let Definition::Struct { fields, .. } = &mut state.definitions[id] {
            let unified = fields.unify(shapes);
            state.agreed(unified)?;
        }
        result
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        read_enum(self.state, self.seen, name, names, visitor)
    }
}
