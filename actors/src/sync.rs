//! What threads share their state by. Files that are checked under every interleaving take it from here, because there it is
//! replaced: see `tests/interleavings`.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, atomic};
