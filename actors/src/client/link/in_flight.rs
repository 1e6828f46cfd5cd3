//! One call on a link, from the moment its request is queued until its caller has read the result.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use meshzero_proto::call::in_flight::{CallId, SendState};
use meshzero_proto::id::InstanceId;
use meshzero_proto::wire::fragments::{FragmentBuffer, FragmentError};
use meshzero_proto::wire::frame::{self, Frame, Header};

use super::Link;
use crate::server::request::inbound::Outcome;

/// A call that has not ended, or whose caller has not read the result.
pub(super) struct InFlightCall {
    /// The waker of the caller's task.
    waker: Waker,
    end: Option<CallEnd>,
    /// The fragments of a long reply that have arrived.
    pub(super) fragments: Option<Box<FragmentBuffer>>,
}

impl InFlightCall {
    /// A call of `caller`, which is woken when it has ended.
    #[inline(always)]
    pub(super) fn new(caller: &Waker) -> Self {
        Self { waker: caller.clone(), end: None, fragments: None }
    }

    /// Ends the call once, and returns the waker of its caller.
    #[inline(always)]
    pub(super) fn finish(&mut self, end: impl FnOnce() -> CallEnd) -> Option<Waker> {
        if self.end.is_some() {
            return None;
        }
        self.end = Some(end());
        Some(self.replace_waker(Waker::noop()))
    }

    /// Returns the end of the call. Nobody is to be woken any more.
    pub(super) fn into_end(self) -> Option<CallEnd> {
        self.end
    }

    /// Replaces the task to be woken, and returns the old waker, which must be dropped outside any lock.
    #[inline(always)]
    fn replace_waker(&mut self, waker: &Waker) -> Waker {
        std::mem::replace(&mut self.waker, waker.clone())
    }

    /// Adds a fragment of the reply, and returns the reply once it is complete.
    #[cold]
    pub(super) fn add_fragment(
        &mut self,
        header: Header,
        fragment: &[u8],
        expected: ExpectedLength,
    ) -> Result<Option<Frame>, FragmentError> {
        if self.end.is_some() {
            return Ok(None);
        }
        self.fragments.get_or_insert_default().add(fragment, expected.guess, expected.limit)?;
        if header.flags & frame::LAST == 0 {
            return Ok(None);
        }
        self.fragments.take().map(|fragments| fragments.reply(header.id)).transpose()
    }
}

/// The expected length of a fragmented reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpectedLength {
    /// The length of the previous fragmented reply.
    pub(super) guess: usize,
    /// The upper limit.
    pub(super) limit: usize,
}

/// The end of a call.
#[derive(Debug)]
pub(crate) enum CallEnd {
    /// The endpoint answered.
    Answered(Outcome),
    /// The deadline passed.
    TimedOut,
    /// The deadline passed before the request was sent, and it will not be sent any more.
    Withdrawn,
    /// The link ended.
    Lost(SendState),
}

/// The reply to one call. Dropped before the reply has arrived, it cancels the call at the endpoint.
pub(crate) struct ReplyFuture {
    link: Arc<Link>,
    id: CallId,
    is_open: bool,
}

impl ReplyFuture {
    /// The reply to the open call `id`.
    #[inline]
    pub(super) fn new(link: &Arc<Link>, id: CallId) -> Self {
        Self { link: Arc::clone(link), id, is_open: true }
    }

    /// The instance that the call went to.
    pub(crate) fn instance(&self) -> InstanceId {
        self.link.welcome.instance
    }

    /// Polls for the end of the call, on any executor. Must not be called again after it has returned that.
    pub(crate) fn poll_ended(&mut self, task: &mut Context<'_>) -> Poll<CallEnd> {
        let (mut is_open, mut replaced) = (false, None);
        let mut calls = self.link.lock();
        let end = calls.close_with(self.id, |call| {
            is_open = true;
            if call.end.is_none() && !call.waker.will_wake(task.waker()) {
                replaced = Some(call.replace_waker(task.waker()));
            }
            call.end.take()
        });
        let end = match is_open {
            true => end,
            false => self.link.unread().remove(self.id),
        };
        drop(calls);
        // Not under the lock: dropping a waker may drop a task, and with that another call.
        drop(replaced);
        let Some(end) = end else {
            return if is_open { Poll::Pending } else { Poll::Ready(CallEnd::Lost(SendState::Unknown)) };
        };
        self.is_open = false;
        self.notify_slot_freed();
        Poll::Ready(end)
    }

    /// Waits for the end of the call, on any executor.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future cancels the call.
    pub(crate) async fn ended(mut self) -> CallEnd {
        poll_fn(|task| self.poll_ended(task)).await
    }

    fn notify_slot_freed(&self) {
        self.link.notify_slot_freed();
    }
}

impl Link {
    /// Notifies tasks that wait for the slot of a call that one may be free.
    pub(super) fn notify_slot_freed(&self) {
        if self.send_queue.has_waiters() {
            self.slot_freed.notify_waiters();
        }
    }
}

impl Drop for ReplyFuture {
    fn drop(&mut self) {
        if self.is_open {
            let mut calls = self.link.lock();
            let request = calls.bytes(self.id);
            let closed = calls
                .close_with(self.id, |call| Some((call.end.is_none(), call.replace_waker(Waker::noop()))));
            let unread = match closed {
                Some(_) => None,
                None => self.link.unread().remove(self.id),
            };
            drop(calls);
            drop(unread);
            if closed.is_some_and(|(was_pending, _)| was_pending)
                && !request.is_some_and(|request| self.link.send_queue.withdraw(request))
            {
                self.link.cancel(self.id);
            }
            self.notify_slot_freed();
        }
    }
}
