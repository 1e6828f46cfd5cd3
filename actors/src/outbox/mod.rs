//! Bytes on their way out of one link: a bounded batch that anybody appends to, and whoever is free writes.
//!
//! Batching is opportunistic. While nobody writes, a sender in a hurry writes its own frame at once; while somebody
//! does, the batch fills, and leaves whole when the write has ended. What has been written is kept until the other end has
//! acknowledged it, so that it can be written again when the connection is replaced.

mod writing;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use meshzero_proto::codec;
use meshzero_proto::frame::{self, Header, Kind, Whole};
use meshzero_proto::stream::{NotThere, Outgoing, Sent};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::traffic::{Carrying, Meter};

/// A gathered batch of this length is written by whoever filled it. Measured: with a quarter of it large messages reach
/// less than half the throughput, and more gains nothing.
const FLUSH_BYTES: usize = 256 << 10;

/// The same where large payloads lie beside the batch, which takes no more cache for them. Measured: one system call of this
/// length moves nearly twice as many bytes a second as three of a third, and one of twice as much fewer again.
const FLUSH_SHARED_BYTES: usize = 640 << 10;

/// Senders that can wait do so while as much waits for the socket: more only costs memory and cache.
const AHEAD_BYTES: usize = 2 << 20;

/// The outgoing half of a link, shared by all who send on it.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    limit: usize,
    /// Bytes that may be written and not acknowledged.
    window: u64,
    meter: Arc<Meter>,
    filled: Notify,
    drained: Notify,
    /// Held by whoever waits for room, so that those who wait are served in order.
    turn: tokio::sync::Mutex<()>,
    /// How many wait for room or are about to use it: nobody may overtake them.
    queued: AtomicUsize,
}

#[derive(Debug)]
struct State {
    filling: Outgoing,
    /// What is being written. Whoever writes has taken it.
    leaving: Option<Leaving>,
    sent: Sent,
    /// Bytes appended since the link began.
    placed: u64,
    /// The number of the byte that is written next. It goes back when a connection is replaced.
    written: u64,
    /// The most that was ever written: what lies beyond, the other end cannot have.
    handed: u64,
    /// The bytes at the end that keep the link going and are nothing that anybody would miss.
    upkeep: Range<u64>,
    is_attached: bool,
    /// Whether the connection's task waits for the socket, and will look again.
    is_blocked: bool,
    closed: bool,
}

/// Bytes on their way, and the connection that they go by; `None` while there is none.
#[derive(Debug)]
struct Leaving {
    bytes: Outgoing,
    socket: Option<Arc<OwnedWriteHalf>>,
}

/// What room a frame needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Any below the limit, if nobody waits for it: for senders that are refused otherwise.
    Limit,
    /// Room below what senders keep ahead of the socket, if nobody waits for it: for those that can wait.
    Ahead,
    /// None: for answers, whose number is bounded elsewhere, and for those whose turn it is.
    Any,
}

/// When what was appended is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once, by whoever appended it, unless somebody is writing.
    AtOnce,
    /// By the connection's own task, with whatever has been appended until then.
    Gathered,
}

/// Where a frame was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The bytes of the stream that it is.
    pub bytes: Range<u64>,
    /// Whether appending it took the time to write a whole batch: then others on the thread should have their turn.
    pub wrote_batch: bool,
}

/// Why nothing was appended.
#[derive(Debug, PartialEq, Eq)]
pub enum PushError<E> {
    /// The connection is closed.
    Closed,
    /// As many bytes wait as may.
    Full,
    /// The frame could not be written.
    Frame(E),
}

impl Outbox {
    /// An outbox in which as many bytes wait for `socket` as the limits say, besides the frame that crosses the limit.
    pub fn new(socket: OwnedWriteHalf, carrying: &Carrying) -> Self {
        let state = State {
            filling: Outgoing::default(),
            leaving: Some(Leaving { bytes: Outgoing::default(), socket: Some(Arc::new(socket)) }),
            sent: Sent::default(),
            placed: 0,
            written: 0,
            handed: 0,
            upkeep: 0..0,
            is_attached: true,
            is_blocked: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            limit: carrying.limits.send_queue_bytes,
            window: carrying.limits.unacknowledged_bytes.max(1) as u64,
            meter: Arc::clone(&carrying.meter),
            filled: Notify::new(),
            drained: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
        }
    }

    /// Appends what `frame` writes, where there is `room` for it.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    #[inline(always)]
    pub fn push<E>(
        &self,
        room: Room,
        pace: Pace,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        let limit = match room {
            Room::Any => None,
            _ if self.is_awaited() => return Err(PushError::Full),
            Room::Limit => Some(self.limit),
            Room::Ahead => Some(self.ahead()),
        };
        self.append(limit, pace, frame)
    }

    /// Appends whole frames and leaves `frames` empty, and writes at once. A closed connection drops them.
    pub fn push_frames(&self, frames: &mut Vec<u8>) {
        let mut state = self.lock();
        if state.closed {
            return frames.clear();
        }
        state.placed += frames.len() as u64;
        let batch = state.filling.batch();
        if batch.is_empty() {
            std::mem::swap(batch, frames);
        } else {
            batch.append(frames);
        }
        self.go_on(state, Pace::AtOnce, true);
    }

