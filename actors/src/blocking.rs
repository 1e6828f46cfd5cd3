//! Notices when a thread is blocked by somebody who waits for what only that thread could bring: inside a handler, or with
//! `block_on`. That would never end, and nobody would be told.
//!
//! A handler returns before any of the futures goes on that it has made. So one that is polled twice while the same message is being
//! handled is polled by an executor that blocks the handler. The first poll wakes its task, so that there is a second one; whoever
//! polls once by hand, and goes on later, notices nothing.

use std::cell::Cell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use crate::home::Home;

thread_local! {
    /// What this thread is in the middle of; 0 if it is not in the middle of anything.
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

/// This thread is handling the message with this number, until the [`Scope`] ends.
#[inline(always)]
pub(crate) fn handles(number: u64) {
    CURRENT.set(number);
}

/// As long as it lives, its thread may be in the middle of something; then of what it was in the middle of before.
pub struct Scope {
    before: u64,
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Scope {
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

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// What the thread of a future was in the middle of when that was polled first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Now, at the first poll.
    #[inline(always)]
    pub(crate) fn note(task: &Context<'_>) -> Self {
        let moment = Self(CURRENT.get());
        if moment.0 != 0 {
            look_again(task);
        }
        moment
    }

    /// To be called at later polls of a future that waits for a thread, which may be this one.
    ///
    /// # Panics
    /// When it is still the same moment, and the thread is this one.
    #[inline(always)]
    pub(crate) fn check(self, is_this_thread: impl FnOnce() -> bool) {
        if self.0 != 0 {
            self.check_thread(is_this_thread);
        }
    }

    #[cold]
    fn check_thread(self, is_this_thread: impl FnOnce() -> bool) {
        assert!(
            self.0 != CURRENT.get() || !is_this_thread(),
            "this would never end: the thread that the mesh lives on is blocked, by a handler or by block_on, while it waits for what \
             only that thread can bring. Return a future from the handler (ResponseFuture, ResponseActFuture) or spawn one, or join \
             the mesh or run the service on another thread"
        );
    }
}

#[cold]
fn look_again(task: &Context<'_>) {
    task.waker().wake_by_ref();
}

/// Never ends, and notices if whoever waits beside it blocks the thread of `home`.
///
/// # Panics
/// Then.
pub(crate) async fn notice(home: &Home) {
    let mut first = None;
    poll_fn(|task| {
        match first {
            None => first = Some(Moment::note(task)),
            Some(moment) => Moment::check(moment, || home.is_here()),
        }
        Poll::Pending
    })
    .await
}
