//! The end of a buffer that both formats write to, and that refuses to grow past a bound.

use std::io;

use super::blob;
use super::error::EncodeError;

/// Bytes that there is room for at first: enough for many messages, little enough to be cleared for each.
const EXPECTED: usize = 256;

/// Parts from this length on are appended: copying them costs more than the room that is made.
const LONG: usize = 1_024;

/// Appends to a buffer until a bound is reached.
///
/// The buffer is kept longer than what is written, because writing into place is several times as fast for small parts
/// as appending. What is too long is cut off at the end.
pub(super) struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    /// Where the next byte goes.
    at: usize,
    max: usize,
    overflowed: bool,
    /// Bytes of blobs that had left beside the buffer at the beginning.
    beside: usize,
}

impl<'a> Output<'a> {
    /// Lets at most `max` bytes be added to `buffer`.
    #[inline]
    pub(super) fn new(buffer: &'a mut Vec<u8>, max: usize) -> Self {
        let start = buffer.len();
        buffer.resize(start + EXPECTED.min(max), 0);
        Self { buffer, start, at: start, max, overflowed: false, beside: blob::beside_len() }
    }

    /// Adds all of `bytes`, or nothing and says false.
    #[inline(always)]
    fn add(&mut self, bytes: &[u8]) -> bool {
        let end = self.at.saturating_add(bytes.len());
        if end > self.buffer.len() {
            return self.add_growing(bytes);
        }
        self.buffer[self.at..end].copy_from_slice(bytes);
        self.at = end;
        true
    }

    /// Adds what there is no room for, and makes as much room again as was written so far. What is long is appended as it
    /// is, not to room that was cleared for it first.
    #[cold]
    fn add_growing(&mut self, bytes: &[u8]) -> bool {
        let end = self.at.saturating_add(bytes.len());
        let written = end - self.start;
        if written > self.most() {
            self.overflowed = true;
            return false;
        }
        if blob::leaves_beside(self.buffer, self.at, bytes) {
            // There is less room from now on.
            self.buffer.truncate(self.start + self.most());
            return true;
        }
        self.buffer.truncate(self.at);
        self.buffer.extend_from_slice(bytes);
        if bytes.len() < LONG {
            let room = written.saturating_mul(2).min(self.most());
            self.buffer.resize(self.start + room, 0);
        }
        self.at = end;
        true
    }

    /// The bytes that may be in the buffer, besides the blobs that have left beside it.
    fn most(&self) -> usize {
        self.max - (blob::beside_len() - self.beside)
    }

    /// Ends with what was written.
    #[inline(always)]
    pub(super) fn finish(self) {
        self.buffer.truncate(self.at);
    }

    /// Takes back what was added and says why the value did not fit or was refused.
    #[cold]
    pub(super) fn undo(self, problem: String) -> EncodeError {
        self.buffer.truncate(self.start);
        blob::cut_back(self.beside);
        if self.overflowed {
            EncodeError::TooLarge { max: self.max }
        } else {
            EncodeError::Refused { problem }
        }
    }
}

impl bincode::enc::write::Writer for Output<'_> {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        if self.add(bytes) { Ok(()) } else { Err(bincode::error::EncodeError::UnexpectedEnd) }
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
