//! The bound of the queue: at it, senders are refused, or wait for a permit; permits are granted in order.

use meshzero_proto::buffer::Buffer;

use super::{Flush, PushError, SendQueue, WrittenRange};
use crate::message::written::EncodedParts;
use crate::runtime::sync::atomic::Ordering;

/// The space that a frame needs in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpaceNeeded {
    /// Space below the limit, if no sender waits for it: for senders that are refused otherwise.
    Limit,
    /// Space below the link's share of the bytes in front of all sockets, if no sender waits for it: for senders that can wait.
    Ahead,
    /// No bound: for replies, whose number is bounded elsewhere, and for senders that hold a permit.
    Any,
}

impl SendQueue {
    /// Returns whether there may be `space`: otherwise a frame need not be encoded.
    #[inline(always)]
    pub(crate) fn has_space_for(&self, space: SpaceNeeded) -> bool {
        if space == SpaceNeeded::Any {
            return true;
        }
        let is_refused = self.has_waiters() || self.was_full.load(Ordering::Relaxed) && self.is_full(space);
        !is_refused
    }

    #[cold]
    fn is_full(&self, space: SpaceNeeded) -> bool {
        let state = self.lock();
        let is_full = !state.closed
            && self.limit_of(space).is_some_and(|limit| state.flow.pending_bytes() >= limit as u64);
        self.was_full.store(is_full, Ordering::Relaxed);
        is_full
    }

    #[inline(always)]
    pub(super) fn limit_of(&self, space: SpaceNeeded) -> Option<usize> {
        match space {
            SpaceNeeded::Any => None,
            SpaceNeeded::Limit => Some(self.limit),
            SpaceNeeded::Ahead => Some(self.ahead_limit()),
        }
    }

    /// Waits for space, after earlier waiters, and returns the permit for [`SendPermit::push`].
    ///
    /// # Errors
    /// [`QueueClosed`].
    ///
    /// # Cancel safety
    /// This method is cancel safe, but dropping the future gives up its place among the waiters.
    pub(crate) async fn reserve(&self) -> Result<SendPermit<'_>, QueueClosed> {
        self.queued.fetch_add(1, Ordering::AcqRel);
        let queued = WaitingSender { send_queue: self };
        let turn = self.turn.lock().await;
        self.room(self.ahead_limit()).await?;
        Ok(SendPermit { queued, _turn: turn })
    }

    /// Returns whether a sender waits for space.
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0
    }

    /// Waits until fewer than `limit` bytes wait.
    ///
    /// # Errors
    /// [`QueueClosed`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn room(&self, limit: usize) -> Result<(), QueueClosed> {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.closed {
                    return Err(QueueClosed);
                }
                if state.flow.pending_bytes() < limit as u64 {
                    return Ok(());
                }
            }
            drained.await;
        }
    }

    #[inline(always)]
    fn ahead_limit(&self) -> usize {
        self.limit.min(self.ahead.bytes())
    }
}

/// The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueClosed;

/// A sender that is counted as waiting until this is dropped.
#[derive(Debug)]
struct WaitingSender<'a> {
    send_queue: &'a SendQueue,
}

impl Drop for WaitingSender<'_> {
    fn drop(&mut self) {
        self.send_queue.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The permit to append the next frame, for which there is space.
#[derive(Debug)]
pub(crate) struct SendPermit<'a> {
    queued: WaitingSender<'a>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl SendPermit<'_> {
    /// Appends the output of `frame`.
    ///
    /// # Errors
    /// [`PushError::Closed`] or [`PushError::Frame`]; nothing was appended.
    pub(crate) fn push<E>(
        &self,
        flush: Flush,
        frame: impl FnOnce(&mut Buffer) -> Result<(), E>,
    ) -> Result<WrittenRange, PushError<E>> {
        self.queued.send_queue.push(SpaceNeeded::Any, flush, frame)
    }

    /// Appends an encoded frame.
    ///
    /// # Errors
    /// [`PushError::Closed`]; nothing was appended.
    pub(crate) fn push_encoded<E>(
        &self,
        flush: Flush,
        written: &mut EncodedParts,
    ) -> Result<WrittenRange, PushError<E>> {
        self.queued.send_queue.push_encoded(SpaceNeeded::Any, flush, written)
    }
}
