//! A line: those who wait for the same thing, served in the order in which they came.

use tokio::sync::{Mutex, MutexGuard};

use crate::sync::atomic::{AtomicUsize, Ordering};

/// Those who wait.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The number of those who wait or have their turn: nobody may overtake them. Every access is in one order with those to what
    /// is waited for, so that whoever gives that back sees who waits, or is seen by them.
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
    /// Returns whether somebody waits or has their turn, or the line is closed.
    #[inline(always)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.count() > 0
    }

    /// The number of those who wait or have their turn, and one more if the line is closed.
    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Lets the line be awaited from now on, also when nobody waits. To be called once.
    pub(crate) fn close(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits behind those who came before. Whoever polls this must go on doing so: those behind depend on it.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Waiting(self);
        Turn { _front: self.front.lock().await, _waiting: waiting }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
