//! Bytes on their way out of one link: a bounded batch that anybody appends to, and whoever is free writes.
//!
//! Batching is opportunistic. While nobody writes, a sender in a hurry writes its own frame at once; while somebody
//! does, the batch fills, and leaves whole when the write has ended. What has been written is kept until the other end has
//! acknowledged it, so that it can be written again when the connection is replaced.

mod acks;
mod flush;
mod fragments;
mod permit;

use std::convert::Infallible;
use std::ops::Range;
use std::sync::PoisonError;

use bytes::Bytes;
use meshzero_proto::buffer::Buffer;
use meshzero_proto::limits::Limits;
use meshzero_proto::stream::{BufferPool, SendStream, TELL_BYTES};
use meshzero_proto::wire::frame::FrameKind;
use tokio::sync::Notify;

pub(crate) use self::acks::QueueStats;
pub(crate) use self::permit::{QueueClosed, SendPermit, SpaceNeeded};
use crate::message::written::EncodedParts;
use crate::net::connection::WriteHalf;
use crate::runtime::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::runtime::sync::{Arc, Mutex, MutexGuard};
use crate::telemetry::counters::TrafficCounters;

/// A gathered batch of this length is written by whoever filled it. Measured: with a quarter of it large messages reach
/// less than half the throughput, and more gains nothing.
const FLUSH_BYTES: usize = 256 << 10;

/// The same where large payloads lie beside the batch, which takes no more cache for them. Measured: one system call of this
/// length moves nearly twice as many bytes a second as three of a third, and one of twice as much fewer again.
const FLUSH_SHARED_BYTES: usize = 640 << 10;

/// The outgoing half of a link, shared by all who send on it.
#[derive(Debug)]
pub(crate) struct SendQueue {
    state: Mutex<SendState>,
    limit: usize,
    meter: Arc<TrafficCounters>,
    filled: Notify,
    drained: Notify,
    /// Held by whoever waits for room, so that those who wait are served in order.
    turn: tokio::sync::Mutex<()>,
    /// The number of those who wait for room or are about to use it: nobody may overtake them.
    queued: AtomicUsize,
    /// Set when a frame is refused because too much waits, and cleared when somebody finds less: then nothing is written in vain.
    was_full: AtomicBool,
    /// Set if [`SendQueue::left`] is to be notified when bytes leave.
    is_watched: AtomicBool,
    left: Notify,
}

#[derive(Debug)]
struct SendState {
    flow: SendStream,
    /// The connection, if there is one.
    socket: Option<Arc<WriteHalf>>,
    /// Set if the connection's task waits for the socket, and will look again.
    is_blocked: bool,
    /// Set if the system has been told to keep little for this connection, because long replies leave on it.
    is_kept_short: bool,
    closed: bool,
    /// The number of connections after the first.
    resumed: u64,
    /// The number of items of each topic that are worth sending, if news leave here for a subscriber that wants only the newest.
    newest: Option<u32>,
}

/// The time at which a frame is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// At once, by whoever appended it, unless somebody is writing.
    AtOnce,
    /// By the connection's own task, with whatever has been appended until then.
    Gathered,
}

/// The properties of a reply that matter to its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplyFrame {
    /// The request that it answers.
    pub id: u64,
    /// A frame of more bytes leaves in pieces.
    pub longest: usize,
}

/// The place of a frame in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenRange {
    /// Its last byte is this byte of the stream.
    pub end: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Set if appending it took the time to write a whole batch: then others on the thread should have their turn.
    pub wrote_batch: bool,
}

impl WrittenRange {
    /// The bytes of the stream that it is.
    pub(crate) fn bytes(&self) -> Range<u64> {
        self.end - u64::from(self.length)..self.end
    }
}

/// Errors of appending a frame: nothing was appended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError<E> {
    /// The connection is closed.
    Closed,
    /// As many bytes wait as may.
    Full,
    /// The frame could not be written.
    Frame(E),
}

