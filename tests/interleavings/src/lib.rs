//! What several threads share, under interleavings that are chosen and not left to chance.
//!
//! The files are those of the library, compiled once more with shuttle's atomics in the place of the standard library's: at
//! each access the test decides which thread goes on. What can wait for ever is found as a deadlock. The checks are a library,
//! and not tests themselves, because the library's own unit tests would be compiled with them.

/// What takes the place of `meshzero_actors::sync`.
mod sync {
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, atomic};
}

/// What takes the place of `meshzero_actors::stats`, as far as the outbox knows it.
#[allow(dead_code, reason = "the outbox fills it in for others")]
mod stats {
    pub(crate) struct LinkStats {
        pub(crate) node: meshzero_proto::id::NodeId,
        pub(crate) attached: bool,
        pub(crate) resumed: u64,
        pub(crate) written: u64,
        pub(crate) acknowledged: u64,
        pub(crate) waiting: u64,
    }
}

/// What takes the place of `meshzero_actors::traffic`, as far as the outbox knows it.
mod traffic {
    use meshzero_proto::limits::Limits;
    use meshzero_proto::stream::Spares;
    use shuttle::sync::Arc;

    #[derive(Default)]
    pub(crate) struct Carrying {
        pub(crate) limits: Limits,
        pub(crate) meter: Arc<Meter>,
        pub(crate) spares: Spares,
    }

    #[derive(Debug, Default)]
    pub(crate) struct Meter;

    impl Meter {
        pub(crate) fn wrote(&self, _bytes: usize) {}
    }
}

mod connection;

#[path = "../../../actors/src/outbox/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
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
