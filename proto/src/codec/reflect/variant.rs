//! Reads enums: chooses the next variant, and records its content.

use std::any::type_name;

use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};

use super::ReadingStopped;
use super::fields::fields;
use super::parts::parts;
use super::reader::Reader;
use super::state::{Format, OpenType, ReflectionState, VariantIndex};
use super::tape::Token;
use crate::codec::shape::{Content, Definition, Fields, Shape, Variant};

/// Lets an enum read one of its variants.
pub(super) fn read_enum<'de, V: Visitor<'de>>(
    state: &mut ReflectionState,
    seen: &mut Shape,
    name: &'static str,
    names: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, ReadingStopped> {
    state.step()?;
    let id = state.id::<V::Value>(name, names, || {
        let variants = names.iter().map(|name| Variant { name, content: None }).collect();
        Definition::Enum { name, variants }
    });
    *seen = Shape::Named(id);
    if names.is_empty() {
        return Err(state.give_up(format!("the enum `{name}` has no variants")));
    }
    let recursing = state.is_open(id);
    let variant = state.choose_variant(id, recursing);
    // No enum that compiles has more variants than fit in 32 bits.
    let index = u32::try_from(variant).unwrap_or(u32::MAX);
    state.tape.push(Token::Variant(index));
    let open = OpenType { definition: id, forced: recursing.then_some(variant) };
    let mut content = None;
    let mut refused = false;
    let outer_unfinished = std::mem::take(&mut state.unfinished);
    let result = state.within(open, |state| {
        let (content, refused) = (&mut content, &mut refused);
        visitor.visit_enum(VariantReader {
            state,
            place: (id, variant),
            name: names[variant],
            index,
            content,
            refused,
        })
    });
    let whole = result.is_ok();
    let in_full = state.recursions == 0 && !recursing;
    let inner_unfinished = state.unfinished;
    let progress = state.progress((id, variant));
    progress.refused |= refused;
    progress.explored |= whole && in_full && !inner_unfinished;
    state.excused |= refused;
    let unfinished = in_full && (inner_unfinished || state.next_unexplored(id).is_some());
    state.unfinished = outer_unfinished || unfinished;
    if let Some(content) = content {
        if whole {
            state.agreed_length((id, variant), content.parts())?;
        }
        if let Definition::Enum { variants, .. } = &mut state.definitions[id] {
            let unified = match &mut variants[variant].content {
                Some(known) => known.unify(content),
                unseen => {
                    *unseen = Some(content);
                    Ok(())
                }
            };
            state.agreed(unified)?;
        }
    }
    state.learned(result)
}

struct VariantReader<'a> {
    state: &'a mut ReflectionState,
    place: VariantIndex,
    name: &'static str,
    index: u32,
    content: &'a mut Option<Content>,
    refused: &'a mut bool,
}

impl<'de, 'a> EnumAccess<'de> for VariantReader<'a> {
    type Error = ReadingStopped;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), ReadingStopped> {
        let variant = match self.state.format {
            Format::Bincode => {
                seed.deserialize(IntoDeserializer::<ReadingStopped>::into_deserializer(self.index))
            }
            Format::Readable => {
                seed.deserialize(IntoDeserializer::<ReadingStopped>::into_deserializer(self.name))
            }
        };
        match variant {
            Ok(variant) => Ok((variant, self)),
            Err(stopped) => {
                *self.refused = true;
                Err(stopped)
            }
        }
    }
}

impl<'de> VariantAccess<'de> for VariantReader<'_> {
    type Error = ReadingStopped;

    fn unit_variant(self) -> Result<(), ReadingStopped> {
        *self.content = Some(Content::Unit);
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ReadingStopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        *self.content = Some(Content::Newtype(seen));
        result
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ReadingStopped> {
        let mut shapes = Vec::new();
        let result = parts(self.state, &mut shapes, length, |list| visitor.visit_seq(list));
        shapes.resize(length, Shape::Unseen);
        *self.content = Some(Content::Tuple(shapes));
        result
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadingStopped> {
        let mut seen = Fields::unseen(names);
        let result = fields(self.state, self.place, names, &mut seen.shapes, visitor);
        *self.content = Some(Content::Struct(seen));
        result
    }
}
