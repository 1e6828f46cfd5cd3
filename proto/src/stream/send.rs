//! The writing end of a stream: bytes that are queued, being written, and stored until they are acknowledged.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::fragments::FragmentQueue;
use super::{BufferPool, InvalidAck, Unacked, WriteBatch};
use crate::codec::DetachedBlob;
use crate::wire::frame::{self, FrameKind, Frames, Header};

/// The writing end of a stream. Its bytes are numbered from the first. The writer takes them with [`SendStream::take`] and
/// returns them with [`SendStream::put_back`], so that more can be appended meanwhile.
#[derive(Debug)]
pub struct SendStream {
    filling: WriteBatch,
    /// Long frames that have not been appended completely.
    fragments: FragmentQueue,
    /// The batch that is being written, unless the writer has taken it.
    in_progress: Option<WriteBatch>,
    sent: Unacked,
    /// The number of bytes appended since the beginning.
    appended: u64,
    /// The number of the byte that is written next. It decreases when a connection is replaced.
    written: u64,
    /// The highest byte number that was ever written: the other end cannot have bytes beyond it.
    highest_written: u64,
    /// The number of bytes that were written and then replaced.
    rewound: u64,
    /// The range of bytes at the end that only keep the link alive and need not be delivered.
    keep_alive: Range<u64>,
    /// The kind of the last frame among them.
    keep_alive_kind: FrameKind,
    /// The maximum number of unacknowledged bytes.
    window: u64,
    /// The end of the last acknowledgement. Bytes before it may be sent regardless of the window, because the other end may be
    /// waiting for it.
    urgent: u64,
    /// The starts of frames that [`SendStream::revise`] may replace, unless they have certainly arrived.
    marks: VecDeque<u64>,
}

impl SendStream {
    /// Creates a stream of which `window` bytes may be written and not acknowledged, apart from those in the same batch as the
    /// last of them, and those before an acknowledgement of the other end's bytes. The other end has to acknowledge received
    /// bytes before that many have arrived, see [`RecvCounter`](super::RecvCounter). The memory of batches is taken from
    /// `buffer_pool` and returned to it.
    pub fn new(window: usize, buffer_pool: BufferPool) -> Self {
        Self {
            filling: WriteBatch::default(),
            fragments: FragmentQueue::default(),
            in_progress: Some(WriteBatch::default()),
            sent: Unacked::new(buffer_pool),
            appended: 0,
            written: 0,
            highest_written: 0,
            rewound: 0,
            keep_alive: 0..0,
            keep_alive_kind: FrameKind::Void,
            window: window.max(1) as u64,
            urgent: 0,
            marks: VecDeque::new(),
        }
    }

    /// Sets the maximum size of the pieces of long frames.
    #[cfg(test)]
    pub(super) fn with_piece_size(self, bytes: usize) -> Self {
        Self { fragments: FragmentQueue::with_piece_size(bytes), ..self }
    }

    /// Returns the number of bytes appended since the beginning.
    #[inline(always)]
    pub fn appended_bytes(&self) -> u64 {
        self.appended
    }

    /// Returns the number of bytes that wait to be written, those of long frames included.
    #[inline(always)]
    pub fn pending_bytes(&self) -> u64 {
        self.appended - self.written + self.fragments.bytes()
    }

    /// Returns the highest byte number that was ever written: the other end cannot have bytes beyond it.
    pub fn highest_written(&self) -> u64 {
        self.highest_written
    }

    /// Returns the number of bytes written since the beginning, including those that were [replaced](SendStream::revise)
    /// afterwards.
    pub fn total_written(&self) -> u64 {
        self.highest_written + self.rewound
    }

    /// Returns the number of acknowledged bytes.
    pub fn acknowledged_bytes(&self) -> u64 {
        self.sent.acknowledged()
    }

    /// Returns true if nothing may be written until the other end has acknowledged more bytes.
    pub fn is_window_full(&self) -> bool {
        self.written >= self.urgent && self.written.saturating_sub(self.sent.acknowledged()) >= self.window
    }

    /// Returns true if the other end has not acknowledged everything that was appended, apart from keep-alive frames.
    pub fn has_unacked(&self) -> bool {
        let content =
            if self.keep_alive.end == self.appended { self.keep_alive.start } else { self.appended };
        self.sent.acknowledged() < content || !self.fragments.is_empty()
    }

    /// Returns the batch to which complete frames are appended. Call [`SendStream::appended`] afterwards.
    #[inline(always)]
    pub fn batch(&mut self) -> &mut Vec<u8> {
        self.filling.batch()
    }

