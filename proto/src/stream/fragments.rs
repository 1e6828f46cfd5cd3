//! Long frames, which enter a stream in pieces, so that short frames can be sent between them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::frame::{FrameKind, Header, LAST};

/// The maximum size of a piece; longer replies are split.
pub const PIECE_BYTES: usize = 64 << 10;

/// The maximum number of pieces that are sent at once while the system accepts everything: the size that it handles best in
/// one call.
const MAX_BURST_PIECES: usize = 8;

/// Long frames that are not yet completely in the stream. Their pieces alternate.
#[derive(Debug)]
pub(super) struct FragmentQueue {
    frames: VecDeque<PendingFrame>,
    /// The total size of the remaining bytes.
    bytes: u64,
    piece_bytes: usize,
    /// The number of pieces that are sent at once. It is one if the system has not accepted everything, because a short frame
    /// waits behind the remainder.
    burst: usize,
}

/// The remainder of one frame.
#[derive(Debug)]
struct PendingFrame {
    id: u64,
    rope: VecDeque<Bytes>,
    bytes: usize,
}

impl Default for FragmentQueue {
    fn default() -> Self {
        Self::with_piece_size(PIECE_BYTES)
    }
}

impl FragmentQueue {
    /// Creates an empty queue with this maximum size of a piece.
    pub(super) fn with_piece_size(piece_bytes: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, piece_bytes, burst: 1 }
    }

    /// Returns true if nothing remains.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Returns the number of remaining bytes.
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

    /// Drops the remainder of the frames that belong to the request `id`.
    pub(super) fn remove(&mut self, id: u64) {
        self.frames.retain(|frame| frame.id != id);
        self.bytes = self.frames.iter().map(|frame| frame.bytes as u64).sum();
    }

    /// Returns the next piece: its header, its length and its bytes.
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

    /// Returns the size of a burst: pieces are added while less than this is waiting.
    pub(super) fn burst_bytes(&self) -> usize {
        self.burst * self.piece_bytes
    }

    /// Records that the system has accepted `written` bytes; `has_remainder` is set if it has not accepted all.
    #[cold]
    pub(super) fn adapt(&mut self, written: usize, has_remainder: bool) {
        if has_remainder {
            self.burst = 1;
        } else if written >= self.burst_bytes() {
            self.burst = (2 * self.burst).min(MAX_BURST_PIECES);
        }
    }
}

impl PendingFrame {
    /// Takes at most `max` bytes off the front.
    fn split(&mut self, max: usize) -> Vec<Bytes> {
        let mut room = max;
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
        self.bytes -= max - room;
        piece
    }
}
