//! Stream data that has been sent and not yet acknowledged.

use std::collections::VecDeque;

use super::buffer_pool::BufferPool;
use super::chunk::Chunk;

/// The size of the chunks in which small batches are combined.
const CHUNK_BYTES: usize = 64 << 10;

/// Written bytes, from the first that the other end may not have. The writer has to limit their number.
#[derive(Debug, Default)]
pub struct Unacked {
    /// The number of the first stored byte. It may have been acknowledged already, as part of a piece that has not been
    /// completely.
    start: u64,
    pieces: VecDeque<Chunk>,
    /// The bytes after the pieces.
    recent: Vec<u8>,
    /// The number of the byte after the last.
    end: u64,
    /// The number of bytes that the other end has.
    acknowledged: u64,
    buffer_pool: BufferPool,
}

/// An acknowledgement of bytes that were never written, or a request for bytes that were acknowledged: the other end is faulty
/// or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it claims to have {claimed} bytes; between {first} and {written} are possible")]
pub struct InvalidAck {
    /// The number of bytes that it claims to have.
    pub claimed: u64,
    /// The first byte that it could still request.
    pub first: u64,
    /// The number of written bytes.
    pub written: u64,
}

impl Unacked {
    /// Creates an empty buffer. The memory of batches goes to `buffer_pool`.
    pub fn new(buffer_pool: BufferPool) -> Self {
        Self { buffer_pool, ..Self::default() }
    }

    /// Returns the number of bytes that were added since the beginning.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Returns the number of acknowledged bytes.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Adds the next piece of the stream.
    pub fn push(&mut self, piece: Chunk) {
        self.seal_recent();
        self.end += piece.len() as u64;
        self.pieces.push_back(piece);
        self.drop_acknowledged();
    }

    /// Adds a few bytes like [`Unacked::push`], by copying them.
    pub fn push_copy(&mut self, bytes: &[u8]) {
        if self.acknowledged >= self.end + bytes.len() as u64 {
            self.end += bytes.len() as u64;
            return self.drop_acknowledged();
        }
        self.recent.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
        if self.recent.len() >= CHUNK_BYTES {
            self.seal_recent();
        }
    }

    /// Returns memory for the next batch, which may grow to `bytes`.
    pub fn take_buffer(&mut self, bytes: usize) -> Vec<u8> {
        self.buffer_pool.take(bytes)
    }

    /// Records that the other end has the first `bytes` of the stream, of which `written` bytes have been written.
    ///
    /// # Errors
    /// [`InvalidAck`] if that is impossible; nothing has changed. A late acknowledgement changes nothing either.
    pub fn acknowledge(&mut self, bytes: u64, written: u64) -> Result<(), InvalidAck> {
        if bytes > written {
            return Err(InvalidAck { claimed: bytes, first: self.acknowledged, written });
        }
        self.acknowledged = self.acknowledged.max(bytes);
        self.drop_acknowledged();
        Ok(())
    }

    /// Removes and returns all stored pieces, because the stream has to be written again from the byte numbered `from`, with the
    /// number of bytes before that one. `written` bytes have been written.
    ///
    /// # Errors
    /// [`InvalidAck`] if that byte is no longer stored, or was never written; nothing has changed.
    pub fn rewind(&mut self, from: u64, written: u64) -> Result<(VecDeque<Chunk>, usize), InvalidAck> {
        if from < self.acknowledged {
            return Err(InvalidAck { claimed: from, first: self.acknowledged, written });
        }
        self.acknowledge(from, written)?;
        self.seal_recent();
        self.end = self.start;
        Ok((std::mem::take(&mut self.pieces), (from - self.start) as usize))
    }

    /// Drops all stored pieces.
    pub fn abandon(&mut self) {
        (self.pieces, self.recent) = (VecDeque::new(), Vec::new());
        self.start = self.end;
    }

    fn seal_recent(&mut self) {
        if !self.recent.is_empty() {
            let next = Vec::with_capacity(self.recent.len().min(CHUNK_BYTES));
            self.pieces.push_back(Chunk::Batch(std::mem::replace(&mut self.recent, next)));
        }
    }

    fn drop_acknowledged(&mut self) {
        while let Some(first) = self.pieces.front() {
            let end = self.start + first.len() as u64;
            if end > self.acknowledged {
                return;
            }
            self.start = end;
            if let Some(Chunk::Batch(batch)) = self.pieces.pop_front() {
                self.buffer_pool.give(batch);
            }
        }
        if self.acknowledged >= self.end {
            self.start = self.end;
            self.recent.clear();
        }
    }
}
