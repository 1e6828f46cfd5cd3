//! Bytes being written to a socket, in order: frames that were appended to one batch, and shared payloads.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::chunk::Chunk;
use super::unacked::Unacked;
use crate::codec::DetachedBlob;

/// The maximum number of pieces per system call; Linux accepts 1,024, and more than this saves nothing.
pub const SLICES: usize = 128;

/// The approximate maximum size of one system call: a longer one is slower than two.
const MAX_CALL_BYTES: usize = 640 << 10;

/// The size below which a batch is copied when it is stored as sent, so that its memory can be reused for the next one at once.
const COPIED_BYTES: usize = 16 << 10;

/// The capacity beyond which memory is returned to the allocator when a batch has used little of it.
const MAX_IDLE_BYTES: usize = 512 << 10;

/// Bytes in the order in which they are sent.
#[derive(Debug, Default)]
pub struct WriteBatch {
    /// The pieces sent before the batch.
    pieces: VecDeque<Chunk>,
    batch: Vec<u8>,
    /// The number of bytes of the first piece, or of the batch, that have been sent already, or need not be sent again.
    sent: usize,
}

impl WriteBatch {
    /// Returns true if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.pieces.is_empty()
    }

    /// Returns the batch to which bytes are appended.
    pub fn batch(&mut self) -> &mut Vec<u8> {
        &mut self.batch
    }

    /// Adds bytes without copying them.
    pub fn push_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if !self.batch.is_empty() {
            self.pieces.push_back(Chunk::Batch(std::mem::take(&mut self.batch)));
        }
        self.pieces.push_back(Chunk::Shared(bytes));
    }

    /// Inserts blobs at their positions between the bytes of the batch.
    pub fn insert_blobs(&mut self, blobs: Vec<DetachedBlob>) {
        let mut split_at = 0;
        for DetachedBlob { at, bytes } in blobs {
            let rest = self.batch.split_off(at - split_at);
            split_at = at;
            self.push_shared(bytes);
            self.batch = rest;
        }
    }

    /// Fills `slices` with the next pieces to send; returns their number.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let all_pieces = self.pieces.iter().map(|piece| &piece[..]).chain(Some(&self.batch[..]));
        let mut skip = self.sent;
        let (mut count, mut remaining) = (0, MAX_CALL_BYTES);
        for (slice, piece) in slices.iter_mut().zip(all_pieces.filter(|piece| !piece.is_empty())) {
            let piece = &piece[std::mem::take(&mut skip)..];
            let piece = &piece[..piece.len().min(remaining)];
            *slice = IoSlice::new(piece);
            count += 1;
            remaining -= piece.len();
            if remaining == 0 {
                break;
            }
        }
        count
    }

    /// Returns the batch, if there are no other pieces.
    pub fn only_batch(&self) -> Option<&[u8]> {
        self.pieces.is_empty().then(|| &self.batch[self.sent..])
    }

    /// Records that the first `bytes` have been sent, and moves the completely sent pieces to `sent`.
    pub fn advance(&mut self, bytes: usize, sent: &mut Unacked) {
        self.sent += bytes;
        while let Some(first) = self.pieces.front() {
            if self.sent < first.len() {
                return;
            }
            self.sent -= first.len();
            if let Some(first) = self.pieces.pop_front() {
                sent.push(first);
            }
        }
        if self.sent < self.batch.len() || self.batch.is_empty() {
            return;
        }
        self.sent = 0;
        if self.batch.len() < COPIED_BYTES {
            sent.push_copy(&self.batch);
            if self.batch.len() < self.batch.capacity() / 4 {
                self.batch.shrink_to(MAX_IDLE_BYTES);
            }
            self.batch.clear();
        } else {
            let next = sent.take_buffer(self.batch.len());
            sent.push(Chunk::Batch(std::mem::replace(&mut self.batch, next)));
        }
    }

    /// Returns the number of sent bytes of a piece that has not been moved to an [`Unacked`].
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Inserts `pieces` in front; their first `sent_length` bytes need not be sent again.
    pub fn put_back(&mut self, mut pieces: VecDeque<Chunk>, sent_length: usize) {
        pieces.append(&mut self.pieces);
        self.pieces = pieces;
        self.sent = sent_length;
    }

    /// Returns the byte at `offset`, counted from the first that has not been moved to an [`Unacked`], if it may be changed.
    pub fn byte_mut(&mut self, mut offset: usize) -> Option<&mut u8> {
        for piece in &mut self.pieces {
            if offset < piece.len() {
                return match piece {
                    Chunk::Batch(bytes) => bytes.get_mut(offset),
                    Chunk::Shared(_) => None,
                };
            }
            offset -= piece.len();
        }
        self.batch.get_mut(offset)
    }

    /// Takes all bytes out as one batch, including those that have been sent but not moved to an [`Unacked`].
    pub fn take_all(&mut self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.pieces.drain(..).for_each(|piece| all.extend_from_slice(&piece));
        all.append(&mut self.batch);
        all
    }

    /// Returns the number of bytes, including those that have been sent but not moved to an [`Unacked`].
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum::<usize>() + self.batch.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(batch: &WriteBatch) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = batch.fill(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn bytes_are_sent_in_order_however_they_are_split() {
        for step in 1..9 {
            let (mut batch, mut sent) = (WriteBatch::default(), Unacked::default());
            batch.batch().extend_from_slice(b"ab");
            batch.advance(1, &mut sent);
            batch.push_shared(Bytes::from_static(b"cde"));
            batch.push_shared(Bytes::from_static(b""));
            batch.batch().extend_from_slice(b"fgh");
            let mut written = Vec::new();
            while !batch.is_empty() {
                let rest = all(&batch);
                let count = step.min(rest.len());
                written.extend_from_slice(&rest[..count]);
                batch.advance(count, &mut sent);
            }
            assert_eq!(written, b"bcdefgh");
            assert_eq!(sent.end(), 8);
            batch.batch().extend_from_slice(b"i");
            assert_eq!(batch.only_batch(), Some(&b"i"[..]));
        }
    }

    #[test]
    fn one_system_call_is_limited_to_a_fast_size() {
        let (mut batch, mut sent) = (WriteBatch::default(), Unacked::default());
        batch.batch().push(1);
        batch.push_shared(vec![2; MAX_CALL_BYTES].into());
        batch.push_shared(vec![3; 10].into());
        let first = all(&batch);
        assert!(first.len() == MAX_CALL_BYTES && first[0] == 1 && first[1..].iter().all(|byte| *byte == 2));
        batch.advance(first.len(), &mut sent);
        assert_eq!(all(&batch), [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn a_byte_can_be_changed_unless_its_memory_is_shared() {
        let mut batch = WriteBatch::default();
        batch.batch().extend_from_slice(b"ab");
        batch.push_shared(Bytes::from_static(b"cde"));
        batch.batch().extend_from_slice(b"fgh");
        for (at, byte) in [(1, Some(b'b')), (2, None), (4, None), (5, Some(b'f')), (7, Some(b'h')), (8, None)]
        {
            assert_eq!(batch.byte_mut(at).copied(), byte, "{at}");
        }
        assert_eq!(batch.len(), 8);
    }
}
