//! Room in the queue: senders are refused, or wait for a permit, while too many bytes wait; permits are granted in order.

use meshzero_proto::buffer::Buffer;

use super::{Outbox, Pace, Placed, PushError};
use crate::message::written::Written;
use crate::runtime::sync::atomic::Ordering;

/// Senders that can wait do so while as much waits for the socket: more only costs memory and cache.
const AHEAD_BYTES: usize = 2 << 20;

/// The room that a frame needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Any below the limit, if nobody waits for it: for senders that are refused otherwise.
    Limit,
    /// Room below what senders keep ahead of the socket, if nobody waits for it: for those that can wait.
    Ahead,
    /// None: for answers, whose number is bounded elsewhere, and for those whose turn it is.
    Any,
}

impl Outbox {
    /// Returns whether there may be `room`: a frame for which there is none is not worth writing.
    #[inline(always)]
    pub(crate) fn may_have(&self, room: Room) -> bool {
        if room == Room::Any {
            return true;
        }
        let has_none = self.is_awaited() || self.was_full.load(Ordering::Relaxed) && self.is_full(room);
        !has_none
    }

    #[cold]
    fn is_full(&self, room: Room) -> bool {
        let state = self.lock();
        let is_full =
            !state.closed && self.limit_of(room).is_some_and(|limit| state.flow.waiting() >= limit as u64);
        self.was_full.store(is_full, Ordering::Relaxed);
        is_full
    }

    #[inline(always)]
    pub(super) fn limit_of(&self, room: Room) -> Option<usize> {
        match room {
            Room::Any => None,
            Room::Limit => Some(self.limit),
            Room::Ahead => Some(self.ahead()),
        }
    }

    /// Waits for room, behind those who waited before, and gives the right to [`Turn::push`].
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn turn(&self) -> Result<Turn<'_>, Closed> {
        self.queued.fetch_add(1, Ordering::AcqRel);
        let queued = Queued { outbox: self };
        let turn = self.turn.lock().await;
        self.room(self.ahead()).await?;
        Ok(Turn { queued, _turn: turn })
    }

    /// Returns whether somebody waits for room.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0
    }

    /// Waits until fewer than `limit` bytes wait.
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn room(&self, limit: usize) -> Result<(), Closed> {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.closed {
                    return Err(Closed);
                }
                if state.flow.waiting() < limit as u64 {
                    return Ok(());
                }
            }
            drained.await;
        }
    }

    fn ahead(&self) -> usize {
        self.limit.min(AHEAD_BYTES)
    }
}

/// The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// One who waits, counted.
#[derive(Debug)]
struct Queued<'a> {
    outbox: &'a Outbox,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.outbox.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to append next, with room for it.
#[derive(Debug)]
pub struct Turn<'a> {
    queued: Queued<'a>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Appends what `frame` writes.
    ///
    /// # Errors
    /// [`PushError::Closed`] or [`PushError::Frame`]; nothing was appended.
    pub fn push<E>(
        &self,
        pace: Pace,
        frame: impl FnOnce(&mut Buffer) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        self.queued.outbox.push(Room::Any, pace, frame)
    }

    /// Appends a frame that has been written.
    ///
    /// # Errors
    /// [`PushError::Closed`]; nothing was appended.
    pub(crate) fn place<E>(&self, pace: Pace, written: &mut Written) -> Result<Placed, PushError<E>> {
        self.queued.outbox.place(Room::Any, pace, written)
    }
}
