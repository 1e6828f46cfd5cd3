//! Locks and atomics for state that threads share. Files that are checked under every interleaving import them from here,
//! because there they are replaced: see `tests/interleavings`.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, atomic};
