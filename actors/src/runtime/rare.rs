//! A value that a struct on a hot path rarely has.

use std::ops::{Deref, DerefMut};

/// An optional value in a box. Its drop is out of line, so that a struct without one is dropped by a test and no call.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    /// No value.
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn some(value: T) -> Self {
        Self(Some(Box::new(value)))
    }
}

impl<T> Deref for Rare<T> {
    type Target = Option<Box<T>>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for Rare<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> Drop for Rare<T> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_value(value);
        }
    }
}

/// Drops a value that rarely exists, out of line.
#[cold]
#[inline(never)]
pub(crate) fn drop_value<T>(value: Box<T>) {
    drop(value);
}
