//! Bounded appending to a buffer, for both formats.

use std::io;

use super::blob;
use super::error::EncodeError;

/// The initial room in bytes: enough for many messages, and small enough to be zeroed for each.
const INITIAL_ROOM: usize = 256;

/// The length from which parts are appended, because copying them costs more than growing the buffer.
const LONG_BYTES: usize = 1_024;

/// The most room that is added and zeroed at once. The vector still doubles its capacity.
const MOST_ROOM: usize = 16 << 10;

/// A writer that appends to a buffer until a limit is reached.
///
/// The buffer is kept longer than the written bytes, because writing in place is several times as fast for small parts as
/// appending. The excess is truncated at the end.
pub(super) struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    /// The position of the next byte.
    position: usize,
    max: usize,
    overflowed: bool,
    /// The size of the blobs detached from the buffer at the beginning.
    detached_before: usize,
}

impl<'a> Output<'a> {
    /// Creates a writer that adds at most `max` bytes to `buffer`.
    #[inline]
    pub(super) fn new(buffer: &'a mut Vec<u8>, max: usize) -> Self {
        let start = buffer.len();
        buffer.resize(start + INITIAL_ROOM.min(max), 0);
        Self { buffer, start, position: start, max, overflowed: false, detached_before: blob::detached_len() }
    }

    /// Adds all of `bytes`; otherwise adds nothing and returns false.
    #[inline(always)]
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        // A wrapped end lies before the position, which is no range either.
        let end = self.position.wrapping_add(bytes.len());
        match self.buffer.get_mut(self.position..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.position = end;
                true
            }
            None => self.add_growing(bytes),
        }
    }

    /// Adds `marker` and all of `bytes` like [`add`](Self::add).
    #[inline(always)]
    pub(super) fn add_marked<const N: usize>(&mut self, marker: u8, bytes: [u8; N]) -> bool {
        let end = self.position.wrapping_add(1 + N);
        match self.buffer.get_mut(self.position..end) {
            Some([first, next @ ..]) => {
                *first = marker;
                next.copy_from_slice(&bytes);
                self.position = end;
                true
            }
            _ => self.add_growing(&[marker]) && self.add_growing(&bytes),
        }
    }

    /// Adds bytes for which there is no room, and doubles the room. Long bytes are appended directly, without zeroing room for
    /// them first.
    #[cold]
    #[inline(never)]
    fn add_growing(&mut self, bytes: &[u8]) -> bool {
        let end = self.position.saturating_add(bytes.len());
        let written = end - self.start;
        if written > self.max_length() {
            self.overflowed = true;
            return false;
        }
        if blob::detach(self.buffer, self.position, bytes) {
            // There is less room from now on.
            self.buffer.truncate(self.start + self.max_length());
            return true;
        }
        self.buffer.truncate(self.position);
        self.buffer.extend_from_slice(bytes);
        if bytes.len() < LONG_BYTES {
            let room = (written + written.min(MOST_ROOM)).min(self.max_length());
            self.buffer.resize(self.start + room, 0);
        }
        self.position = end;
        true
    }

    /// Returns the maximum length of the buffer, apart from the blobs detached from it.
    fn max_length(&self) -> usize {
        self.max - (blob::detached_len() - self.detached_before)
    }

    /// Ends the writing, and truncates the excess.
    #[inline(always)]
    pub(super) fn finish(self) {
        self.buffer.truncate(self.position);
    }

    /// Removes the added bytes, and returns the reason why the value did not fit or was refused.
    #[cold]
    pub(super) fn undo(self, problem: String) -> EncodeError {
        self.buffer.truncate(self.start);
        blob::truncate_detached(self.detached_before);
        if self.overflowed {
            EncodeError::TooLarge { max: self.max }
        } else {
            EncodeError::Refused { problem }
        }
    }
}

impl io::Write for Output<'_> {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline(always)]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.add(bytes) { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
