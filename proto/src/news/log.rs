//! Items in the order in which they were published, kept once for all subscribers who want them alike.
//!
//! The log holds frames as they travel, in chunks that are shared with whoever sends them: what an item costs does not
//! depend on how many subscribe. Each subscriber has a cursor. What all have read is dropped, and beyond the bound the
//! oldest is: whoever has not read it is told how many are missing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::BACKLOG_BYTES;
use crate::frame::Whole;

/// A chunk of this length takes no more frames.
const CHUNK_BYTES: usize = 64 << 10;

/// A frame of this length is a chunk of its own, which is not copied.
const LARGE_BYTES: usize = 16 << 10;

/// The log. Its memory is that of the items kept, which [`BACKLOG_BYTES`] bounds besides the newest one, and of the rest of
/// the oldest chunk.
#[derive(Debug, Default)]
pub struct Log {
    /// Frames behind which no more are appended.
    sealed: VecDeque<Bytes>,
    open: Vec<u8>,
    /// The byte at which the first chunk begins, of all that were ever appended.
    start: u64,
    /// The byte at which the first item that is kept begins.
    kept: u64,
    /// The byte at which all items end.
    end: u64,
    /// The number of the first item that is kept.
    first: u64,
    /// Where the items that are kept end.
    ends: VecDeque<u64>,
    /// How many cursors stand before each item.
    cursors: BTreeMap<u64, usize>,
}

/// How far one subscriber has read. To be given back with [`Log::leave`].
#[derive(Debug)]
pub struct Cursor {
    /// The number of the next item.
    item: u64,
    /// Items that are kept for this subscriber.
    keep: u64,
}

/// What was read.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Read {
    /// Items that are missing before those that were read.
    pub missing: u64,
    /// Whole frames, in order.
    pub frames: Vec<Bytes>,
}

impl Log {
    /// A subscriber who gets what is appended from now on, and for whom `keep` items are kept, 1 at least.
    pub fn join(&mut self, keep: u32) -> Cursor {
        let item = self.next();
        *self.cursors.entry(item).or_default() += 1;
        Cursor { item, keep: u64::from(keep.max(1)) }
    }

    /// The subscriber reads no more.
    pub fn leave(&mut self, cursor: &Cursor) {
        self.step(cursor.item, None);
    }

    /// Whether nobody reads.
    pub fn is_idle(&self) -> bool {
        self.cursors.is_empty()
    }

    /// Whether a frame of so many bytes should be appended with [`Log::append_shared`].
    pub fn is_large(bytes: usize) -> bool {
        bytes >= LARGE_BYTES
    }

    /// Appends an item as the frame that travels, and drops the oldest beyond `keep` items, the most that is kept for any
    /// subscriber.
    #[inline]
    pub fn append(&mut self, frame: &[u8], keep: u32) {
        self.open.extend_from_slice(frame);
        self.appended(frame.len(), keep);
    }

