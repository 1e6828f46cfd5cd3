//! Support for processes that fork, as the runtimes of some languages do.
//!
//! A forked child has the memory of its parent but not its threads, so the inherited node does not run. The child's first verb joins the
//! mesh with a node of its own. The inherited state is neither used nor closed, because the parent still uses it; the parent's sockets
//! stay open as long as either process has them.
//!
//! A program that forks calls [`before`], and then [`in_parent`] or [`in_child`], on the same thread.

use std::cell::RefCell;

use super::global::{self, Slot};
use super::thread_state;

thread_local! {
    static HELD: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Prevents other threads from joining or leaving while this one forks.
pub fn before() {
    let slot = global::slot();
    // A thread that is past its end does not fork.
    let _ = HELD.try_with(|held| held.replace(Some(slot)));
}

/// Continues in the parent.
pub fn in_parent() {
    let _ = HELD.try_with(RefCell::take);
}

/// Forgets the parent's node in the child.
pub fn in_child() {
    if let Ok(Some(mut slot)) = HELD.try_with(RefCell::take) {
        thread_state::forget();
        // Dropping it would leave the mesh in the parent's name, and wait for threads that do not exist.
        std::mem::forget(slot.take());
    }
}
