//! Reads what lies side by side: elements of lists, tuples and maps.

use std::any::type_name;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::Stopped;
use super::reader::Reader;
use super::state::State;
use crate::codec::shape::Shape;

/// Lets `visit` read up to `length` parts or entries, and notes their shapes.
pub(super) fn parts<T>(
    state: &mut State,
    shapes: &mut Vec<Shape>,
    length: usize,
    visit: impl FnOnce(Parts<'_>) -> Result<T, Stopped>,
) -> Result<T, Stopped> {
    state.step()?;
    let result = state.wrapped(|state| visit(Parts { state, shapes, left: length }));
    state.learned(result)
}

/// Parts to be read.
pub(super) struct Parts<'a> {
    state: &'a mut State,
    shapes: &'a mut Vec<Shape>,
    left: usize,
}

impl Parts<'_> {
    fn part<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stopped> {
        let mut seen = Shape::Unseen;
        let result = seed.deserialize(Reader::new(self.state, &mut seen, type_name::<S::Value>()));
        self.shapes.push(seen);
        self.state.learned(result)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Stopped;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stopped> {
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

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Stopped;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stopped> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stopped> {
        self.part(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
