//! Locks and atomics for state that threads share. Files that are tested under every interleaving import them from here,
//! where the tests replace them: see `tests/interleavings`.

pub(crate) use std::sync::{Arc, atomic};

pub(crate) use parking_lot::{Mutex, MutexGuard};
