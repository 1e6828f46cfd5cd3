//! Waking of tasks on any executor: a waker that panics does not prevent others from being woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::runtime::events;

/// Wakes all, even if one of the wakers panics. Must not be called under a lock.
#[inline(always)]
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut wakers = wakers.into_iter();
    // Usually there are none.
    if let Some(first) = wakers.next() {
        wake_some(first, wakers);
    }
}

#[inline(never)]
fn wake_some(first: Waker, others: impl Iterator<Item = Waker>) {
    wake(first);
    others.for_each(wake);
}

/// Wakes one task. Must not be called under a lock.
#[inline]
pub(crate) fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        events::record(|| tracing::error!("the waker of a task panicked"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            // Without the panic hook, because this is no failure of the test.
            std::panic::resume_unwind(Box::new("a waker"));
        }
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waker_that_panics_does_not_prevent_others_from_being_woken() {
        let woken = Arc::<Woken>::default();
        wake_all([Waker::from(Arc::new(Panics)), Waker::from(Arc::clone(&woken))]);
        assert!(woken.0.load(Ordering::Relaxed));
    }
}
