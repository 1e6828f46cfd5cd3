//! Notices when a thread is blocked by somebody who waits for what only that thread could bring: inside a handler, or with
//! `block_on`. That would never end, and nobody would be told.
//!
//! A handler returns before any of the futures goes on that it has made. So one that is polled again and again while the same message
//! is being handled is polled by an executor that blocks the handler. Each of these polls wakes the task, so that there is a next one;
//! whoever polls a few times by hand, and goes on later, notices nothing.

use std::cell::Cell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use crate::runtime::executor::Executor;

thread_local! {
    /// The number of what this thread is in the middle of; 0 if it is not in the middle of anything.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    static SCOPES: Cell<u64> = const { Cell::new(0) };
}

/// As many messages an actor may handle before their numbers are those of another one on the same thread.
const NUMBERS: u64 = 1 << 40;

/// The first of the numbers by which something that this thread handles is told from everything else.
pub(crate) fn first_number() -> u64 {
    let scope = SCOPES.get().wrapping_add(1);
    SCOPES.set(scope);
    scope.wrapping_mul(NUMBERS)
}

/// This thread is handling the message with this number, until the [`BusyScope`] ends.
#[inline(always)]
pub(crate) fn handles(number: u64) {
    CURRENT.set(number);
}

/// As long as it lives, its thread may be in the middle of something; then of what it was in the middle of before.
pub struct BusyScope {
    before: u64,
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl BusyScope {
    /// Nothing is being handled yet, see [`handles`].
    pub(crate) fn enter() -> Self {
        Self { before: CURRENT.get(), _not_send: PhantomData }
    }

    /// Everything that is polled before this ends is polled by somebody who blocks the thread.
    pub fn block() -> Self {
        let scope = Self::enter();
        handles(first_number());
        scope
    }
}

impl Drop for BusyScope {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Returns whether this thread is in the middle of something.
pub(crate) fn is_handling() -> bool {
    CURRENT.get() != 0
}

/// Polls of one future, while the same message is being handled, that may be those of somebody who does not block the thread.
const POLLS: u8 = 64;

/// The detection of an executor that blocks a thread, for one future.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BlockingCheck {
    /// The number of what the thread was in the middle of at the first poll.
    number: u64,
    /// Later polls at which it still was.
    polls: u8,
}

impl BlockingCheck {
    /// Notes the first poll.
    #[inline(always)]
    pub(crate) fn begin(task: &Context<'_>) -> Self {
        let number = CURRENT.get();
        if number != 0 {
            look_again(task);
        }
        Self { number, polls: 0 }
    }

    /// To be called at later polls of a future that still waits for a thread, which may be this one.
    ///
    /// # Panics
    /// When the thread is this one, and is blocked.
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
            self.polls < POLLS,
            "this would never end: the thread that the mesh lives on is blocked, by a handler or by block_on, while it waits for what \
             only that thread can bring. Return a future from the handler (ResponseFuture, ResponseActFuture) or spawn one, or join \
             the mesh or run the service on another thread"
        );
        look_again(task);
    }
}

#[cold]
fn look_again(task: &Context<'_>) {
    task.waker().wake_by_ref();
}

/// Never ends, and notices if whoever waits beside it blocks the thread of `home`.
///
/// # Panics
/// When the thread is blocked.
pub(crate) async fn notice(home: &Executor) {
    let mut first = None;
    poll_fn(|task| {
        match &mut first {
            None => first = Some(BlockingCheck::begin(task)),
            Some(check) => BlockingCheck::check(check, task, || home.is_here()),
        }
        Poll::Pending
    })
    .await
}
