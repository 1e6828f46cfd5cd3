//! What becomes of the mesh when the process forks and when it ends. The package registers these with the interpreter.

use std::cell::RefCell;

use meshzero::zero::{self, fork};
use pyo3::prelude::*;

use crate::later::{self, Slot};
use crate::wait;

thread_local! {
    static HELD: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// No other thread is about to join, to leave, or to start a thread for asyncio while this one forks.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    py.detach(fork::before);
    // Nobody holds it for longer than it takes to start a thread.
    HELD.set(Some(later::slot()));
}

/// Goes on as before.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    fork::in_parent();
    HELD.take();
}

/// Forgets the parent's node: the child's first verb joins with a node of its own.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    fork::in_child();
    wait::forget_thread();
    if let Some(mut slot) = HELD.take() {
        // Its thread does not exist here, so there is nothing to stop.
        std::mem::forget(slot.take());
    }
}

/// As `close`, when the interpreter is about to end: threads that wait stay where they are.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) {
    wait::end();
    py.detach(zero::close);
}

/// Says goodbye, so that others see at once that what this program advertises is gone.
#[pyfunction]
pub(crate) fn close(py: Python<'_>) {
    py.detach(zero::close);
}
