//! Where the encoder writes: a slice for small values, and a buffer that grows for all others.

use std::mem::take;

use serde::ser::Error;

use super::layout::{LARGEST_IN_ONE_BYTE, U16_FOLLOWS, U32_FOLLOWS, U64_FOLLOWS};
use crate::codec::output::Output;

/// The reason why a value was not written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no room for it.
    Full,
    /// It has no faithful form, or its own `Serialize` failed. Boxed, so that a result fits into two registers.
    Problem(Box<Problem>),
}

/// The problem with a value.
#[derive(Debug)]
pub(super) struct Problem(pub(super) String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("there is no room for it"),
            Self::Problem(problem) => f.write_str(&problem.0),
        }
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    #[cold]
    fn custom<T: std::fmt::Display>(problem: T) -> Self {
        Self::Problem(Box::new(Problem(problem.to_string())))
    }
}

/// A place to write to.
pub(super) trait Sink {
    /// Appends `bytes`, whose number the compiler knows.
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Refusal>;

    /// Appends an integer of up to 64 bits.
    fn put_integer(&mut self, integer: u64) -> Result<(), Refusal>;

    /// Appends `bytes`.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal>;
}

/// The rest of a slice.
impl Sink for &mut [u8] {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Refusal> {
        let (next, rest) = take(self).split_first_chunk_mut().ok_or(Refusal::Full)?;
        *next = bytes;
        *self = rest;
        Ok(())
    }

    /// Needs room for the longest integer, so that there is one check, and little enough code to be inlined. Without that
    /// room the value is encoded again, into a buffer that grows.
    #[inline(always)]
    fn put_integer(&mut self, integer: u64) -> Result<(), Refusal> {
        let room = take(self);
        let [first, next @ ..] = room.first_chunk_mut::<9>().ok_or(Refusal::Full)?;
        let length = if integer <= LARGEST_IN_ONE_BYTE.into() {
            *first = integer as u8;
            1
        } else {
            let length;
            (*first, length) = if integer <= u16::MAX.into() {
                (U16_FOLLOWS, 3)
            } else if integer <= u32::MAX.into() {
                (U32_FOLLOWS, 5)
            } else {
                (U64_FOLLOWS, 9)
            };
            *next = integer.to_le_bytes();
            length
        };
        *self = &mut room[length..];
        Ok(())
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let (next, rest) = take(self).split_at_mut_checked(bytes.len()).ok_or(Refusal::Full)?;
        next.copy_from_slice(bytes);
        *self = rest;
        Ok(())
    }
}

impl Sink for Output<'_> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Refusal> {
        self.write(&bytes)
    }

    #[inline(always)]
    fn put_integer(&mut self, integer: u64) -> Result<(), Refusal> {
        let is_added = if integer <= LARGEST_IN_ONE_BYTE.into() {
            self.add(&[integer as u8])
        } else if integer <= u16::MAX.into() {
            self.add_marked(U16_FOLLOWS, (integer as u16).to_le_bytes())
        } else if integer <= u32::MAX.into() {
            self.add_marked(U32_FOLLOWS, (integer as u32).to_le_bytes())
        } else {
            self.add_marked(U64_FOLLOWS, integer.to_le_bytes())
        };
        if is_added { Ok(()) } else { Err(Refusal::Full) }
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.add(bytes) { Ok(()) } else { Err(Refusal::Full) }
    }
}
