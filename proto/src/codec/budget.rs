//! What decoding one message may cost, and the account of what it has cost so far.

use std::cell::Cell;

use serde::de::Error;

use crate::limits::Limits;

/// What decoding one message may cost, whatever its type and whatever its bytes claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Memory of the decoded value, in bytes. While a list grows, up to three times as much may be in use.
    ///
    /// Types that serde buffers (untagged and internally tagged enums, `flatten`) are charged for what is buffered.
    pub bytes: usize,
    /// Lists, maps, structs and variants inside each other, as the JSON of the message would show them.
    pub nesting: u32,
    /// Elements of lists and entries of maps, all together.
    pub values: usize,
    /// Elements and entries allowed on top for each byte of input: 1 for typed messages, else 0.
    pub values_per_byte: usize,
}

impl DecodeLimits {
    /// The limits of a message that is decoded into a Rust type.
    pub fn typed(limits: &Limits) -> Self {
        Self { values_per_byte: 1, ..Self::untyped(limits) }
    }

    /// The limits of a message that is decoded into a dynamic value, whose every element takes memory of its own.
    pub fn untyped(limits: &Limits) -> Self {
        Self {
            bytes: limits.message_bytes.saturating_mul(limits.decoded_factor),
            nesting: limits.nesting,
            values: limits.values,
            values_per_byte: 0,
        }
    }

    /// The limits of the protocol's own words, of which `input` bytes have come: each may turn into so many bytes of memory, and
    /// the shortest may take some besides.
    pub(super) fn of_words(input: usize, bytes_per_byte: usize, nesting: u32) -> Self {
        const BYTES_AT_LEAST: usize = 4 << 10;
        let bytes = input.saturating_mul(bytes_per_byte).saturating_add(BYTES_AT_LEAST);
        Self { bytes, nesting, values: input, values_per_byte: 0 }
    }
}

impl From<&Limits> for DecodeLimits {
    fn from(limits: &Limits) -> Self {
        Self::typed(limits)
    }
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self::typed(&Limits::default())
    }
}

/// Options and newtypes that may surround one level of nesting: they are no level of JSON, but they take stack.
const WRAPPERS_PER_LEVEL: u32 = 4;

/// What the first entry of a map costs, in entries: a tree's node has room for so many, and a table begins with four.
pub(super) const LEAST_ENTRIES: usize = 11;

/// What one decoding may still cost.
pub(super) struct Budget {
    bytes: Cell<usize>,
    /// Elements that the input may still announce: each that is true takes a byte of it.
    announced: Cell<usize>,
    values: Cell<usize>,
    nesting: Cell<u32>,
    wrappers: Cell<u32>,
}

impl Budget {
    /// The whole of `limits`, for an input of `input` bytes.
    #[inline]
    pub(super) fn new(limits: &DecodeLimits, input: usize) -> Self {
        let extra = input.saturating_mul(limits.values_per_byte);
        Self {
            bytes: Cell::new(limits.bytes),
            announced: Cell::new(input),
            values: Cell::new(limits.values.saturating_add(extra)),
            nesting: Cell::new(limits.nesting),
            wrappers: Cell::new(limits.nesting.saturating_mul(WRAPPERS_PER_LEVEL)),
        }
    }

    /// Charges `bytes` of memory.
    #[inline(always)]
    pub(super) fn memory<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.bytes.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes.set(left);
                Ok(())
            }
            None => Err(too_large()),
        }
    }

    /// Charges one element or entry of `bytes`.
    #[inline(always)]
    pub(super) fn element<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.values.get().checked_sub(1) {
            Some(left) => self.values.set(left),
            None => return Err(too_many()),
        }
        self.memory(bytes)
    }

    /// Goes one level deeper, until the guard is dropped.
    #[inline(always)]
    pub(super) fn nested<E: Error>(&self) -> Result<Level<'_>, E> {
        Level::take(&self.nesting)
    }

    /// Goes into an option or a newtype, until the guard is dropped.
    #[inline(always)]
    pub(super) fn wrapped<E: Error>(&self) -> Result<Level<'_>, E> {
        Level::take(&self.wrappers)
    }

    /// The part of a length claimed by the input that may still come true, for which memory may be reserved. All such
    /// parts together are no more elements than the input has bytes, however many lengths it forges.
    #[inline(always)]
    pub(super) fn believable(&self, claimed: Option<usize>) -> Option<usize> {
        claimed.map(|claimed| {
            let announced = self.announced.get();
            let believed = claimed.min(announced).min(self.values.get());
            self.announced.set(announced - believed);
            believed
        })
    }
}

/// A level of nesting that is given back when it ends.
pub(super) struct Level<'b>(&'b Cell<u32>);

impl<'b> Level<'b> {
    #[inline(always)]
    fn take<E: Error>(levels: &'b Cell<u32>) -> Result<Self, E> {
        match levels.get().checked_sub(1) {
            Some(left) => {
                levels.set(left);
                Ok(Self(levels))
            }
            None => Err(too_deep()),
        }
    }
}

impl Drop for Level<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[cold]
fn too_large<E: Error>() -> E {
    E::custom("takes more memory than a message may")
}

#[cold]
fn too_many<E: Error>() -> E {
    E::custom("has more elements than a message may")
}

#[cold]
fn too_deep<E: Error>() -> E {
    E::custom("is nested deeper than a message may be")
}
