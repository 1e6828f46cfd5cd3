//! One call on a link, from when its request sets out until its caller has taken note of how it ended.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use meshzero_proto::call::in_flight::{CallId, SendState};
use meshzero_proto::id::InstanceId;
use meshzero_proto::wire::fragments::{FragmentBuffer, FragmentError};
use meshzero_proto::wire::frame::{self, Frame, Header};

use super::Link;
use crate::server::request::inbound::Outcome;

/// A call that waits for its end, or for its caller to take note of it.
pub(super) struct InFlightCall {
    caller: Waker,
    ended: Option<CallEnd>,
    /// What has arrived of a reply that comes in pieces.
    pub(super) pieces: Option<Box<FragmentBuffer>>,
}

impl InFlightCall {
    /// A call of `caller`, who is woken when it has ended.
    #[inline(always)]
    pub(super) fn new(caller: &Waker) -> Self {
        Self { caller: caller.clone(), ended: None, pieces: None }
    }

    /// Ends the call, once; the caller is to be woken.
    #[inline(always)]
    pub(super) fn end(&mut self, ended: impl FnOnce() -> CallEnd) -> Option<Waker> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(ended());
        Some(self.replace_caller(Waker::noop()))
    }

    /// What it ended in. Nobody is to be woken any more.
    pub(super) fn into_end(self) -> Option<CallEnd> {
        self.ended
    }

    /// Lets somebody else be woken; gives back who was to be. That is to be dropped where no lock is held.
    #[inline(always)]
    fn replace_caller(&mut self, caller: &Waker) -> Waker {
        std::mem::replace(&mut self.caller, caller.clone())
    }

    /// Takes a piece of the reply; gives the reply when that is whole.
    #[cold]
    pub(super) fn piece(
        &mut self,
        header: Header,
        piece: &[u8],
        expected: ExpectedLength,
    ) -> Result<Option<Frame>, FragmentError> {
        if self.ended.is_some() {
            return Ok(None);
        }
        self.pieces.get_or_insert_default().add(piece, expected.guess, expected.limit)?;
        if header.flags & frame::LAST == 0 {
            return Ok(None);
        }
        self.pieces.take().map(|pieces| pieces.reply(header.id)).transpose()
    }
}

/// How long a reply in pieces becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpectedLength {
    /// As long as the one before.
    pub(super) guess: usize,
    /// At most so long.
    pub(super) limit: usize,
}

/// What a call ended in.
#[derive(Debug)]
pub(crate) enum CallEnd {
    /// The endpoint answered.
    Answered(Outcome),
    /// The deadline passed.
    TimedOut,
    /// The deadline passed before the request had left, and now it will not.
    Withdrawn,
    /// The link ended.
    Lost(SendState),
}

/// The reply to one call. Dropped before it came, it cancels the call at the endpoint.
pub(crate) struct ReplyFuture {
    link: Arc<Link>,
    id: CallId,
    open: bool,
}

impl ReplyFuture {
    /// The reply to the open call `id`.
    #[inline]
    pub(super) fn new(link: &Arc<Link>, id: CallId) -> Self {
        Self { link: Arc::clone(link), id, open: true }
    }

    /// The instance that the call went to.
    pub(crate) fn instance(&self) -> InstanceId {
        self.link.welcome.instance
    }

    /// Looks whether the call has ended, on any executor. Not to be called again after it has.
    pub(crate) fn poll_ended(&mut self, task: &mut Context<'_>) -> Poll<CallEnd> {
        let (mut is_open, mut before) = (false, None);
        let mut calls = self.link.lock();
        let ended = calls.close_with(self.id, |waiting| {
            is_open = true;
            if waiting.ended.is_none() && !waiting.caller.will_wake(task.waker()) {
                before = Some(waiting.replace_caller(task.waker()));
            }
            waiting.ended.take()
        });
        let ended = match is_open {
            true => ended,
            false => self.link.unread().remove(self.id),
        };
        drop(calls);
        // Not under the lock: with a waker a task may go, and with that another call.
        drop(before);
        let Some(ended) = ended else {
            return if is_open { Poll::Pending } else { Poll::Ready(CallEnd::Lost(SendState::Unknown)) };
        };
        self.open = false;
        self.give_place();
        Poll::Ready(ended)
    }

    /// Waits for the end of the call, on any executor.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    pub(crate) async fn ended(mut self) -> CallEnd {
        poll_fn(|task| self.poll_ended(task)).await
    }

    fn give_place(&self) {
        self.link.give_place();
    }
}

impl Link {
    /// Tells whoever waits for the place of a call that there may be one.
    pub(super) fn give_place(&self) {
        if self.outbox.has_waiters() {
            self.freed.notify_waiters();
        }
    }
}

impl Drop for ReplyFuture {
    fn drop(&mut self) {
        if self.open {
            let mut calls = self.link.lock();
            let request = calls.bytes(self.id);
            let waited = calls.close_with(self.id, |waiting| {
                Some((waiting.ended.is_none(), waiting.replace_caller(Waker::noop())))
            });
            let unread = match waited {
                Some(_) => None,
                None => self.link.unread().remove(self.id),
            };
            drop(calls);
            drop(unread);
            if waited.is_some_and(|(waited, _)| waited)
                && !request.is_some_and(|request| self.link.outbox.withdraw(request))
            {
                self.link.cancel(self.id);
            }
            self.give_place();
        }
    }
}
