//! Handling of forks and of the end of the process. The package registers these with the interpreter.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use meshzero::zero::{self, fork};
use pyo3::prelude::*;

use crate::awaitable::{self, Slot};
use crate::wait;

/// Set once the package has registered the functions below with the interpreter, which it does once, even if it is loaded again.
static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

/// Returns true for the first call, after which the package registers the functions below.
#[pyfunction]
pub(crate) fn is_first() -> bool {
    !IS_REGISTERED.swap(true, Ordering::Relaxed)
}

/// The number of forks between this process and the one that loaded the extension.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A value that belongs to the process that created it. A forked child neither uses nor drops an inherited one, because both could
/// wait for threads that do not exist in the child.
pub(crate) struct ForkGuarded<T> {
    value: Option<T>,
    forks: u64,
}

impl<T> ForkGuarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), forks: FORKS.load(Ordering::Relaxed) }
    }

    /// Returns the value; `None` if it belongs to another process.
    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_here() { self.value.as_ref() } else { None }
    }

    /// Takes the value; `None` if it belongs to another process.
    pub(crate) fn take(mut self) -> Option<T> {
        if self.is_here() { self.value.take() } else { None }
    }

    fn is_here(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }
}

impl<T> Drop for ForkGuarded<T> {
    fn drop(&mut self) {
        if !self.is_here() {
            std::mem::forget(self.value.take());
        }
    }
}

thread_local! {
    static HELD: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Prevents other threads from joining, leaving, or starting the thread for asyncio while this one forks.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    py.detach(fork::before);
    // No thread holds it for longer than it takes to start a thread.
    HELD.set(Some(awaitable::slot()));
}

/// Continues in the parent.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    fork::in_parent();
    HELD.take();
}

/// Forgets the parent's node in the child, whose first verb joins with a node of its own.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    fork::in_child();
    FORKS.fetch_add(1, Ordering::Relaxed);
    wait::forget_thread();
    if let Some(mut slot) = HELD.take() {
        // Its thread does not exist here, so there is nothing to stop.
        std::mem::forget(slot.take());
    }
}

/// Closes like `close`, when the interpreter is about to end: waiting threads stay where they are.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) {
    wait::end();
    py.detach(zero::close);
}

/// Leaves the mesh, so that others see at once that this program's services are gone.
#[pyfunction]
pub(crate) fn close(py: Python<'_>) {
    py.detach(zero::close);
}
