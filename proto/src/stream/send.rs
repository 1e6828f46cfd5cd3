//! The writing end of a stream: what waits, what is being written, and what may have to be written again.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::fragments::FragmentQueue;
use super::{BufferPool, InvalidAck, Unacked, WriteBatch};
use crate::codec::DetachedBlob;
use crate::wire::frame::{self, FrameKind, Frames, Header};

/// The writing end of a stream. Its bytes are numbered from the first; who writes takes them out with [`SendStream::take`] and
/// brings them back, so that meanwhile more can be appended.
#[derive(Debug)]
pub struct SendStream {
    filling: WriteBatch,
    /// Long frames of which not all has been appended.
    bulk: FragmentQueue,
    /// What is being written. Whoever writes has taken it.
    leaving: Option<WriteBatch>,
    sent: Unacked,
    /// Bytes appended since the beginning.
    placed: u64,
    /// The number of the byte that is written next. It goes back when a connection is replaced.
    written: u64,
    /// The most that was ever written: what lies beyond, the other end cannot have.
    handed: u64,
    /// Bytes that were written and then replaced.
    taken_back: u64,
    /// The bytes at the end that keep the link going and are nothing that anybody would miss.
    upkeep: Range<u64>,
    /// The kind of the last frame among them.
    upkeep_kind: FrameKind,
    /// Bytes that may be written and not acknowledged.
    window: u64,
    /// Where the last acknowledgement ends. What is before it may leave all the same: the other end may be waiting for it,
    /// and owe one itself.
    urgent: u64,
    /// Where those frames begin that [`SendStream::revise`] may replace, as far as they may not have arrived.
    marks: VecDeque<u64>,
}

impl SendStream {
    /// A stream that has not begun, of which `window` bytes may be written and not acknowledged, besides those that are
    /// written in one go with the last of them, and those before an acknowledgement of the other end's. The other end has to
    /// acknowledge what it has before as many have arrived, see [`Received`](super::Received). The memory of batches goes to
    /// `spares` and comes from there.
    pub fn new(window: usize, spares: BufferPool) -> Self {
        Self {
            filling: WriteBatch::default(),
            bulk: FragmentQueue::default(),
            leaving: Some(WriteBatch::default()),
            sent: Unacked::new(spares),
            placed: 0,
            written: 0,
            handed: 0,
            taken_back: 0,
            upkeep: 0..0,
            upkeep_kind: FrameKind::Void,
            window: window.max(1) as u64,
            urgent: 0,
            marks: VecDeque::new(),
        }
    }

    /// Lets long frames leave in pieces of at most so many bytes.
    #[cfg(test)]
    pub(super) fn in_pieces_of(self, bytes: usize) -> Self {
        Self { bulk: FragmentQueue::in_pieces_of(bytes), ..self }
    }

    /// Bytes appended since the beginning.
    #[inline(always)]
    pub fn placed(&self) -> u64 {
        self.placed
    }

    /// Bytes that wait to be written, those of long frames included.
    #[inline(always)]
    pub fn waiting(&self) -> u64 {
        self.placed - self.written + self.bulk.bytes()
    }

    /// The most that was ever written: what lies beyond, the other end cannot have.
    pub fn handed(&self) -> u64 {
        self.handed
    }

