//! The reader of frames from one connection, in batches: all that arrived with one read.

use std::hint;
use std::io::ErrorKind::{Interrupted, WouldBlock};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use meshzero_proto::stream::RecvCounter;
use meshzero_proto::wire::frame::{self, CompleteFrames, Frame, FrameContents, FrameError};
use tokio::io::AsyncReadExt;
use tokio::task;

use crate::link::config::LinkConfig;
use crate::link::progress::ReceiveCounters;
use crate::link::send_queue::SendQueue;
use crate::net::connection::ReadHalf;
use crate::telemetry::counters::TrafficCounters;

/// The initial size of a read, which is small because of connections that are mostly idle, and the greatest. One read is
/// handled without a pause, and a larger one would delay other tasks on the thread.
const FIRST_READ_BYTES: usize = 4 << 10;
const MAX_READ_BYTES: usize = 32 << 10;

/// The length from which several frames are read at a time. Otherwise the part of a frame that the next read begins with would
/// have to be moved for each of them.
const LARGE_FRAME_BYTES: usize = 16 << 10;
const LARGE_FRAMES: usize = 4;
const MAX_READ_AHEAD_BYTES: usize = 512 << 10;

/// The number of polls of a spinning reader between two turns of other tasks on the thread.
const SPIN_TRIES: usize = 4;

/// The incoming half of a link, cut into frames.
#[derive(Debug)]
pub(crate) struct FrameReader {
    /// `None` while there is no connection.
    reader: Option<ReadHalf>,
    received: RecvCounter,
    buffer: BytesMut,
    /// The memory of an earlier read, which is reused once its contents have been handled.
    spare_buffer: BytesMut,
    limit: usize,
    read_bytes: usize,
    /// The number of bytes that have arrived in all. No more than this is reserved for the peer.
    arrived: usize,
    spin: Duration,
    /// Memory for bytes that arrive while spinning.
    spin_buffer: Vec<u8>,
    counters: Arc<TrafficCounters>,
    progress: Arc<ReceiveCounters>,
}

