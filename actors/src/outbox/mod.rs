//! Bytes on their way out of one link: a bounded batch that anybody appends to, and whoever is free writes.
//!
//! Batching is opportunistic. While nobody writes, a sender in a hurry writes its own frame at once; while somebody
//! does, the batch fills, and leaves whole when the write has ended. What has been written is kept until the other end has
//! acknowledged it, so that it can be written again when the connection is replaced.

mod long;
mod writing;

use std::convert::Infallible;
use std::ops::Range;
use std::sync::PoisonError;

use bytes::Bytes;
use meshzero_proto::buffer::Buffer;
use meshzero_proto::frame::Kind;
use meshzero_proto::stream::{NotThere, Outflow, TELL_BYTES};
use tokio::sync::Notify;

use crate::connection::Writer;
use crate::stats::LinkStats;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::traffic::{Carrying, Meter};
use crate::written::Written;

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
    meter: Arc<Meter>,
    filled: Notify,
    drained: Notify,
    /// Held by whoever waits for room, so that those who wait are served in order.
    turn: tokio::sync::Mutex<()>,
    /// How many wait for room or are about to use it: nobody may overtake them.
    queued: AtomicUsize,
    /// Set when a frame is refused because too much waits, and cleared when somebody finds less: then nothing is written in vain.
    was_full: AtomicBool,
    /// Whether [`Outbox::left`] is to be notified when bytes leave.
    is_watched: AtomicBool,
    left: Notify,
}

#[derive(Debug)]
struct State {
    flow: Outflow,
    /// The connection, if there is one.
    socket: Option<Arc<Writer>>,
    /// Whether the connection's task waits for the socket, and will look again.
    is_blocked: bool,
    /// Whether the system has been told to keep little for this connection, because long replies leave on it.
    is_kept_short: bool,
    closed: bool,
    /// How often it went on over another connection.
    resumed: u64,
    /// How many items of each topic are worth sending, if news leave here for a subscriber that wants only the newest.
    newest: Option<u32>,
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

/// What is to be known of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The request that it answers.
    pub id: u64,
    /// A frame of more bytes leaves in pieces.
    pub longest: usize,
}

/// Where a frame was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its last byte is this byte of the stream.
    pub end: u64,
    /// How many bytes it has.
    pub length: u32,
    /// Whether appending it took the time to write a whole batch: then others on the thread should have their turn.
    pub wrote_batch: bool,
}

impl Placed {
    /// The bytes of the stream that it is.
    pub fn bytes(&self) -> Range<u64> {
        self.end - u64::from(self.length)..self.end
    }
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
    pub fn new(socket: Writer, carrying: &Carrying) -> Self {
        let window = carrying.limits.unacknowledged_bytes.max(2 * TELL_BYTES);
        let state = State {
            flow: Outflow::new(window, carrying.spares.clone()),
            socket: Some(Arc::new(socket)),
            is_blocked: false,
            is_kept_short: false,
            closed: false,
            resumed: 0,
            newest: None,
        };
        Self {
            state: Mutex::new(state),
            limit: carrying.limits.send_queue_bytes,
            meter: Arc::clone(&carrying.meter),
            filled: Notify::new(),
            drained: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
            was_full: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
            left: Notify::new(),
        }
    }

    /// Appends what `frame` writes, where there is `room` for it. It writes before anything is locked.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    #[inline(always)]
    pub fn push<E>(
        &self,
        room: Room,
        pace: Pace,
        frame: impl FnOnce(&mut Buffer) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        if !self.may_have(room) {
            return Err(PushError::Full);
        }
        Written::with(|written| {
            written.write(frame).map_err(PushError::Frame)?;
            self.place(room, pace, written)
        })
    }

    /// Appends a frame that has been written, where there is `room` for it.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    #[inline(always)]
    pub(crate) fn place<E>(
        &self,
        room: Room,
        pace: Pace,
        written: &mut Written,
    ) -> Result<Placed, PushError<E>> {
        if room != Room::Any && self.is_awaited() {
            return Err(PushError::Full);
        }
        self.append(self.limit_of(room), pace, None, written)
    }

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
    fn limit_of(&self, room: Room) -> Option<usize> {
        match room {
            Room::Any => None,
            Room::Limit => Some(self.limit),
            Room::Ahead => Some(self.ahead()),
        }
    }

    /// Appends what `frame` writes, which is the reply to a request. A closed connection drops it.
    pub fn push_reply(&self, reply: Reply, pace: Pace, frame: impl FnOnce(&mut Buffer)) {
        Written::with(|written| {
            let Ok(()) = written.write::<Infallible>(|out| {
                frame(out);
                Ok(())
            });
            // On a closed connection nobody waits for the answer.
            let _ = self.append::<Infallible>(None, pace, Some(reply), written);
        });
    }

