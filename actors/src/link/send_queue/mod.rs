//! The send queue of one link: a bounded batch to which any sender appends, and which any free task writes.
//!
//! Batching is opportunistic. While no task writes, an urgent sender writes its own frame at once; while one does, the batch
//! fills, and is sent in one write when that one has ended. Bytes that were written are stored until the other end has
//! acknowledged them, so that they can be written again when the connection is replaced.

mod acks;
mod ahead;
mod attach;
mod flush;
mod fragments;
mod permit;

use std::convert::Infallible;
use std::ops::Range;

use bytes::Bytes;
use meshzero_proto::buffer::Buffer;
use meshzero_proto::limits::Limits;
use meshzero_proto::stream::{ACK_BYTES, BufferPool, SendStream};
use meshzero_proto::wire::frame::FrameKind;
use tokio::sync::Notify;

pub(crate) use self::acks::QueueStats;
pub(crate) use self::ahead::{AheadMember, AheadShare};
pub(crate) use self::permit::{QueueClosed, SendPermit, SpaceNeeded};
use crate::message::written::EncodedParts;
use crate::net::connection::WriteHalf;
use crate::runtime::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::runtime::sync::{Arc, Mutex, MutexGuard};
use crate::telemetry::counters::TrafficCounters;
use crate::telemetry::stats::LinkTransport;

/// The length at which the sender that filled a batch writes it. Measured: with a quarter of it large messages reach less than
/// half the throughput, and more gains nothing.
const FLUSH_BYTES: usize = 256 << 10;

/// The same length where large payloads are shared and not copied into the batch, so that the batch takes no more cache.
/// Measured: one system call of this length moves nearly twice as many bytes a second as three of a third of it, and one of
/// twice the length fewer again.
const FLUSH_SHARED_BYTES: usize = 640 << 10;

/// The outgoing half of a link, shared by all senders.
#[derive(Debug)]
pub(crate) struct SendQueue {
    state: Mutex<SendState>,
    limit: usize,
    ahead: Arc<AheadShare>,
    counters: Arc<TrafficCounters>,
    filled: Notify,
    drained: Notify,
    /// Held by the first waiter for space, so that waiters are served in order.
    turn: tokio::sync::Mutex<()>,
    /// The number of senders that wait for space or are about to use it: none may be overtaken.
    queued: AtomicUsize,
    /// Set when a frame is refused because the queue is full, and cleared when a sender finds space: while it is set, no frame
    /// is encoded in vain.
    was_full: AtomicBool,
    /// Set if [`SendQueue::bytes_left`] is to be notified when bytes are sent.
    is_send_watched: AtomicBool,
    bytes_left: Notify,
}

#[derive(Debug)]
struct SendState {
    flow: SendStream,
    /// The connection, if there is one.
    socket: Option<Arc<WriteHalf>>,
    /// The transport of the connection, or of the last one.
    transport: LinkTransport,
    /// Set if the connection's task waits for the socket, and will check the queue afterwards.
    is_blocked: bool,
    /// Set if the system's queue is kept short for this connection, because long replies are sent on it.
    has_short_kernel_queue: bool,
    closed: bool,
    /// The number of connections after the first.
    resumed: u64,
    /// The number of news items of each topic that are worth sending, if a subscriber here wants only the newest.
    newest: Option<u32>,
}

/// The time at which a frame is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// At once, by its sender, unless another task is writing.
    Now,
    /// By the connection's own task, with all frames that have been appended until then.
    Batched,
}

/// The properties of a reply that affect its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplyFrame {
    /// The request that it answers.
    pub id: u64,
    /// The longest frame, in bytes; a longer one is sent in fragments.
    pub max_frame: usize,
}

/// The position of a frame in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenRange {
    /// The offset in the stream at which it ends.
    pub end: u64,
    /// Its length in bytes.
    pub length: u32,
    /// Set if the sender should yield to other tasks on the thread: appending the frame wrote a whole batch, which takes time, or
    /// other batches wait for their tasks.
    pub ends_turn: bool,
}

impl WrittenRange {
    /// Returns its bytes, as a range of the stream.
    pub(crate) fn bytes(&self) -> Range<u64> {
        self.end - u64::from(self.length)..self.end
    }
}

/// Errors of appending a frame: nothing was appended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError<E> {
    /// The connection is closed.
    Closed,
    /// The queue is full.
    Full,
    /// The frame could not be written.
    Frame(E),
}

impl SendQueue {
    /// Creates a queue in front of `socket`, bounded by the limits, apart from the one frame that crosses the bound. It counts
    /// its writes in `counters`, and takes memory for its batches from `buffer_pool`. Senders that can wait fill it up to the
    /// share of a link in `ahead`.
    pub(crate) fn new(
        socket: WriteHalf,
        limits: &Limits,
        counters: &Arc<TrafficCounters>,
        buffer_pool: &BufferPool,
        ahead: &Arc<AheadShare>,
    ) -> Self {
        let window = limits.unacknowledged_bytes.max(2 * ACK_BYTES);
        let state = SendState {
            flow: SendStream::new(window, buffer_pool.clone()),
            transport: transport_of(&socket),
            socket: Some(Arc::new(socket)),
            is_blocked: false,
            has_short_kernel_queue: false,
            closed: false,
            resumed: 0,
            newest: None,
        };
        Self {
            state: Mutex::new(state),
            limit: limits.send_queue_bytes,
            ahead: Arc::clone(ahead),
            counters: Arc::clone(counters),
            filled: Notify::new(),
            drained: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
            was_full: AtomicBool::new(false),
            is_send_watched: AtomicBool::new(false),
            bytes_left: Notify::new(),
        }
    }

