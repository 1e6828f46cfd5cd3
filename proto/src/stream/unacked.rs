//! What has been written of a stream and may have to be written again.

use std::collections::VecDeque;

use super::buffer_pool::BufferPool;
use super::chunk::Chunk;

/// Small batches are kept together in chunks of this length.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes that were written, from the first that the other end may not have. How many they become is up to the writer, who
/// stops at a bound.
#[derive(Debug, Default)]
pub struct Unacked {
    /// The number of the first byte that is kept. It may have been acknowledged already, as the beginning of a piece.
    begin: u64,
    pieces: VecDeque<Chunk>,
    /// What follows them.
    tail: Vec<u8>,
    /// The number of the byte behind the last.
    end: u64,
    /// Bytes that the other end has.
    acknowledged: u64,
    spares: BufferPool,
}

/// The other end says that it has bytes that were never written, or wants some that it had: it is broken, or lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it claims to have {claimed} bytes of those numbered {first} to {written}")]
pub struct InvalidAck {
    /// Bytes that it claims to have.
    pub claimed: u64,
    /// The first byte that it could still want.
    pub first: u64,
    /// Bytes that were written.
    pub written: u64,
}

impl Unacked {
    /// Nothing yet. The memory of batches goes to `buffer_pool`.
    pub fn new(spares: BufferPool) -> Self {
        Self { spares, ..Self::default() }
    }

    /// How many bytes were given to be kept since the beginning.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes the other end is known to have.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Keeps what follows on all before.
    pub fn keep(&mut self, piece: Chunk) {
        self.seal();
        self.end += piece.len() as u64;
        self.pieces.push_back(piece);
        self.drop_acknowledged();
    }

    /// As [`Unacked::keep`], for a few bytes.
    pub fn keep_copy(&mut self, bytes: &[u8]) {
        if self.acknowledged >= self.end + bytes.len() as u64 {
            self.end += bytes.len() as u64;
            return self.drop_acknowledged();
        }
        self.tail.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
        if self.tail.len() >= CHUNK_BYTES {
            self.seal();
        }
    }

    /// Memory for the next batch, which may become as long as `bytes`.
    pub fn spare(&mut self, bytes: usize) -> Vec<u8> {
        self.spares.take(bytes)
    }

    /// Notes that the other end has the first `bytes` of the stream, of which `written` have been written.
    ///
    /// # Errors
    /// [`InvalidAck`] if that cannot be; nothing has changed. An acknowledgement that comes late changes nothing either.
    pub fn acknowledge(&mut self, bytes: u64, written: u64) -> Result<(), InvalidAck> {
        if bytes > written {
            return Err(InvalidAck { claimed: bytes, first: self.acknowledged, written });
        }
        self.acknowledged = self.acknowledged.max(bytes);
        self.drop_acknowledged();
        Ok(())
    }

    /// Gives back all that is kept, because it has to be written again from the byte numbered `from` on, with how many
    /// bytes come before that one. `written` have been written.
    ///
    /// # Errors
    /// [`InvalidAck`] if that byte is not kept any more, or was never written; nothing has changed.
    pub fn take_back(&mut self, from: u64, written: u64) -> Result<(VecDeque<Chunk>, usize), InvalidAck> {
        if from < self.acknowledged {
            return Err(InvalidAck { claimed: from, first: self.acknowledged, written });
        }
        self.acknowledge(from, written)?;
        self.seal();
        self.end = self.begin;
        Ok((std::mem::take(&mut self.pieces), (from - self.begin) as usize))
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let next = Vec::with_capacity(self.tail.len().min(CHUNK_BYTES));
            self.pieces.push_back(Chunk::Batch(std::mem::replace(&mut self.tail, next)));
        }
    }

    fn drop_acknowledged(&mut self) {
        while let Some(first) = self.pieces.front() {
            let end = self.begin + first.len() as u64;
            if end > self.acknowledged {
                return;
            }
            self.begin = end;
            if let Some(Chunk::Batch(batch)) = self.pieces.pop_front() {
                self.spares.give(batch);
            }
        }
        if self.acknowledged >= self.end {
            self.begin = self.end;
            self.tail.clear();
        }
    }
}