    /// Appends whole frames and leaves `frames` empty, and writes at once. A closed connection drops them.
    pub fn push_frames(&self, frames: &mut Vec<u8>) {
        let mut state = self.lock();
        if state.closed {
            return frames.clear();
        }
        state.flow.appended(frames.len());
        let batch = state.flow.batch();
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
        if state.newest.is_some() {
            state.flow.mark();
        }
        frames.into_iter().for_each(|frames| state.flow.share(frames));
        self.go_on(state, Pace::AtOnce, true);
        Ok(())
    }

    /// After a connection was replaced, sends only the newest `items` of each topic among the news that have not arrived, and tells
    /// the other end how many are missing.
    pub fn keep_newest(&self, items: u32) {
        self.lock().newest = Some(items);
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

    /// Closes the outbox: what is there is still written, and nothing more is taken.
    pub fn close(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.closed = true;
            state.flow.append_bulk();
            state.flow.keep_up(Kind::Bye, 0);
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
            {
                let state = self.lock();
                if state.closed && state.flow.waiting() == 0 {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> u64 {
        self.lock().flow.waiting()
    }

    /// Bytes that the system has taken since the beginning, at most: what comes behind them, the other end does not have.
    pub fn handed(&self) -> u64 {
        self.lock().flow.handed()
    }

    /// Bytes that the other end is known to have.
    pub fn acknowledged(&self) -> u64 {
        self.lock().flow.acknowledged()
    }

    /// Adds what is known here to what is known of the link.
    pub fn stats(&self, link: LinkStats) -> LinkStats {
        let state = self.lock();
        LinkStats {
            attached: state.socket.is_some(),
            resumed: state.resumed,
            written: state.flow.wrote(),
            acknowledged: state.flow.acknowledged(),
            waiting: state.flow.waiting(),
            ..link
        }
    }

    /// Whether the other end has not acknowledged all that was sent, besides what keeps the link going.
    pub fn is_owed_word(&self) -> bool {
        self.lock().flow.is_owed_word()
    }

    /// Returns whether there is a connection.
    pub fn is_attached(&self) -> bool {
        self.lock().socket.is_some()
    }

    /// From now on [`Outbox::left`] returns when bytes have left.
    pub fn watch(&self) {
        self.is_watched.store(true, Ordering::SeqCst);
    }

    /// Waits until bytes have left since [`Outbox::watch`]. For one at a time.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn left(&self) {
        self.left.notified().await;
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
        let goes_on = self.lock().flow.acknowledge(bytes)?;
        if goes_on {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Writes from now on without acknowledgements: the other end sends none any more.
    pub fn lift_window(&self) {
        self.lock().flow.lift_window();
        self.filled.notify_one();
    }

    /// Makes nothing of a frame that has not begun to leave, and says whether it could.
    pub fn withdraw(&self, frame: Range<u64>) -> bool {
        self.lock().flow.withdraw(frame)
    }

    fn keep_up(&self, kind: Kind, id: u64) {
        let mut state = self.lock();
        // Once it is closed nobody wants to know.
        if !state.closed {
            state.flow.keep_up(kind, id);
            self.go_on(state, Pace::AtOnce, true);
        }
    }

    #[inline(always)]
    fn append<E>(
        &self,
        limit: Option<usize>,
        pace: Pace,
        reply: Option<Reply>,
        written: &mut Written,
    ) -> Result<Placed, PushError<E>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if limit.is_some_and(|limit| state.flow.waiting() >= limit as u64) {
            self.was_full.store(true, Ordering::Relaxed);
            return Err(PushError::Full);
        }
        let begin = state.flow.placed();
        if let Some(Reply { id, longest }) = reply
            && written.length() > longest
        {
            self.set_aside(state, id, written.take_pieces());
            return Ok(Placed { end: begin, length: 0, wrote_batch: false });
        }
        let batch = state.flow.batch();
        let before = batch.len();
        written.move_to(batch);
        let length = batch.len();
        let mut is_full = length >= FLUSH_BYTES;
        state.flow.appended(length - before);
        if written.has_blobs() {
            state.flow.put_between(written.take_blobs());
            is_full = state.flow.waiting() >= FLUSH_SHARED_BYTES as u64;
        }
        let end = state.flow.placed();
        // A frame's own length is a number of this size.
        let length = (end - begin) as u32;
        let wrote_batch = pace == Pace::Gathered && is_full;
        self.go_on(state, if wrote_batch { Pace::AtOnce } else { pace }, before == 0);
        Ok(Placed { end, length, wrote_batch })
    }

    /// Sees to it that what has been appended is written. `first` says that nothing had been before it.
    #[inline(always)]
    fn go_on(&self, state: MutexGuard<'_, State>, pace: Pace, first: bool) {
        if state.flow.is_taken() {
            // Whoever writes looks again afterwards.
            return;
        }
        let is_left_over = state.flow.is_left_over();
        if pace == Pace::Gathered || is_left_over {
            // Where something waited already, the task has been told.
            let tell = !state.is_blocked && (first || is_left_over);
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

    #[inline(always)]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(all(test, not(interleaved)))]
mod tests;
