//! Detection of a blocked thread: a caller that waits, in a handler or with `block_on`, for a result that only the blocked
//! thread could produce. Without it the wait would never end, and nothing would be reported.
//!
//! A handler returns before any future that it created makes progress. So a future that is polled again and again while the
//! same message is being handled is polled by an executor that blocks the handler. Each of these polls wakes the task, so that
//! there is a next one; a future that is polled a few times by hand, and later as usual, is not affected.

use std::cell::Cell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use crate::runtime::executor::Executor;

thread_local! {
    /// The number of the message that this thread is handling; 0 if it handles none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    static SCOPES: Cell<u64> = const { Cell::new(0) };
}

/// The number of messages that an actor may handle before its numbers collide with those of another actor on the same thread.
const NUMBERS_PER_ACTOR: u64 = 1 << 40;

/// Returns the first number of a sequence that identifies the messages of one actor on this thread.
pub(crate) fn first_number() -> u64 {
    let scope = SCOPES.get().wrapping_add(1);
    SCOPES.set(scope);
    scope.wrapping_mul(NUMBERS_PER_ACTOR)
}

/// Records that this thread is handling the message with this number, until the [`BusyScope`] ends.
#[inline(always)]
pub(crate) fn begin_message(number: u64) {
    CURRENT.set(number);
}

/// A scope in which its thread may be handling messages. When it ends, the previous number is restored.
pub struct BusyScope {
    previous: u64,
    /// Tied to its thread.
    _not_send: PhantomData<*const ()>,
}

impl BusyScope {
    /// Enters a scope in which no message is being handled yet, see [`begin_message`].
    pub(crate) fn enter() -> Self {
        Self { previous: CURRENT.get(), _not_send: PhantomData }
    }

    /// Enters a scope in which every poll counts as one by an executor that blocks the thread.
    pub fn block() -> Self {
        let scope = Self::enter();
        begin_message(first_number());
        scope
    }
}

impl Drop for BusyScope {
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}

/// Returns whether this thread is handling something.
pub(crate) fn is_handling() -> bool {
    CURRENT.get() != 0
}

/// The number of polls of one future, while the same message is being handled, that do not count as blocking yet.
const MAX_POLLS: u8 = 64;

/// The detection of an executor that blocks a thread, for one future.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BlockingCheck {
    /// The number of the message that the thread was handling at the first poll.
    number: u64,
    /// The number of later polls during the same message.
    polls: u8,
}

impl BlockingCheck {
    /// Records the first poll.
    #[inline(always)]
    pub(crate) fn begin(task: &Context<'_>) -> Self {
        let number = CURRENT.get();
        if number != 0 {
            wake_later(task);
        }
        Self { number, polls: 0 }
    }

    /// Checks a later poll of a future that still waits for a thread, which may be this one.
    ///
    /// # Panics
    /// When the future waits for this thread, which is blocked.
    #[inline(always)]
    pub(crate) fn check(&mut self, task: &Context<'_>, is_this_thread: impl FnOnce() -> bool) {
        if self.number != 0 {
            self.check_thread(task, is_this_thread);
        }
    }

    #[cold]
    fn check_thread(&mut self, task: &Context<'_>, is_this_thread: impl FnOnce() -> bool) {
        if self.number != CURRENT.get() || !is_this_thread() {
            return;
        }
        self.polls += 1;
        assert!(
            self.polls < MAX_POLLS,
            "this would never end: the thread of the mesh is blocked, by a handler or by block_on, while it waits for a result that \
             only this thread can produce. Return a future from the handler (ResponseFuture, ResponseActFuture) or spawn one, or join \
             the mesh or run the service on another thread"
        );
        wake_later(task);
    }
}

#[cold]
fn wake_later(task: &Context<'_>) {
    task.waker().wake_by_ref();
}

/// Never completes, and panics if the future that is polled together with it blocks the thread of `executor`.
///
/// # Panics
/// When the thread is blocked.
pub(crate) async fn detect_blocking(executor: &Executor) {
    let mut first = None;
    poll_fn(|task| {
        match &mut first {
            None => first = Some(BlockingCheck::begin(task)),
            Some(check) => BlockingCheck::check(check, task, || executor.is_here()),
        }
        Poll::Pending
    })
    .await
}
