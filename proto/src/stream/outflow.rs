//! The writing end of a stream: what waits, what is being written, and what may have to be written again.

use std::ops::Range;

use bytes::Bytes;

use super::{NotThere, Outgoing, Sent};
use crate::codec::Beside;
use crate::frame::{self, Header, Kind};

/// The writing end of a stream. Its bytes are numbered from the first; who writes takes them out with [`Outflow::take`] and
/// brings them back, so that meanwhile more can be appended.
#[derive(Debug)]
pub struct Outflow {
    filling: Outgoing,
    /// What is being written. Whoever writes has taken it.
    leaving: Option<Outgoing>,
    sent: Sent,
    /// Bytes appended since the beginning.
    placed: u64,
    /// The number of the byte that is written next. It goes back when a connection is replaced.
    written: u64,
    /// The most that was ever written: what lies beyond, the other end cannot have.
    handed: u64,
    /// The bytes at the end that keep the link going and are nothing that anybody would miss.
    upkeep: Range<u64>,
    /// Bytes that may be written and not acknowledged.
    window: u64,
    /// Where the last acknowledgement ends. What is before it may leave all the same: the other end may be waiting for it,
    /// and owe one itself.
    urgent: u64,
}

impl Outflow {
    /// A stream that has not begun, of which `window` bytes may be written and not acknowledged, besides those that are
    /// written in one go with the last of them, and those before an acknowledgement of the other end's. The other end has to
    /// acknowledge what it has before as many have arrived, see [`Received`](super::Received).
    pub fn new(window: usize) -> Self {
        Self {
            filling: Outgoing::default(),
            leaving: Some(Outgoing::default()),
            sent: Sent::default(),
            placed: 0,
            written: 0,
            handed: 0,
            upkeep: 0..0,
            window: window.max(1) as u64,
            urgent: 0,
        }
    }

    /// Bytes appended since the beginning.
    #[inline(always)]
    pub fn placed(&self) -> u64 {
        self.placed
    }

    /// Bytes that wait to be written.
    #[inline(always)]
    pub fn waiting(&self) -> u64 {
        self.placed - self.written
    }

    /// The most that was ever written: what lies beyond, the other end cannot have.
    pub fn handed(&self) -> u64 {
        self.handed
    }

    /// How many bytes the other end is known to have.
    pub fn acknowledged(&self) -> u64 {
        self.sent.acknowledged()
    }

    /// Whether nothing may be written before the other end has acknowledged something.
    pub fn is_held(&self) -> bool {
        self.written >= self.urgent && self.written.saturating_sub(self.sent.acknowledged()) >= self.window
    }

    /// Whether the other end has not acknowledged all that was appended, besides what keeps the link going.
    pub fn is_owed_word(&self) -> bool {
        let content = if self.upkeep.end == self.placed { self.upkeep.start } else { self.placed };
        self.sent.acknowledged() < content
    }

    /// The batch, to append whole frames to. [`Outflow::appended`] is to be told of them.
    #[inline(always)]
    pub fn batch(&mut self) -> &mut Vec<u8> {
        self.filling.batch()
    }

    /// So many bytes have been appended to the batch.
    #[inline(always)]
    pub fn appended(&mut self, bytes: usize) {
        self.placed += bytes as u64;
    }

    /// Appends bytes without copying them.
    pub fn share(&mut self, bytes: Bytes) {
        self.placed += bytes.len() as u64;
        self.filling.share(bytes);
    }

    /// Puts blobs between the bytes of the batch, where they belong.
    pub fn put_between(&mut self, blobs: Vec<Beside>) {
        self.placed += blobs.iter().map(|blob| blob.bytes.len() as u64).sum::<u64>();
        self.filling.put_between(blobs);
    }

    /// Appends a frame that keeps the link going.
    pub fn keep_up(&mut self, kind: Kind, id: u64) {
        let begin = self.placed;
        let batch = self.filling.batch();
        let before = batch.len();
        frame::write(batch, Header::new(kind, id), b"");
        self.placed += (batch.len() - before) as u64;
        if self.upkeep.end != begin {
            self.upkeep.start = begin;
        }
        self.upkeep.end = self.placed;
        if kind == Kind::Ack {
            self.urgent = self.placed;
        }
    }

    /// Makes nothing of a frame that has not begun to leave, and says whether it could.
    pub fn withdraw(&mut self, frame: Range<u64>) -> bool {
        let filling = self.placed - self.filling.len() as u64;
        let (outgoing, begin) = match &mut self.leaving {
            _ if frame.start >= filling => (&mut self.filling, filling),
            Some(leaving) if frame.start >= self.handed => (leaving, self.sent.end()),
            _ => return false,
        };
        let at = frame.start.checked_sub(begin).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| outgoing.byte_mut(at + frame::KIND_AT)) {
            Some(kind) if frame.end <= self.placed => {
                *kind = Kind::Void as u8;
                true
            }
            _ => false,
        }
    }

    /// Whether somebody has taken what is to be written, and will look again when that has left.
    #[inline(always)]
    pub fn is_taken(&self) -> bool {
        self.leaving.is_none()
    }

    /// Whether something that was taken has come back before all of it had left.
    #[inline(always)]
    pub fn is_left_over(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| !leaving.is_empty())
    }

    /// Takes what is to be written now; `None` if there is nothing, or somebody has taken it, or nothing may be written.
    pub fn take(&mut self) -> Option<Outgoing> {
        if self.is_held() {
            return None;
        }
        let leaving = self.leaving.as_mut()?;
        if leaving.is_empty() {
            std::mem::swap(leaving, &mut self.filling);
        }
        if leaving.is_empty() { None } else { self.leaving.take() }
    }

    /// Brings back what was taken, of which `wrote` bytes have left, and says whether there is more to write.
    pub fn put_back(&mut self, mut leaving: Outgoing, wrote: usize) -> bool {
        leaving.advance(wrote, &mut self.sent);
        self.written += wrote as u64;
        self.handed = self.handed.max(self.written);
        let is_left_over = !leaving.is_empty();
        let more = is_left_over || !self.filling.is_empty();
        if !more {
            // The same memory again for the next batch.
            std::mem::swap(&mut leaving, &mut self.filling);
        }
        self.leaving = Some(leaving);
        more
    }

    /// The other end has the first `bytes` of the stream. Says whether writing may go on that had to stop.
    ///
    /// # Errors
    /// [`NotThere`]: that cannot be.
    pub fn acknowledge(&mut self, bytes: u64) -> Result<bool, NotThere> {
        let was_held = self.is_held();
        // What somebody is writing at the moment may have arrived before it is counted here.
        let most = if self.is_taken() { self.placed } else { self.handed };
        self.sent.acknowledge(bytes, most)?;
        Ok(was_held && !self.is_held())
    }

    /// Goes back to the byte numbered `from`, which the other end wants next. Nothing may have been taken.
    ///
    /// # Errors
    /// [`NotThere`]: the other end cannot want that; nothing has changed.
    ///
    /// # Panics
    /// If something has been taken and not been put back.
    pub fn go_back(&mut self, from: u64) -> Result<(), NotThere> {
        let leaving = self.leaving.as_mut().expect("what was taken is put back first");
        let (pieces, left) = self.sent.take_back(from, self.handed)?;
        leaving.put_back(pieces, left);
        self.written = from;
        Ok(())
    }
}
