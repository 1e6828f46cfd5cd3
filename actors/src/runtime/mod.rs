//! Executor, timers, shutdown signals and synchronization: independent of the mesh.

pub(crate) mod allocator;
pub mod backoff;
pub mod blocking;
pub(crate) mod clock;
pub(crate) mod control_actor;
pub(crate) mod detached;
pub mod events;
pub mod executor;
pub(crate) mod panic;
pub(crate) mod rare;
pub mod semaphore;
pub(crate) mod shutdown;
pub(crate) mod sync;
pub mod timer;
pub mod waking;
