//! Parts of `meshzero_actors::runtime` over shuttle's locks and atomics.

/// The stand-in for `meshzero_actors::runtime::sync`.
pub(crate) mod sync {
    use std::sync::PoisonError;

    pub(crate) use shuttle::sync::{Arc, MutexGuard, atomic};

    /// A mutex like `parking_lot`'s, without poisoning.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[path = "../../../actors/src/runtime/semaphore.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
pub(crate) mod semaphore;

#[path = "../../../actors/src/runtime/rare.rs"]
#[allow(dead_code, reason = "the library uses more of it than is checked here")]
pub(crate) mod rare;
