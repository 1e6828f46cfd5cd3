//! Where the encoder writes: a slice for small values, and a buffer that grows for all others.

use std::mem::take;

use serde::ser::Error;

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
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.add(bytes) { Ok(()) } else { Err(Refusal::Full) }
    }
}
