//! Reads the fields of structs and variants: in bincode by their order, in readable formats by name.

use std::any::type_name;

use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, Visitor};

use super::parts::parts;
use super::reader::Reader;
use super::state::{Format, ReflectionState, VariantIndex};
use super::{FieldFault, ReadingStopped};
use crate::codec::shape::Shape;

/// Lets a struct or variant read its fields.
pub(super) fn fields<'de, V: Visitor<'de>>(
    state: &mut ReflectionState,
    place: VariantIndex,
    names: &'static [&'static str],
    shapes: &mut Vec<Shape>,
    visitor: V,
) -> Result<V::Value, ReadingStopped> {
    match state.format {
        Format::Bincode => parts(state, shapes, names.len(), |fields| visitor.visit_seq(fields)),
        Format::Readable => named_fields(state, place, names, shapes, visitor),
    }
}

/// Provides fields by name, and records which names are aliases and, when fields are left out, which are required.
fn named_fields<'de, V: Visitor<'de>>(
    state: &mut ReflectionState,
    place: VariantIndex,
    names: &'static [&'static str],
    shapes: &mut Vec<Shape>,
    visitor: V,
) -> Result<V::Value, ReadingStopped> {
    state.step()?;
    state.visit(place);
    shapes.resize(names.len(), Shape::Unseen);
    let known = if state.sparse == Some(place) { &state.required } else { &state.aliases };
    let known = known.get(&place).map(Vec::as_slice).unwrap_or_default();
    let sparse = state.sparse == Some(place);
    let given: Vec<usize> =
        (0..names.len()).filter(|field| known.contains(&names[*field]) == sparse).collect();
    let mut given_now = 0;
    let result = state.wrapped(|state| {
        visitor.visit_map(NamedFields { state, names, shapes, given: &given, given_now: &mut given_now })
    });
    match result.as_ref().err().and_then(|stopped| stopped.field) {
        Some(FieldFault::Missing(field)) if sparse && names.contains(&field) => {
            state.required.entry(place).or_default().push(field);
            state.excused = true;
        }
        Some(FieldFault::Duplicate(field)) if given_now >= 2 => {
            // Serde lists the names of one field side by side.
            let (before, last) = (names[given[given_now - 2]], names[given[given_now - 1]]);
            state.aliases.entry(place).or_default().push(if last == field { before } else { last });
            state.excused = true;
        }
        _ => {}
    }
    state.learned(result)
}

struct NamedFields<'a> {
    state: &'a mut ReflectionState,
    names: &'static [&'static str],
    shapes: &'a mut Vec<Shape>,
    /// The fields to provide, as indices of `names`.
    given: &'a [usize],
    /// The number of fields provided so far.
    given_now: &'a mut usize,
}

impl<'de> MapAccess<'de> for NamedFields<'_> {
    type Error = ReadingStopped;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ReadingStopped> {
        let Some(field) = self.given.get(*self.given_now) else { return Ok(None) };
        *self.given_now += 1;
        seed.deserialize(IntoDeserializer::<ReadingStopped>::into_deserializer(self.names[*field])).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadingStopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        if let Some(field) = self.given.get(self.given_now.wrapping_sub(1)) {
            self.shapes[*field] = seen;
        }
        self.state.learned(result)
    }
}
