//! The limits on decoding one message, and the account of its cost so far.

use std::cell::Cell;

use serde::de::Error;

use crate::limits::Limits;

/// The limits on decoding one message, whatever its type and whatever its bytes claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The memory of the decoded value, in bytes. While a list grows, up to three times as much may be in use.
    ///
    /// Types that serde buffers (untagged and internally tagged enums, `flatten`) are charged for the buffered data.
    pub bytes: usize,
    /// The depth of lists, maps, structs and variants inside each other, as in the JSON of the message.
    pub nesting: u32,
    /// The total number of elements of lists and entries of maps.
    pub values: usize,
    /// The number of additional elements and entries for each byte of input: 1 for typed messages, else 0.
    pub values_per_byte: usize,
}

impl DecodeLimits {
    /// Returns the limits of a message that is decoded into a Rust type.
    pub fn typed(limits: &Limits) -> Self {
        Self { values_per_byte: 1, ..Self::untyped(limits) }
    }

    /// Returns the limits of a message that is decoded into a dynamic value, whose every element takes memory of its own.
    pub fn untyped(limits: &Limits) -> Self {
        Self {
            bytes: limits.message_bytes.saturating_mul(limits.decoded_factor),
            nesting: limits.nesting,
            values: limits.values,
            values_per_byte: 0,
        }
    }

    /// Returns the limits of a control message of the protocol itself with `input` bytes: each byte may become `bytes_per_byte`
    /// bytes of memory, and the shortest message may take some more.
    pub(super) fn for_control(input: usize, bytes_per_byte: usize, nesting: u32) -> Self {
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

/// The number of options and newtypes allowed for each level of nesting: they are not a level of JSON, but they take stack.
const WRAPPERS_PER_LEVEL: u32 = 4;

/// The cost of a map's first entry, in entries: a node of a `BTreeMap` has room for this many, and a `HashMap` begins with four.
pub(super) const FIRST_ENTRY_COST: usize = 11;

/// The remaining budget of one decoding.
pub(super) struct Budget {
    bytes: Cell<usize>,
    /// The number of elements for which memory may still be reserved: each takes at least one byte of input.
    reservable: Cell<usize>,
    values: Cell<usize>,
    nesting: Cell<u32>,
    wrappers: Cell<u32>,
}

impl Budget {
    /// Creates the full budget of `limits`, for an input of `input` bytes.
    #[inline]
    pub(super) fn new(limits: &DecodeLimits, input: usize) -> Self {
        let extra = input.saturating_mul(limits.values_per_byte);
        Self {
            bytes: Cell::new(limits.bytes),
            reservable: Cell::new(input),
            values: Cell::new(limits.values.saturating_add(extra)),
            nesting: Cell::new(limits.nesting),
            wrappers: Cell::new(limits.nesting.saturating_mul(WRAPPERS_PER_LEVEL)),
        }
    }

    /// Charges `bytes` of memory.
    #[inline(always)]
    pub(super) fn memory<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.bytes.get().checked_sub(bytes) {
            Some(remaining) => {
                self.bytes.set(remaining);
                Ok(())
            }
            None => Err(too_large()),
        }
    }

    /// Charges one element or entry of `bytes`.
    #[inline(always)]
    pub(super) fn element<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.values.get().checked_sub(1) {
            Some(remaining) => self.values.set(remaining),
            None => return Err(too_many()),
        }
        self.memory(bytes)
    }

    /// Enters a level of nesting, until the guard is dropped.
    #[inline(always)]
    pub(super) fn nested<E: Error>(&self) -> Result<Level<'_>, E> {
        Level::take(&self.nesting)
    }

    /// Enters an option or a newtype, until the guard is dropped.
    #[inline(always)]
    pub(super) fn wrapped<E: Error>(&self) -> Result<Level<'_>, E> {
        Level::take(&self.wrappers)
    }

    /// Enters a level of nesting, until [`leave_nested`](Self::leave_nested).
    #[inline(always)]
    pub(super) fn enter_nested<E: Error>(&self) -> Result<(), E> {
        take_level(&self.nesting)
    }

    /// Leaves a level of nesting.
    #[inline(always)]
    pub(super) fn leave_nested(&self) {
        return_level(&self.nesting);
    }

    /// Enters an option or a newtype, until [`leave_wrapped`](Self::leave_wrapped).
    #[inline(always)]
    pub(super) fn enter_wrapped<E: Error>(&self) -> Result<(), E> {
        take_level(&self.wrappers)
    }

    /// Leaves an option or a newtype.
    #[inline(always)]
    pub(super) fn leave_wrapped(&self) {
        return_level(&self.wrappers);
    }

    /// Returns the part of a claimed length for which memory may be reserved. All such parts together are no more elements than
    /// the input has bytes, however many lengths it forges.
    #[inline(always)]
    pub(super) fn plausible(&self, claimed: Option<usize>) -> Option<usize> {
        claimed.map(|claimed| {
            let reservable = self.reservable.get();
            let plausible_length = claimed.min(reservable).min(self.values.get());
            self.reservable.set(reservable - plausible_length);
            plausible_length
        })
    }
}

/// A level of nesting that is returned when it is dropped.
pub(super) struct Level<'b>(&'b Cell<u32>);

impl<'b> Level<'b> {
    #[inline(always)]
    fn take<E: Error>(levels: &'b Cell<u32>) -> Result<Self, E> {
        take_level(levels)?;
        Ok(Self(levels))
    }
}

impl Drop for Level<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        return_level(self.0);
    }
}

#[inline(always)]
fn take_level<E: Error>(levels: &Cell<u32>) -> Result<(), E> {
    match levels.get().checked_sub(1) {
        Some(remaining) => {
            levels.set(remaining);
            Ok(())
        }
        None => Err(too_deep()),
    }
}

#[inline(always)]
fn return_level(levels: &Cell<u32>) {
    levels.set(levels.get() + 1);
}

#[cold]
fn too_large<E: Error>() -> E {
    E::custom("takes more memory than the limit of a message")
}

#[cold]
fn too_many<E: Error>() -> E {
    E::custom("has more elements than the limit of a message")
}

#[cold]
fn too_deep<E: Error>() -> E {
    E::custom("is nested deeper than the limit of a message")
}