    /// Records that this many bytes have been appended to the batch.
    #[inline(always)]
    pub fn appended(&mut self, bytes: usize) {
        self.appended += bytes as u64;
    }

    /// Appends bytes without copying them.
    pub fn append_shared(&mut self, bytes: Bytes) {
        self.appended += bytes.len() as u64;
        self.filling.push_shared(bytes);
    }

    /// Inserts blobs at their positions between the bytes of the batch.
    pub fn insert_blobs(&mut self, blobs: Vec<DetachedBlob>) {
        self.appended += blobs.iter().map(|blob| blob.bytes.len() as u64).sum::<u64>();
        self.filling.insert_blobs(blobs);
    }

    /// Appends a keep-alive frame. It replaces one of the same kind directly before it, so that at most one answer waits
    /// for a peer that keeps sending pings.
    pub fn append_keep_alive(&mut self, kind: FrameKind, id: u64) {
        let start = self.appended;
        let batch = self.filling.batch();
        let replaces_last = self.keep_alive_kind == kind && self.keep_alive.end == start;
        if replaces_last && let Some(last) = batch.len().checked_sub(frame::length_of(kind, 0)) {
            batch.truncate(last);
            return frame::write(batch, Header::new(kind, id), b"");
        }
        self.keep_alive_kind = kind;
        let previous_length = batch.len();
        frame::write(batch, Header::new(kind, id), b"");
        self.appended += (batch.len() - previous_length) as u64;
        if self.keep_alive.end != start {
            self.keep_alive.start = start;
        }
        self.keep_alive.end = self.appended;
        if kind == FrameKind::Ack {
            self.urgent = self.appended;
        }
    }

    /// Sends a long frame, the reply to the request `id`, in pieces, between which other frames may be sent. Its bytes are not
    /// copied.
    pub fn append_long(&mut self, id: u64, frame: impl IntoIterator<Item = Bytes>) {
        self.fragments.push(id, frame.into_iter().collect());
    }