/// Errors that end a stream of frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameReaderError {
    /// The connection failed, or ended within a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the protocol.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl FrameReader {
    /// Creates a reader of frames whose message has at most `message_bytes`.
    pub(crate) fn new(reader: ReadHalf, message_bytes: usize, link_config: &LinkConfig) -> Self {
        Self {
            reader: Some(reader),
            received: RecvCounter::default(),
            buffer: BytesMut::new(),
            spare_buffer: BytesMut::new(),
            limit: message_bytes + frame::OVERHEAD_BYTES,
            read_bytes: FIRST_READ_BYTES,
            arrived: 0,
            spin: link_config.spin,
            spin_buffer: Vec::new(),
            counters: Arc::clone(&link_config.traffic),
            progress: Arc::default(),
        }
    }

    /// Drops the connection, which was lost. Bytes that have arrived stay, and none arrive until there is another connection.
    pub(crate) fn detach(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.reset_on_close();
        }
    }

    /// Continues with another connection.
    pub(crate) fn attach(&mut self, reader: ReadHalf) {
        self.reader = Some(reader);
    }

    /// Returns the most bytes that a frame may have besides its header.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the counter of the bytes of the stream that have arrived.
    pub(crate) fn received(&mut self) -> &mut RecvCounter {
        &mut self.received
    }

    /// Returns the receive counters, for tasks that watch the link.
    pub(crate) fn progress(&self) -> &Arc<ReceiveCounters> {
        &self.progress
    }

    /// Waits for the next frame; `None` when the peer has closed the connection between two frames.
    ///
    /// # Errors
    /// [`FrameReaderError`].
    ///
    /// # Cancel safety
    /// This method is cancel safe. Bytes that were read stay in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, FrameReaderError> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer, self.limit)? {
                return Ok(Some(frame));
            }
            let next = frame::scan(&self.buffer, self.limit)?.next;
            if self.fill(next).await? == 0 {
                return self.end();
            }
        }
    }

    /// Waits for frames, and returns all that have arrived, complete ones only, with a summary of their contents.
    /// Acknowledgements are sent by `send_queue` from time to time, also in the middle of a long frame.
    ///
    /// # Errors
    /// [`FrameReaderError`]; the end of the connection is one.
    ///
    /// # Cancel safety
    /// This method is cancel safe. Bytes that were read stay in the buffer.
    pub(crate) async fn read_batch(
        &mut self,
        send_queue: &SendQueue,
    ) -> Result<(Bytes, FrameContents), FrameReaderError> {
        loop {
            let CompleteFrames { complete_bytes, contents, next } = frame::scan(&self.buffer, self.limit)?;
            if complete_bytes > 0 {
                return Ok((self.buffer.split_to(complete_bytes).freeze(), contents));
            }
            if self.fill(next).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some(received) = self.received.take_ack() {
                send_queue.send_ack(received);
            }
        }
    }

    fn end<T>(&self) -> Result<Option<T>, FrameReaderError> {
        if self.buffer.is_empty() {
            Ok(None)
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        }
    }

    /// Reads once. `next` is the length of the frame that has begun to arrive.
    async fn fill(&mut self, next: Option<usize>) -> io::Result<usize> {
        let missing = next.map_or(0, |next| next.saturating_sub(self.buffer.len()));
        let ahead = match next {
            Some(next) if next >= LARGE_FRAME_BYTES => {
                (LARGE_FRAMES * next).min(MAX_READ_AHEAD_BYTES).max(missing)
            }
            _ => missing,
        };
        let wanted = ahead.min(self.arrived).max(self.read_bytes);
        let free = self.buffer.capacity() - self.buffer.len();
        // A little less is enough, so that small frames do not cause an allocation each time.
        if free < wanted.min(missing.max(self.read_bytes / 2)) {
            self.make_room(wanted);
        }
        let requested = self.buffer.capacity() - self.buffer.len();
        self.progress.set_reading(true);
        let read = self.read().await?;
        self.progress.set_reading(false);
        self.counters.read(read);
        self.received.add(read);
        self.progress.record_read(self.received.bytes());
        self.arrived = self.arrived.saturating_add(read);
        if read == requested {
            self.read_bytes = (self.read_bytes * 2).min(MAX_READ_BYTES);
        }
        Ok(read)
    }

    /// Makes room for `wanted` more bytes, in the spare buffer if that is free.
    fn make_room(&mut self, wanted: usize) {
        if self.buffer.try_reclaim(wanted) {
            return;
        }
        let needed = self.buffer.len() + wanted;
        if !self.spare_buffer.try_reclaim(needed) {
            self.spare_buffer = BytesMut::with_capacity(needed);
        }
        self.spare_buffer.extend_from_slice(&self.buffer);
        std::mem::swap(&mut self.buffer, &mut self.spare_buffer);
        self.spare_buffer.clear();
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.spin > Duration::ZERO
            && let Some(read) = self.spin().await
        {
            return read;
        }
        // Without trying first: only a read that may wait notes that the socket is empty, which saves the next one a
        // system call.
        match &mut self.reader {
            Some(reader) => reader.read_buf(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    /// Polls the system for bytes, with turns for all other tasks on the thread in between; `None` when the time for that is
    /// over. It bypasses tokio, which would notice bytes only once the thread has asked the system for events.
    async fn spin(&mut self) -> Option<io::Result<usize>> {
        let socket = self.reader.as_ref()?.socket()?;
        let started = Instant::now();
        self.spin_buffer.resize(MAX_READ_BYTES, 0);
        while started.elapsed() < self.spin {
            // First come the tasks that have work to do because of earlier bytes.
            task::yield_now().await;
            for _ in 0..SPIN_TRIES {
                match (&*socket).read(&mut self.spin_buffer) {
                    Ok(read) => {
                        self.buffer.extend_from_slice(&self.spin_buffer[..read]);
                        return Some(Ok(read));
                    }
                    Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => hint::spin_loop(),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
        None
    }
}
