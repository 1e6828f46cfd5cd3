//! Parts of `meshzero_actors::runtime` over shuttle's locks and atomics.

/// The stand-in for `meshzero_actors::runtime::sync`.
pub(crate) mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, atomic};
}

#[path = "../../../actors/src/runtime/semaphore.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
pub(crate) mod semaphore;