    /// Appends the output of `frame`, if there is `space` for it. `frame` runs before the lock is taken.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    #[inline(always)]
    pub(crate) fn push<E>(
        &self,
        space: SpaceNeeded,
        flush: Flush,
        frame: impl FnOnce(&mut Buffer) -> Result<(), E>,
    ) -> Result<WrittenRange, PushError<E>> {
        if !self.has_space_for(space) {
            return Err(PushError::Full);
        }
        EncodedParts::with(|written| {
            written.write(frame).map_err(PushError::Frame)?;
            self.push_encoded(space, flush, written)
        })
    }

    /// Appends an encoded frame, if there is `space` for it.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    #[inline(always)]
    pub(crate) fn push_encoded<E>(
        &self,
        space: SpaceNeeded,
        flush: Flush,
        written: &mut EncodedParts,
    ) -> Result<WrittenRange, PushError<E>> {
        if space != SpaceNeeded::Any && self.has_waiters() {
            return Err(PushError::Full);
        }
        self.append(self.limit_of(space), flush, None, written)
    }

    /// Appends the output of `frame`, which is the reply to a request. A closed queue drops it.
    pub(crate) fn push_reply(&self, reply: ReplyFrame, flush: Flush, frame: impl FnOnce(&mut Buffer)) {
        EncodedParts::with(|written| {
            let Ok(()) = written.write::<Infallible>(|out| {
                frame(out);
                Ok(())
            });
            // The requester of a closed connection no longer waits for the answer.
            let _ = self.append::<Infallible>(None, flush, Some(reply), written);
        });
    }

    /// Appends complete frames, leaves `frames` empty, and writes at once. A closed queue drops them.
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
        self.schedule_flush(state, Flush::Now, true);
    }

    /// Appends complete frames without copying them, and writes at once.
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
        frames.into_iter().for_each(|frames| state.flow.append_shared(frames));
        self.schedule_flush(state, Flush::Now, true);
        Ok(())
    }

    /// After a connection was replaced, sends only the newest `items` of each topic among the news that has not arrived, and
    /// reports the number of missing ones to the other end.
    pub(crate) fn keep_newest(&self, items: u32) {
        self.lock().newest = Some(items);
    }

    /// Closes the queue: its contents are still written, and nothing more is accepted.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.closed = true;
            state.flow.append_all_long();
            state.flow.append_keep_alive(FrameKind::Bye, 0);
            self.schedule_flush(state, Flush::Now, true);
        }
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits until the queue is closed and all of it has been written.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn finished(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.closed && state.flow.pending_bytes() == 0 {
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

    /// Removes a frame, which is possible if no part of it has been sent. Returns whether it was.
    pub(crate) fn withdraw(&self, frame: Range<u64>) -> bool {
        self.lock().flow.withdraw(frame)
    }

    #[inline(always)]
    fn append<E>(
        &self,
        limit: Option<usize>,
        flush: Flush,
        reply: Option<ReplyFrame>,
        written: &mut EncodedParts,
    ) -> Result<WrittenRange, PushError<E>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if limit.is_some_and(|limit| state.flow.pending_bytes() >= limit as u64) {
            self.was_full.store(true, Ordering::Relaxed);
            return Err(PushError::Full);
        }
        let start = state.flow.appended_bytes();
        if let Some(ReplyFrame { id, max_frame }) = reply
            && written.length() > max_frame
        {
            self.push_fragments(state, id, written.take_pieces());
            return Ok(WrittenRange { end: start, length: 0, ends_turn: false });
        }
        let batch = state.flow.batch();
        let previous_length = batch.len();
        written.move_to(batch);
        let length = batch.len();
        let mut is_full = length >= FLUSH_BYTES;
        state.flow.appended(length - previous_length);
        if written.has_blobs() {
            state.flow.insert_blobs(written.take_blobs(previous_length));
            is_full = state.flow.pending_bytes() >= FLUSH_SHARED_BYTES as u64;
        }
        let end = state.flow.appended_bytes();
        // The length of one frame fits 32 bits.
        let length = (end - start) as u32;
        let writes_batch = flush == Flush::Batched && is_full;
        self.schedule_flush(state, if writes_batch { Flush::Now } else { flush }, previous_length == 0);
        let ends_turn =
            flush == Flush::Batched && written.turn().ends_with(length as usize, previous_length == 0);
        Ok(WrittenRange { end, length, ends_turn: ends_turn || writes_batch })
    }

    /// Arranges for appended bytes to be written. `was_empty` is set if the queue was empty before.
    #[inline(always)]
    fn schedule_flush(&self, state: MutexGuard<'_, SendState>, flush: Flush, was_empty: bool) {
        if state.flow.has_writer() {
            // The writing task checks again afterwards.
            return;
        }
        let has_partial_batch = state.flow.has_partial_batch();
        if flush == Flush::Batched || has_partial_batch {
            // If bytes were waiting already, the task has been notified.
            let must_notify = !state.is_blocked && (was_empty || has_partial_batch);
            drop(state);
            if must_notify {
                self.filled.notify_one();
            }
            return;
        }
        self.write_now(state);
    }

    #[inline(always)]
    fn lock(&self) -> MutexGuard<'_, SendState> {
        self.state.lock()
    }
}

fn transport_of(socket: &WriteHalf) -> LinkTransport {
    if socket.is_unix() { LinkTransport::Unix } else { LinkTransport::Tcp }
}

#[cfg(all(test, not(interleaved)))]
mod tests;
