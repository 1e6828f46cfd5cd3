//! Long frames beside a stream: they become parts of it in pieces, so that short frames leave between them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::frame::{FrameKind, Header, LAST};

/// A longer reply leaves in pieces of at most so many bytes.
pub const PIECE_BYTES: usize = 64 << 10;

/// Pieces that leave in one go while the system takes all that it is given: as many as it takes in one call best.
const MOST_PIECES: usize = 8;

/// Long frames of which not all has become a part of the stream. They take turns.
#[derive(Debug)]
pub(super) struct FragmentQueue {
    frames: VecDeque<PendingFrame>,
    /// What is left of all of them.
    bytes: u64,
    piece_bytes: usize,
    /// How many pieces leave in one go. It is one when the system has not taken everything, because a short frame waits
    /// behind what it leaves over.
    burst: usize,
}

/// What is left of one frame.
#[derive(Debug)]
struct PendingFrame {
    id: u64,
    rope: VecDeque<Bytes>,
    bytes: usize,
}

impl Default for FragmentQueue {
    fn default() -> Self {
        Self::in_pieces_of(PIECE_BYTES)
    }
}

impl FragmentQueue {
    /// None yet, and pieces of at most so many bytes.
    pub(super) fn in_pieces_of(piece_bytes: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, piece_bytes, burst: 1 }
    }

    /// Whether nothing is left.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that are left.
    #[inline(always)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a frame that belongs to the request `id`.
    pub(super) fn push(&mut self, id: u64, rope: VecDeque<Bytes>) {
        let bytes = rope.iter().map(Bytes::len).sum::<usize>();
        if bytes > 0 {
            self.bytes += bytes as u64;
            self.frames.push_back(PendingFrame { id, rope, bytes });
        }
    }

    /// Forgets what is left of the frames that belong to the request `id`.
    pub(super) fn remove(&mut self, id: u64) {
        self.frames.retain(|frame| frame.id != id);
        self.bytes = self.frames.iter().map(|frame| frame.bytes as u64).sum();
    }

    /// The next piece: its header, its length and its bytes.
    pub(super) fn next(&mut self) -> Option<(Header, usize, Vec<Bytes>)> {
        let mut frame = self.frames.pop_front()?;
        let piece = frame.split(self.piece_bytes);
        let length = piece.iter().map(Bytes::len).sum::<usize>();
        self.bytes -= length as u64;
        let flags = if frame.bytes == 0 { LAST } else { 0 };
        let header = Header { flags, ..Header::new(FrameKind::Piece, frame.id) };
        if frame.bytes > 0 {
            self.frames.push_back(frame);
        }
        Some((header, length, piece))
    }

    /// Pieces are added while fewer bytes than these are to leave in one go.
    pub(super) fn burst_bytes(&self) -> usize {
        self.burst * self.piece_bytes
    }

    /// Notes that the system has taken `wrote` bytes, and whether it has left some over.
    #[cold]
    pub(super) fn adapt(&mut self, wrote: usize, is_left_over: bool) {
        if is_left_over {
            self.burst = 1;
        } else if wrote >= self.burst_bytes() {
            self.burst = (2 * self.burst).min(MOST_PIECES);
        }
    }
}

impl PendingFrame {
    /// Takes at most `most` bytes off the front.
    fn split(&mut self, most: usize) -> Vec<Bytes> {
        let mut room = most;
        let mut piece = Vec::new();
        while room > 0
            && let Some(bytes) = self.rope.front_mut()
        {
            let part = bytes.split_to(bytes.len().min(room));
            if bytes.is_empty() {
                self.rope.pop_front();
            }
            room -= part.len();
            piece.push(part);
        }
        self.bytes -= most - room;
        piece
    }
}
