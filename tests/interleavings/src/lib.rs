//! What several threads share, under interleavings that are chosen and not left to chance.
//!
//! The files are those of the library, compiled once more with shuttle's atomics in the place of the standard library's: at
//! each access the test decides which thread goes on. What can wait for ever is found as a deadlock. The checks are a library,
//! and not tests themselves, because the library's own unit tests would be compiled with them.

/// What takes the place of `meshzero_actors::runtime::sync`.
mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, atomic};
}

/// What takes the place of `meshzero_actors::telemetry::counters`, as far as the outbox knows it.
mod counts {
    #[derive(Debug, Default)]
    pub(crate) struct Meter;

    impl Meter {
        pub(crate) fn wrote(&self, _bytes: usize) {}
    }
}

mod connection;

#[path = "../../../actors/src/outbox/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the library uses more of it than is checked here"
)]
mod outbox;
#[path = "../../../actors/src/owed.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
mod owed;
#[path = "../../../actors/src/quota.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
mod quota;

#[path = "../../../actors/src/written.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
mod written;

pub mod answers;
pub mod outboxes;
pub mod quotas;