    /// Where the frame of an item may be written, to be appended with [`Log::append_written`] at once. Large ones are better
    /// made elsewhere, for [`Log::append_shared`].
    #[inline(always)]
    pub fn write(&mut self) -> Whole<'_> {
        Whole::begin(&mut self.open)
    }

    /// As [`Log::append`], with what has just been written, of that length.
    #[inline]
    pub fn append_written(&mut self, length: usize, keep: u32) {
        if Self::is_large(length) {
            let frame = self.open.split_off(self.open.len() - length);
            self.append_shared([frame.into()], keep);
        } else {
            self.appended(length, keep);
        }
    }

    /// As [`Log::append`], without copying the frame, which may be in pieces.
    pub fn append_shared(&mut self, pieces: impl IntoIterator<Item = Bytes>, keep: u32) {
        self.seal();
        let mut length = 0;
        for piece in pieces {
            length += piece.len();
            self.sealed.push_back(piece);
        }
        self.appended(length, keep);
    }

    #[inline]
    fn appended(&mut self, length: usize, keep: u32) {
        if self.open.len() >= CHUNK_BYTES {
            self.seal();
        }
        self.end += length as u64;
        self.ends.push_back(self.end);
        let keep = (keep as usize).max(1);
        while self.ends.len() > keep || (self.bytes() > BACKLOG_BYTES as u64 && self.ends.len() > 1) {
            self.drop_first();
        }
    }

    /// Reads what comes next for one subscriber, one item at least if there is any, and not many more than `bytes`.
    pub fn read(&mut self, cursor: &mut Cursor, bytes: usize) -> Read {
        let oldest = self.first.max(self.next().saturating_sub(cursor.keep));
        let from_item = cursor.item.max(oldest);
        let from = self.begin(from_item);
        let until = from + bytes as u64;
        let skipped = usize::try_from(from_item - self.first).unwrap_or(usize::MAX);
        let fitting = self.ends.partition_point(|end| *end <= until).max(skipped + 1).min(self.ends.len());
        let to_item = (self.first + fitting as u64).max(from_item);
        let read = Read { missing: from_item - cursor.item, frames: self.slices(from, self.begin(to_item)) };
        self.step(cursor.item, Some(to_item));
        cursor.item = to_item;
        read
    }

    /// Whether the subscriber has got everything.
    pub fn is_read(&self, cursor: &Cursor) -> bool {
        cursor.item == self.next()
    }

    /// How many items the slowest subscriber has not got yet, and how many bytes they have.
    pub fn behind(&self) -> (u64, u64) {
        (self.ends.len() as u64, self.bytes())
    }

    /// The number of the next item to be appended.
    fn next(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    fn bytes(&self) -> u64 {
        self.end - self.kept
    }

    /// Where an item that is kept, or the next one, begins.
    fn begin(&self, item: u64) -> u64 {
        let before = item.checked_sub(self.first + 1).and_then(|before| usize::try_from(before).ok());
        before.and_then(|before| self.ends.get(before)).copied().unwrap_or(self.kept)
    }

    /// The chunks from one byte to another, which lie between items.
    fn slices(&mut self, from: u64, to: u64) -> Vec<Bytes> {
        if from == to {
            return Vec::new();
        }
        self.seal();
        let mut begin = self.start;
        let mut slices = Vec::with_capacity(self.sealed.len());
        for chunk in &self.sealed {
            let end = begin + chunk.len() as u64;
            let (low, high) = (from.max(begin), to.min(end));
            if low < high {
                slices.push(chunk.slice((low - begin) as usize..(high - begin) as usize));
            }
            begin = end;
        }
        slices
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            // About as much again is to be expected.
            let next = Vec::with_capacity(self.open.len().min(CHUNK_BYTES + LARGE_BYTES));
            self.sealed.push_back(Bytes::from(std::mem::replace(&mut self.open, next)));
        }
    }

    /// Moves a cursor, or takes it away, and drops what everybody has read.
    fn step(&mut self, from: u64, to: Option<u64>) {
        if let Some(count) = self.cursors.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.cursors.remove(&from);
            }
        }
        if let Some(to) = to {
            *self.cursors.entry(to).or_default() += 1;
        }
        let needed = self.cursors.first_key_value().map_or(self.next(), |(item, _)| *item);
        while self.first < needed {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(end) = self.ends.pop_front() else { return };
        self.first += 1;
        self.kept = end;
        while let Some(chunk) = self.sealed.front()
            && self.start + chunk.len() as u64 <= end
        {
            self.start += chunk.len() as u64;
            self.sealed.pop_front();
        }
        if self.sealed.is_empty() && end == self.end {
            self.start = end;
            self.open.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Log, items: std::ops::Range<u8>, keep: u32) {
        items.for_each(|item| log.append(&[item; 10], keep));
    }

    /// Everything that comes next, as the first byte of each item, and how many are missing before.
    fn read(log: &mut Log, cursor: &mut Cursor, bytes: usize) -> (u64, Vec<u8>) {
        let Read { missing, frames } = log.read(cursor, bytes);
        let all: Vec<u8> = frames.iter().flat_map(|frames| frames.iter().copied()).collect();
        assert!(all.chunks(10).all(|item| item.len() == 10 && item.iter().all(|byte| *byte == item[0])));
        (missing, all.chunks(10).map(|item| item[0]).collect())
    }

    #[test]
    fn every_subscriber_reads_what_came_after_it_joined_in_pieces_of_its_own() {
        let mut log = Log::default();
        append(&mut log, 0..3, 100);
        let mut early = log.join(100);
        append(&mut log, 3..6, 100);
        let mut late = log.join(100);
        append(&mut log, 6..8, 100);
        assert_eq!(read(&mut log, &mut early, 25), (0, vec![3, 4]));
        assert_eq!(read(&mut log, &mut late, 1_000), (0, vec![6, 7]));
        assert_eq!(read(&mut log, &mut early, 1), (0, vec![5]), "one item at least");
        assert_eq!(read(&mut log, &mut early, 1_000), (0, vec![6, 7]));
        assert_eq!(read(&mut log, &mut early, 1_000), (0, vec![]));
        assert!(log.is_read(&early) && log.is_read(&late));
        assert_eq!(log.behind(), (0, 0), "what all have read is not kept");
    }

    #[test]
    fn the_oldest_are_dropped_and_counted_for_each_who_missed_them() {
        let mut log = Log::default();
        let (mut few, mut many) = (log.join(2), log.join(4));
        append(&mut log, 0..3, 4);
        assert_eq!(read(&mut log, &mut few, 1_000), (1, vec![1, 2]));
        append(&mut log, 3..10, 4);
        assert_eq!(read(&mut log, &mut few, 1_000), (5, vec![8, 9]));
        assert_eq!(read(&mut log, &mut many, 1_000), (6, vec![6, 7, 8, 9]));
    }

    #[test]
    fn bytes_are_bounded_as_well_but_one_item_always_fits() {
        let mut log = Log::default();
        let mut cursor = log.join(u32::MAX);
        log.append(&vec![1; BACKLOG_BYTES], u32::MAX);
        log.append_shared([vec![2; BACKLOG_BYTES * 2].into()], u32::MAX);
        let Read { missing, frames } = log.read(&mut cursor, 1);
        assert_eq!((missing, frames.len(), frames[0].len()), (1, 1, BACKLOG_BYTES * 2));
    }

    #[test]
    fn a_large_frame_is_shared_and_not_copied() {
        let mut log = Log::default();
        let mut cursor = log.join(10);
        append(&mut log, 0..1, 10);
        let large = Bytes::from(vec![7; LARGE_BYTES]);
        assert!(Log::is_large(large.len()));
        log.append_shared([Bytes::from_static(b"head"), large.clone()], 10);
        append(&mut log, 2..3, 10);
        let Read { frames, .. } = log.read(&mut cursor, 1);
        assert_eq!(frames.len(), 1);
        let Read { frames, .. } = log.read(&mut cursor, 1);
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), [4, LARGE_BYTES], "one item");
        assert_eq!(frames[1].as_ptr(), large.as_ptr());
        assert_eq!(read(&mut log, &mut cursor, 1), (0, vec![2]));
    }

    #[test]
    fn who_leaves_holds_nothing_up() {
        let mut log = Log::default();
        let slow = log.join(100);
        let mut quick = log.join(100);
        append(&mut log, 0..5, 100);
        assert_eq!(read(&mut log, &mut quick, 1_000).1.len(), 5);
        assert_eq!(log.behind().0, 5, "for the slow one");
        log.leave(&slow);
        assert_eq!(log.behind(), (0, 0));
        log.leave(&quick);
        assert!(log.is_idle());
    }
}
