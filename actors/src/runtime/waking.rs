//! Waking those who wait, whose wakers belong to any executor: one that panics keeps no others from being woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::runtime::events;

/// Wakes all, also those after one whose waker panics. Not to be called under a lock.
#[inline(always)]
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut wakers = wakers.into_iter();
    // Most of the time there are none.
    if let Some(first) = wakers.next() {
        wake_some(first, wakers);
    }
}

#[inline(never)]
fn wake_some(first: Waker, others: impl Iterator<Item = Waker>) {
    wake(first);
    others.for_each(wake);
}

/// Wakes one. Not to be called under a lock.
#[inline]
pub(crate) fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        events::record(|| tracing::error!("the waker of a caller panicked"));
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
            // Quietly, as what unwinds is no failure of the test.
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
    fn a_waker_that_panics_keeps_no_others_from_being_woken() {
        let woken = Arc::<Woken>::default();
        wake_all([Waker::from(Arc::new(Panics)), Waker::from(Arc::clone(&woken))]);
        assert!(woken.0.load(Ordering::Relaxed));
    }
}