    /// Bytes that were written since the beginning, those included that were [replaced](Outflow::revise) afterwards.
    pub fn wrote(&self) -> u64 {
        self.handed + self.taken_back
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
    pub fn has_unacked(&self) -> bool {
        let content = if self.upkeep.end == self.placed { self.upkeep.start } else { self.placed };
        self.sent.acknowledged() < content || !self.bulk.is_empty()
    }

    /// The batch, to append whole frames to. [`SendStream::appended`] is to be told of them.
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
    pub fn put_between(&mut self, blobs: Vec<DetachedBlob>) {
        self.placed += blobs.iter().map(|blob| blob.bytes.len() as u64).sum::<u64>();
        self.filling.put_between(blobs);
    }

    /// Appends a frame that keeps the link going. It takes the place of one of its kind that would leave right before it, so
    /// that one answer waits for a peer that asks on and on.
    pub fn keep_up(&mut self, kind: FrameKind, id: u64) {
        let begin = self.placed;
        let batch = self.filling.batch();
        let is_again = self.upkeep_kind == kind && self.upkeep.end == begin;
        if is_again && let Some(last) = batch.len().checked_sub(frame::length_of(kind, 0)) {
            batch.truncate(last);
            return frame::write(batch, Header::new(kind, id), b"");
        }
        self.upkeep_kind = kind;
        let before = batch.len();
        frame::write(batch, Header::new(kind, id), b"");
        self.placed += (batch.len() - before) as u64;
        if self.upkeep.end != begin {
            self.upkeep.start = begin;
        }
        self.upkeep.end = self.placed;
        if kind == FrameKind::Ack {
            self.urgent = self.placed;
        }
    }

    /// Lets a long frame, the reply to the request `id`, leave in pieces, between which other frames may leave. Its bytes are
    /// not copied.
    pub fn bulk(&mut self, id: u64, frame: impl IntoIterator<Item = Bytes>) {
        self.bulk.push(id, frame.into_iter().collect());
    }

    /// Whether there are long frames of which not all has been appended.
    #[inline(always)]
    pub fn has_bulk(&self) -> bool {
        !self.bulk.is_empty()
    }

    /// Lets nothing more leave of the long replies to the request `id`. Of what has been appended nobody can make anything.
    pub fn revoke(&mut self, id: u64) {
        self.bulk.remove(id);
    }

    /// Appends all that is left of long frames, because nothing but an end follows.
    pub fn append_bulk(&mut self) {
        while let Some((header, length, piece)) = self.bulk.next() {
            self.append_piece(header, length, piece);
        }
    }

    /// Appends as much of long frames as is to leave in one go with what has been appended.
    #[cold]
    fn append_pieces(&mut self) {
        while self.filling.len() < self.bulk.burst_bytes()
            && let Some((header, length, piece)) = self.bulk.next()
        {
            self.append_piece(header, length, piece);
        }
    }

    fn append_piece(&mut self, header: Header, length: usize, piece: Vec<Bytes>) {
        let batch = self.filling.batch();
        let before = batch.len();
        frame::announce(batch, header, length);
        self.placed += (batch.len() - before) as u64;
        piece.into_iter().for_each(|bytes| self.share(bytes));
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
                *kind = FrameKind::Void as u8;
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
    pub fn take(&mut self) -> Option<WriteBatch> {
        if self.is_held() {
            return None;
        }
        let leaving = self.leaving.as_mut()?;
        if leaving.is_empty() {
            if !self.bulk.is_empty() {
                self.append_pieces();
            }
            std::mem::swap(self.leaving.as_mut()?, &mut self.filling);
        }
        self.leaving.take_if(|leaving| !leaving.is_empty())
    }

    /// Brings back what was taken, of which `wrote` bytes have left, and says whether there is more to write.
    pub fn put_back(&mut self, mut leaving: WriteBatch, wrote: usize) -> bool {
        leaving.advance(wrote, &mut self.sent);
        self.written += wrote as u64;
        self.handed = self.handed.max(self.written);
        let is_left_over = !leaving.is_empty();
        let has_bulk = !self.bulk.is_empty();
        if has_bulk {
            self.bulk.adapt(wrote, is_left_over);
        }
        let more = is_left_over || has_bulk || !self.filling.is_empty();
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
    /// [`InvalidAck`]: that cannot be.
    pub fn acknowledge(&mut self, bytes: u64) -> Result<bool, InvalidAck> {
        let was_held = self.is_held();
        // What somebody is writing at the moment may have arrived before it is counted here.
        let most = if self.is_taken() { self.placed } else { self.handed };
        self.sent.acknowledge(bytes, most)?;
        Ok(was_held && !self.is_held())
    }

    /// Lets bytes be written from now on however many are not acknowledged.
    pub fn lift_window(&mut self) {
        self.window = u64::MAX;
    }

    /// Notes that a frame begins with the next byte, and that it and all behind it may be replaced by [`SendStream::revise`].
    pub fn mark(&mut self) {
        while self.marks.front().is_some_and(|mark| *mark < self.acknowledged()) {
            self.marks.pop_front();
        }
        self.marks.push_back(self.placed);
    }

    /// Replaces the frames that begin at the first mark which the other end has not reached. Call it after [`SendStream::go_back`], and
    /// only where the other end reads from no earlier connection: other bytes get the numbers of those that were written behind
    /// the one that it wants next.
    ///
    /// # Panics
    /// If something has been taken and not been put back.
    pub fn revise(&mut self, revise: impl FnOnce(&[u8]) -> Vec<u8>) {
        let Some(mark) = self.marks.iter().copied().find(|mark| *mark >= self.written) else { return };
        let leaving = self.leaving.as_mut().expect("what was taken is put back first");
        let left = leaving.left();
        let mut bytes = leaving.take_all();
        bytes.append(&mut self.filling.take_all());
        let frames = bytes.split_off(left + (mark - self.written) as usize);
        let mut revised = revise(&frames);
        let mut reader = Frames::new(&revised);
        self.marks.clear();
        let (mut begin, mut urgent) = (mark, self.urgent.min(mark));
        while let Some((header, _)) = reader.next() {
            self.marks.push_back(begin);
            begin = mark + (revised.len() - reader.left()) as u64;
            if header.kind == FrameKind::Ack {
                urgent = begin;
            }
        }
        bytes.append(&mut revised);
        self.placed = self.written + (bytes.len() - left) as u64;
        self.taken_back += self.handed - self.written;
        self.handed = self.written;
        (self.upkeep, self.urgent) = (0..0, urgent);
        *leaving.batch() = bytes;
    }

    /// Goes back to the byte numbered `from`, which the other end wants next. Nothing may have been taken.
    ///
    /// # Errors
    /// [`InvalidAck`]: the other end cannot want that; nothing has changed.
    ///
    /// # Panics
    /// If something has been taken and not been put back.
    pub fn go_back(&mut self, from: u64) -> Result<(), InvalidAck> {
        let leaving = self.leaving.as_mut().expect("what was taken is put back first");
        let (pieces, left) = self.sent.take_back(from, self.handed)?;
        leaving.put_back(pieces, left);
        self.written = from;
        Ok(())
    }
}
