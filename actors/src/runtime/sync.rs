//! The locks and atomics by which threads share their state. Files that are checked under every interleaving take them from here,
//! because there they are replaced: see `tests/interleavings`.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, atomic};
