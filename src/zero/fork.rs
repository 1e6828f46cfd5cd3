//! What becomes of the verbs in a process that forks, which the runtimes of some languages do.
//!
//! A forked child has the memory of its parent and none of its threads, so the node in it is dead. The child starts
//! afresh: its first verb joins the mesh with a node of its own. What it has inherited is neither used nor closed, because
//! the parent goes on with it; sockets of the parent stay open as long as one of the two has them.
//!
//! Whoever forks calls [`before`], and then [`in_parent`] or [`in_child`], on the same thread.

use std::cell::RefCell;

use super::global::{self, Slot};
use super::thread_state;

thread_local! {
    static HELD: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

/// Makes sure that no other thread is about to join or to leave while this one forks.
pub fn before() {
    let slot = global::slot();
    // A thread that is past its end does not fork.
    let _ = HELD.try_with(|held| held.replace(Some(slot)));
}

/// Goes on as before.
pub fn in_parent() {
    let _ = HELD.try_with(RefCell::take);
}

/// Forgets the parent's node.
pub fn in_child() {
    if let Ok(Some(mut slot)) = HELD.try_with(RefCell::take) {
        thread_state::forget();
        // Dropping it would say goodbye in the parent's name, and wait for threads that do not exist.
        std::mem::forget(slot.take());
    }
}
