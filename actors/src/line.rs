//! A line: those who wait for the same thing, served in the order in which they came.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// Those who wait.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// How many wait or have their turn: nobody may overtake them.
    waiting: AtomicUsize,
    front: Mutex<()>,
}

/// The turn of the one at the front, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _front: MutexGuard<'a, ()>,
    _waiting: Waiting<'a>,
}

#[derive(Debug)]
struct Waiting<'a>(&'a Line);

impl Line {
    /// Whether somebody waits or has their turn.
    #[inline(always)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Waits behind those who came before. Whoever polls this must go on doing so: those behind depend on it.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(self);
        Turn { _front: self.front.lock().await, _waiting: waiting }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