    /// Appends whole frames without copying them, and writes at once.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn share(&self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        for frames in frames {
            state.placed += frames.len() as u64;
            state.filling.share(frames);
        }
        self.go_on(state, Pace::AtOnce, true);
        Ok(())
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

    /// Whether somebody waits for room.
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
                if state.waiting() < limit as u64 {
                    return Ok(());
                }
            }
            drained.await;
        }
    }

    /// Closes the outbox: what is there is still written, and nothing more is taken.
    pub fn close(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.closed = true;
            state.keep_up(Kind::Bye, 0);
            self.go_on(state, Pace::AtOnce, true);
        }
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits until the outbox is closed and all that was in it has been written.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn finished(&self) {
        loop {
            let drained = self.drained.notified();
            let state = self.lock();
            if state.closed && state.waiting() == 0 {
                return;
            }
            drop(state);
            drained.await;
        }
    }

    /// Bytes that the system has taken since the beginning, at most: what comes behind them, the other end does not have.
    pub fn handed(&self) -> u64 {
        self.lock().handed
    }

    /// Whether the other end has not acknowledged all that was sent, besides what keeps the link going.
    pub fn is_owed_word(&self) -> bool {
        let state = self.lock();
        let content = if state.upkeep.end == state.placed { state.upkeep.start } else { state.placed };
        state.sent.acknowledged() < content
    }

    /// Asks the other end how much has arrived.
    pub fn ping(&self) {
        self.keep_up(Kind::Ping, 0);
    }

    /// Tells the other end that so many bytes of its stream have arrived.
    pub fn tell_received(&self, bytes: u64) {
        self.keep_up(Kind::Ack, bytes);
    }

    /// The other end has the first `bytes` of the stream.
    ///
    /// # Errors
    /// [`NotThere`]: that cannot be.
    pub fn acknowledge(&self, bytes: u64) -> Result<(), NotThere> {
        let mut state = self.lock();
        let was_held = state.is_held(self.window);
        let handed = state.handed;
        // What somebody is writing at the moment may be there before it is counted.
        let most = if state.leaving.is_none() { state.placed } else { handed };
        state.sent.acknowledge(bytes, most)?;
        let goes_on = was_held && !state.is_held(self.window);
        drop(state);
        if goes_on {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Makes nothing of a frame that has not begun to leave, and says whether it could.
    pub fn withdraw(&self, frame: Range<u64>) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let filling = state.placed - state.filling.len() as u64;
        let (outgoing, begin) = match &mut state.leaving {
            _ if frame.start >= filling => (&mut state.filling, filling),
            Some(leaving) if frame.start >= state.handed => (&mut leaving.bytes, state.sent.end()),
            _ => return false,
        };
        let at = frame.start.checked_sub(begin).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| outgoing.byte_mut(at + frame::KIND_AT)) {
            Some(kind) if frame.end <= state.placed => {
                *kind = Kind::Void as u8;
                true
            }
            _ => false,
        }
    }

    fn keep_up(&self, kind: Kind, id: u64) {
        let mut state = self.lock();
        // Once it is closed nobody wants to know.
        if !state.closed {
            state.keep_up(kind, id);
            self.go_on(state, Pace::AtOnce, true);
        }
    }

    #[inline(always)]
    fn append<E>(
        &self,
        limit: Option<usize>,
        pace: Pace,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if limit.is_some_and(|limit| state.waiting() >= limit as u64) {
            return Err(PushError::Full);
        }
        let begin = state.placed;
        let batch = state.filling.batch();
        let before = batch.len();
        let whole = Whole::begin(batch);
        let blobs = codec::beside(whole.buffer, frame).map_err(PushError::Frame)?;
        whole.end();
        let length = state.filling.batch().len();
        let mut is_full = length >= FLUSH_BYTES;
        state.placed += (length - before) as u64;
        if !blobs.is_empty() {
            let beside: usize = blobs.iter().map(|blob| blob.bytes.len()).sum();
            state.placed += beside as u64;
            state.filling.put_between(blobs);
            is_full = state.waiting() >= FLUSH_SHARED_BYTES as u64;
        }
        let bytes = begin..state.placed;
        let wrote_batch = pace == Pace::Gathered && is_full;
        self.go_on(state, if wrote_batch { Pace::AtOnce } else { pace }, before == 0);
        Ok(Placed { bytes, wrote_batch })
    }

    /// Sees to it that what has been appended is written. `first` says that nothing had been before it.
    #[inline(always)]
    fn go_on(&self, state: MutexGuard<'_, State>, pace: Pace, first: bool) {
        let Some(leaving) = &state.leaving else {
            // Whoever writes looks again afterwards.
            return;
        };
        if pace == Pace::Gathered || !leaving.bytes.is_empty() {
            // Where something waited already, the task has been told.
            let tell = !state.is_blocked && (first || !leaving.bytes.is_empty());
            drop(state);
            if tell {
                self.filled.notify_one();
            }
            return;
        }
        self.write_now(state);
    }

    fn ahead(&self) -> usize {
        self.limit.min(AHEAD_BYTES)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while encoding leaves the batch as it was, see `Whole`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> u64 {
        self.placed - self.written
    }

    /// Whether nothing may be written for now: there is no connection, or the other end has to acknowledge something first.
    fn is_held(&self, window: u64) -> bool {
        !self.is_attached || self.written.saturating_sub(self.sent.acknowledged()) >= window
    }

    /// Appends a frame that keeps the link going.
    fn keep_up(&mut self, kind: Kind, id: u64) {
        let begin = self.placed;
        let batch = self.filling.batch();
        let before = batch.len();
        frame::write(batch, Header::new(kind, id), b"");
        self.placed += (batch.len() - before) as u64;
        if self.upkeep.end != begin {
            self.upkeep.start = begin;
        }
        self.upkeep.end = self.placed;
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
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        self.queued.outbox.push(Room::Any, pace, frame)
    }
}

#[cfg(test)]
mod tests;
