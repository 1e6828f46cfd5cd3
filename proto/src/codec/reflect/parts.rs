//! Reads elements of lists, tuples and maps.

use std::any::type_name;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::ReadingStopped;
use super::reader::Reader;
use super::state::ReflectionState;
use crate::codec::shape::Shape;

/// Lets `visit` read up to `length` parts or entries, and records their shapes.
pub(super) fn parts<T>(
    state: &mut ReflectionState,
    shapes: &mut Vec<Shape>,
    length: usize,
    visit: impl FnOnce(PartList<'_>) -> Result<T, ReadingStopped>,
) -> Result<T, ReadingStopped> {
    state.step()?;
    let result = state.wrapped(|state| visit(PartList { state, shapes, left: length }));
    state.learned(result)
}

/// Parts to be read.
pub(super) struct PartList<'a> {
    state: &'a mut ReflectionState,
    shapes: &'a mut Vec<Shape>,
    left: usize,
}

impl PartList<'_> {
    fn part<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadingStopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        self.shapes.push(seen);
        self.state.learned(result)
    }
}

impl<'de> SeqAccess<'de> for PartList<'_> {
    type Error = ReadingStopped;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ReadingStopped> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.part(seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for PartList<'_> {
    type Error = ReadingStopped;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ReadingStopped> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadingStopped> {
        self.part(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