impl SendQueue {
    /// An outbox in which as many bytes wait for `socket` as the limits say, besides the frame that crosses the limit. It counts
    /// its writes in `meter`, and takes memory for its batches from `spares`.
    pub(crate) fn new(
        socket: WriteHalf,
        limits: &Limits,
        meter: &Arc<TrafficCounters>,
        spares: &BufferPool,
    ) -> Self {
        let window = limits.unacknowledged_bytes.max(2 * TELL_BYTES);
        let state = SendState {
            flow: SendStream::new(window, spares.clone()),
            socket: Some(Arc::new(socket)),
            is_blocked: false,
            is_kept_short: false,
            closed: false,
            resumed: 0,
            newest: None,
        };
        Self {
            state: Mutex::new(state),
            limit: limits.send_queue_bytes,
            meter: Arc::clone(meter),
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
    pub(crate) fn push<E>(
        &self,
        room: SpaceNeeded,
        pace: Flush,
        frame: impl FnOnce(&mut Buffer) -> Result<(), E>,
    ) -> Result<WrittenRange, PushError<E>> {
        if !self.has_room_for(room) {
            return Err(PushError::Full);
        }
        EncodedParts::with(|written| {
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
        room: SpaceNeeded,
        pace: Flush,
        written: &mut EncodedParts,
    ) -> Result<WrittenRange, PushError<E>> {
        if room != SpaceNeeded::Any && self.has_waiters() {
            return Err(PushError::Full);
        }
        self.append(self.limit_of(room), pace, None, written)
    }

    /// Appends what `frame` writes, which is the reply to a request. A closed connection drops it.
    pub(crate) fn push_reply(&self, reply: ReplyFrame, pace: Flush, frame: impl FnOnce(&mut Buffer)) {
        EncodedParts::with(|written| {
            let Ok(()) = written.write::<Infallible>(|out| {
                frame(out);
                Ok(())
            });
            // On a closed connection nobody waits for the answer.
            let _ = self.append::<Infallible>(None, pace, Some(reply), written);
        });
    }

    /// Appends whole frames and leaves `frames` empty, and writes at once. A closed connection drops them.
    pub(crate) fn push_frames(&self, frames: &mut Vec<u8>) {
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
        self.schedule_flush(state, Flush::AtOnce, true);
    }

    /// Appends whole frames without copying them, and writes at once.
    ///
    /// # Errors
    /// [`QueueClosed`].
    pub(crate) fn share(&self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), QueueClosed> {
        let mut state = self.lock();
        if state.closed {
            return Err(QueueClosed);
        }
        if state.newest.is_some() {
            state.flow.mark();
        }
        frames.into_iter().for_each(|frames| state.flow.share(frames));
        self.schedule_flush(state, Flush::AtOnce, true);
        Ok(())
    }

    /// After a connection was replaced, sends only the newest `items` of each topic among the news that have not arrived, and tells
    /// the other end how many are missing.
    pub(crate) fn keep_newest(&self, items: u32) {
        self.lock().newest = Some(items);
    }

    /// Closes the outbox: what is there is still written, and nothing more is taken.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.closed = true;
            state.flow.append_bulk();
            state.flow.keep_up(FrameKind::Bye, 0);
            self.schedule_flush(state, Flush::AtOnce, true);
        }
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits until the outbox is closed and all that was in it has been written.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn finished(&self) {
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

    /// Returns whether there is a connection.
    pub(crate) fn is_attached(&self) -> bool {
        self.lock().socket.is_some()
    }

    /// Makes nothing of a frame that has not begun to leave, and says whether it could.
    pub(crate) fn withdraw(&self, frame: Range<u64>) -> bool {
        self.lock().flow.withdraw(frame)
    }

    #[inline(always)]
    fn append<E>(
        &self,
        limit: Option<usize>,
        pace: Flush,
        reply: Option<ReplyFrame>,
        written: &mut EncodedParts,
    ) -> Result<WrittenRange, PushError<E>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if limit.is_some_and(|limit| state.flow.waiting() >= limit as u64) {
            self.was_full.store(true, Ordering::Relaxed);
            return Err(PushError::Full);
        }
        let begin = state.flow.placed();
        if let Some(ReplyFrame { id, longest }) = reply
            && written.length() > longest
        {
            self.set_aside(state, id, written.take_pieces());
            return Ok(WrittenRange { end: begin, length: 0, wrote_batch: false });
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
        let wrote_batch = pace == Flush::Gathered && is_full;
        self.schedule_flush(state, if wrote_batch { Flush::AtOnce } else { pace }, before == 0);
        Ok(WrittenRange { end, length, wrote_batch })
    }

    /// Sees to it that what has been appended is written. `first` says that nothing had been before it.
    #[inline(always)]
    fn schedule_flush(&self, state: MutexGuard<'_, SendState>, pace: Flush, first: bool) {
        if state.flow.is_taken() {
            // Whoever writes looks again afterwards.
            return;
        }
        let is_left_over = state.flow.is_left_over();
        if pace == Flush::Gathered || is_left_over {
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

    #[inline(always)]
    fn lock(&self) -> MutexGuard<'_, SendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests;
