//! Bytes on their way to a socket, in order: frames that were appended to one batch, and payloads that are shared.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use meshzero_proto::codec::Beside;

/// Pieces handed to the system in one call; Linux takes 1,024, and more than this saves nothing.
pub const SLICES: usize = 128;

/// Bytes handed to the system in one call, roughly: a longer one is slower than two.
const MOST_BYTES: usize = 640 << 10;

/// Memory beyond this is given back to the allocator when a batch has left most of it unused.
const KEEP_BYTES: usize = 512 << 10;

/// Bytes in the order in which they leave.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// What leaves before the batch.
    pieces: VecDeque<Bytes>,
    batch: Vec<u8>,
    /// Bytes of the first piece, or of the batch, that have left already.
    left: usize,
}

impl Outgoing {
    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.pieces.is_empty()
    }

    /// The batch, to append to.
    pub fn batch(&mut self) -> &mut Vec<u8> {
        &mut self.batch
    }

    /// Adds bytes without copying them.
    pub fn share(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if !self.batch.is_empty() {
            let mut sealed = Bytes::from(std::mem::take(&mut self.batch));
            if self.pieces.is_empty() {
                drop(sealed.split_to(std::mem::take(&mut self.left)));
            }
            self.pieces.push_back(sealed);
        }
        self.pieces.push_back(bytes);
    }

    /// Puts blobs between the bytes of the batch, where they belong.
    pub fn put_between(&mut self, blobs: Vec<Beside>) {
        let mut sealed = 0;
        for Beside { at, bytes } in blobs {
            let rest = self.batch.split_off(at - sealed);
            sealed = at;
            self.share(bytes);
            self.batch = rest;
        }
    }

    /// What leaves next, as many pieces as there is room for in `slices`; returns their number.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let whole = self.pieces.iter().map(|piece| &piece[..]).chain(Some(&self.batch[..]));
        let mut skip = self.left;
        let (mut count, mut room) = (0, MOST_BYTES);
        for (slice, piece) in slices.iter_mut().zip(whole.filter(|piece| !piece.is_empty())) {
            let piece = &piece[std::mem::take(&mut skip)..];
            let piece = &piece[..piece.len().min(room)];
            *slice = IoSlice::new(piece);
            count += 1;
            room -= piece.len();
            if room == 0 {
                break;
            }
        }
        count
    }

    /// The batch, where it is all there is.
    pub fn only_batch(&self) -> Option<&[u8]> {
        self.pieces.is_empty().then(|| &self.batch[self.left..])
    }

    /// Notes that the first `bytes` have left.
    pub fn advance(&mut self, bytes: usize) {
        self.left += bytes;
        while let Some(first) = self.pieces.front() {
            if self.left < first.len() {
                return;
            }
            self.left -= first.len();
            self.pieces.pop_front();
        }
        if self.left == self.batch.len() {
            self.left = 0;
            if self.batch.len() < self.batch.capacity() / 4 {
                self.batch.shrink_to(KEEP_BYTES);
            }
            self.batch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(outgoing: &Outgoing) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = outgoing.fill(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came_however_they_are_cut() {
        for step in 1..9 {
            let mut outgoing = Outgoing::default();
            outgoing.batch().extend_from_slice(b"ab");
            outgoing.advance(1);
            outgoing.share(Bytes::from_static(b"cde"));
            outgoing.share(Bytes::from_static(b""));
            outgoing.batch().extend_from_slice(b"fgh");
            let mut left = Vec::new();
            while !outgoing.is_empty() {
                let rest = all(&outgoing);
                let count = step.min(rest.len());
                left.extend_from_slice(&rest[..count]);
                outgoing.advance(count);
            }
            assert_eq!(left, b"bcdefgh");
            outgoing.batch().extend_from_slice(b"i");
            assert_eq!(outgoing.only_batch(), Some(&b"i"[..]));
        }
    }

    #[test]
    fn one_call_is_not_given_more_than_it_moves_well() {
        let mut outgoing = Outgoing::default();
        outgoing.batch().push(1);
        outgoing.share(vec![2; MOST_BYTES].into());
        outgoing.share(vec![3; 10].into());
        let first = all(&outgoing);
        assert!(first.len() == MOST_BYTES && first[0] == 1 && first[1..].iter().all(|byte| *byte == 2));
        outgoing.advance(first.len());
        assert_eq!(all(&outgoing), [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    }
}
