//! The end of a buffer that both formats write to, and that refuses to grow past a bound.

use std::io;

use super::error::EncodeError;

/// Appends to a buffer until a bound is reached.
pub(super) struct Output<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    max: usize,
    overflowed: bool,
}

impl<'a> Output<'a> {
    /// Lets at most `max` bytes be added to `buffer`.
    #[inline]
    pub(super) fn new(buffer: &'a mut Vec<u8>, max: usize) -> Self {
        let start = buffer.len();
        Self { buffer, start, max, overflowed: false }
    }

    /// Adds all of `bytes`, or nothing and says false.
    #[inline(always)]
    fn add(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.max - (self.buffer.len() - self.start) {
            self.overflowed = true;
            return false;
        }
        self.buffer.extend_from_slice(bytes);
        true
    }

    /// Takes back what was added and says why the value did not fit or was refused.
    #[cold]
    pub(super) fn undo(self, problem: String) -> EncodeError {
        self.buffer.truncate(self.start);
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