    /// Returns true if there are long frames that have not been appended completely.
    #[inline(always)]
    pub fn has_long_frames(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// Drops the remainder of the long replies to the request `id`. The receiver ignores the pieces that have been appended.
    pub fn revoke(&mut self, id: u64) {
        self.fragments.remove(id);
    }

    /// Appends the remainder of all long frames, because only the end of the link follows.
    pub fn append_all_long(&mut self) {
        while let Some((header, length, piece)) = self.fragments.next() {
            self.append_piece(header, length, piece);
        }
    }

    /// Appends pieces of long frames up to the size of a burst.
    #[cold]
    fn append_pieces(&mut self) {
        while self.filling.len() < self.fragments.burst_bytes()
            && let Some((header, length, piece)) = self.fragments.next()
        {
            self.append_piece(header, length, piece);
        }
    }

    fn append_piece(&mut self, header: Header, length: usize, piece: Vec<Bytes>) {
        let batch = self.filling.batch();
        let previous_length = batch.len();
        frame::announce(batch, header, length);
        self.appended += (batch.len() - previous_length) as u64;
        piece.into_iter().for_each(|bytes| self.append_shared(bytes));
    }

    /// Voids a frame, which is possible if no part of it has been sent. Returns true if it was.
    pub fn withdraw(&mut self, frame: Range<u64>) -> bool {
        let filling = self.appended - self.filling.len() as u64;
        let (outgoing, start) = match &mut self.in_progress {
            _ if frame.start >= filling => (&mut self.filling, filling),
            Some(leaving) if frame.start >= self.highest_written => (leaving, self.sent.end()),
            _ => return false,
        };
        let offset = frame.start.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
        match offset.and_then(|offset| outgoing.byte_mut(offset + frame::KIND_AT)) {
            Some(kind) if frame.end <= self.appended => {
                *kind = FrameKind::Void as u8;
                true
            }
            _ => false,
        }
    }

    /// Returns true if a writer has taken the bytes, and will check again when they have been written.
    #[inline(always)]
    pub fn has_writer(&self) -> bool {
        self.in_progress.is_none()
    }

    /// Returns true if the writer has returned a batch that was not completely written.
    #[inline(always)]
    pub fn has_partial_batch(&self) -> bool {
        self.in_progress.as_ref().is_some_and(|leaving| !leaving.is_empty())
    }

    /// Takes the bytes to write now; `None` if there are none, if a writer has already taken them, or if nothing may be written.
    pub fn take(&mut self) -> Option<WriteBatch> {
        if self.is_window_full() {
            return None;
        }
        let leaving = self.in_progress.as_mut()?;
        if leaving.is_empty() {
            if !self.fragments.is_empty() {
                self.append_pieces();
            }
            std::mem::swap(self.in_progress.as_mut()?, &mut self.filling);
        }
        self.in_progress.take_if(|leaving| !leaving.is_empty())
    }

    /// Returns a batch that was taken, of which `written_bytes` bytes have been written. Returns true if there is more to write.
    pub fn put_back(&mut self, mut leaving: WriteBatch, written_bytes: usize) -> bool {
        leaving.advance(written_bytes, &mut self.sent);
        self.written += written_bytes as u64;
        self.highest_written = self.highest_written.max(self.written);
        let has_remainder = !leaving.is_empty();
        let has_bulk = !self.fragments.is_empty();
        if has_bulk {
            self.fragments.adapt(written_bytes, has_remainder);
        }
        let more = has_remainder || has_bulk || !self.filling.is_empty();
        if !more {
            // The same memory is used for the next batch.
            std::mem::swap(&mut leaving, &mut self.filling);
        }
        self.in_progress = Some(leaving);
        more
    }

    /// Records that the other end has the first `bytes` of the stream. Returns true if a full window is open again.
    ///
    /// # Errors
    /// [`InvalidAck`]: the number is impossible.
    pub fn acknowledge(&mut self, bytes: u64) -> Result<bool, InvalidAck> {
        let was_blocked = self.is_window_full();
        // Bytes that a writer is writing now may have arrived before they are counted here.
        let max = if self.has_writer() { self.appended } else { self.highest_written };
        self.sent.acknowledge(bytes, max)?;
        Ok(was_blocked && !self.is_window_full())
    }

    /// Drops all stored bytes, because there will be no other connection. The numbers of bytes stay.
    pub fn abandon(&mut self) {
        self.sent.abandon();
        (self.filling, self.fragments) = (WriteBatch::default(), FragmentQueue::default());
        if let Some(leaving) = &mut self.in_progress {
            *leaving = WriteBatch::default();
        }
    }

    /// Removes the limit on unacknowledged bytes from now on.
    pub fn lift_window(&mut self) {
        self.window = u64::MAX;
    }

    /// Marks the next byte as the beginning of a frame that [`SendStream::revise`] may replace, with all frames after it.
    pub fn mark(&mut self) {
        while self.marks.front().is_some_and(|mark| *mark < self.acknowledged_bytes()) {
            self.marks.pop_front();
        }
        self.marks.push_back(self.appended);
    }

    /// Replaces the frames from the first mark that the other end has not reached. Call it after [`SendStream::go_back`], and
    /// only if the other end no longer reads from an earlier connection: the numbers of bytes that were written after the one
    /// that it needs next are reused for other bytes.
    ///
    /// # Panics
    /// If a batch has been taken and not been returned.
    pub fn revise(&mut self, revise: impl FnOnce(&[u8]) -> Vec<u8>) {
        let Some(mark) = self.marks.iter().copied().find(|mark| *mark >= self.written) else { return };
        let leaving = self.in_progress.as_mut().expect("a batch that was taken is returned first");
        let sent_length = leaving.sent();
        let mut bytes = leaving.take_all();
        bytes.append(&mut self.filling.take_all());
        let frames = bytes.split_off(sent_length + (mark - self.written) as usize);
        let mut revised = revise(&frames);
        let mut reader = Frames::new(&revised);
        self.marks.clear();
        let (mut start, mut urgent) = (mark, self.urgent.min(mark));
        while let Some((header, _)) = reader.next() {
            self.marks.push_back(start);
            start = mark + (revised.len() - reader.remaining()) as u64;
            if header.kind == FrameKind::Ack {
                urgent = start;
            }
        }
        bytes.append(&mut revised);
        self.appended = self.written + (bytes.len() - sent_length) as u64;
        self.rewound += self.highest_written - self.written;
        self.highest_written = self.written;
        (self.keep_alive, self.urgent) = (0..0, urgent);
        *leaving.batch() = bytes;
    }

    /// Goes back to the byte numbered `from`, which the other end needs next. No batch may be taken.
    ///
    /// # Errors
    /// [`InvalidAck`]: the number is impossible; nothing has changed.
    ///
    /// # Panics
    /// If a batch has been taken and not been returned.
    pub fn go_back(&mut self, from: u64) -> Result<(), InvalidAck> {
        let leaving = self.in_progress.as_mut().expect("a batch that was taken is returned first");
        let (pieces, sent_length) = self.sent.rewind(from, self.highest_written)?;
        leaving.put_back(pieces, sent_length);
        self.written = from;
        Ok(())
    }
}
