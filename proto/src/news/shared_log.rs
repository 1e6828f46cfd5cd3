//! A log of items in the order of publication, shared by all subscribers with the same policy.
//!
//! The log holds encoded frames, in chunks that are shared with the senders: the cost of an item does not depend on the number of
//! subscribers. Each subscriber has a cursor. Items that all have read are dropped, and beyond the limit the oldest is dropped: a
//! subscriber that has not read it is sent the number of missing items.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::patience::Patience;
use crate::buffer::{Buffer, WriteBuffer};

/// The length at which a chunk is closed.
const CHUNK_BYTES: usize = 64 << 10;

/// The length from which a frame is a chunk of its own, which is not copied.
const LARGE_BYTES: usize = 16 << 10;

/// The log of subscribers with the same policy. Its memory is that of the kept items, which are limited in number and, apart
/// from the newest, in bytes, and of the remainder of the oldest chunk.
#[derive(Debug)]
pub struct Log {
    /// The maximum number of kept items, at least 1.
    max_items: usize,
    /// The maximum size of kept items besides the newest, in bytes.
    bytes: u64,
    /// Closed chunks, to which no more frames are appended.
    sealed: VecDeque<Bytes>,
    open: Vec<u8>,
    /// The position of the first chunk, in bytes since the beginning.
    start: u64,
    /// The position of the first kept item.
    kept_position: u64,
    /// The position of the end of all items.
    end: u64,
    /// The number of the first item that is kept.
    first: u64,
    /// The positions at which the kept items end.
    ends: VecDeque<u64>,
    /// The number of cursors at each item.
    cursors: BTreeMap<u64, CursorCount>,
    /// The number of cursors of subscribers for which publishers no longer wait.
    abandoned: usize,
}

/// The reading position of one subscriber. Return it with [`Log::leave`].
#[derive(Debug)]
pub struct Cursor {
    /// The number of the next item.
    item: u64,
    patience: Patience,
}

/// The number of cursors at one item.
#[derive(Debug, Default)]
struct CursorCount {
    all: usize,
    abandoned: usize,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct LogRead {
    /// The number of items that are missing before those that were read.
    pub missing: u64,
    /// The number of items that were read.
    pub items: u64,
    /// Complete frames, in order.
    pub frames: Vec<Bytes>,
}

impl Log {
    /// Creates an empty log that keeps this many items, at least 1, and bytes besides the newest.
    pub fn new(items: u32, bytes: u64) -> Self {
        Self {
            max_items: (items as usize).max(1),
            bytes,
            sealed: VecDeque::new(),
            open: Vec::new(),
            start: 0,
            kept_position: 0,
            end: 0,
            first: 0,
            ends: VecDeque::new(),
            cursors: BTreeMap::new(),
            abandoned: 0,
        }
    }

    /// Sets the maximum size of kept items, from the next item on.
    pub fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Adds a subscriber that receives items from now on.
    pub fn join(&mut self) -> Cursor {
        let cursor = Cursor { item: self.next(), patience: Patience::default() };
        self.add_cursor(&cursor);
        cursor
    }

    /// Removes a subscriber.
    pub fn leave(&mut self, cursor: &Cursor) {
        self.remove_cursor(cursor);
        self.drop_read();
    }

    /// Returns true if there are no subscribers.
    pub fn is_idle(&self) -> bool {
        self.cursors.is_empty()
    }

    /// Returns true if a frame of this many bytes should be appended with [`Log::append_shared`].
    pub fn is_large(bytes: usize) -> bool {
        bytes >= LARGE_BYTES
    }

    /// Appends an item as an encoded frame, and drops the oldest beyond the limits.
    #[inline]
    pub fn append(&mut self, frame: &Buffer) {
        frame.append_to(&mut self.open);
        self.appended(frame.length());
    }

    /// Appends an item like [`Log::append`], without copying the frame, which may be in parts.
    pub fn append_shared(&mut self, parts: impl IntoIterator<Item = Bytes>) {
        self.seal();
        let mut length = 0;
        for part in parts {
            length += part.len();
            self.sealed.push_back(part);
        }
        self.appended(length);
    }

    #[inline]
    fn appended(&mut self, length: usize) {
        if self.open.len() >= CHUNK_BYTES {
            self.seal();
        }
        let newest = self.end;
        self.end += length as u64;
        self.ends.push_back(self.end);
        while self.ends.len() > self.max_items || newest - self.kept_position > self.bytes {
            self.drop_first();
        }
    }

    /// Reads the next items for one subscriber: at least one if there are any, and at most `bytes` if one fits.
    pub fn read(&mut self, cursor: &mut Cursor, bytes: usize) -> LogRead {
        let missing = self.missing(cursor);
        let first_item = cursor.item + missing;
        let from = self.begin(first_item);
        let until = from + bytes as u64;
        let already_read = usize::try_from(first_item - self.first).unwrap_or(usize::MAX);
        let read_end =
            self.ends.partition_point(|end| *end <= until).max(already_read + 1).min(self.ends.len());
        let end_item = (self.first + read_end as u64).max(first_item);
        let frames = self.slices(from, self.begin(end_item));
        self.remove_cursor(cursor);
        cursor.item = end_item;
        if end_item == self.next() {
            cursor.patience.caught_up();
        } else if end_item > first_item {
            cursor.patience.taken();
        }
        self.add_cursor(cursor);
        self.drop_read();
        LogRead { missing, items: end_item - first_item, frames }
    }

    /// Returns the number of items that the subscriber has missed since it last read.
    pub fn missing(&self, cursor: &Cursor) -> u64 {
        self.first.saturating_sub(cursor.item)
    }

    /// Returns true if the subscriber has read everything.
    pub fn is_read(&self, cursor: &Cursor) -> bool {
        cursor.item == self.next()
    }

    /// Returns the number of kept items, and their size in bytes.
    pub fn kept(&self) -> (u64, u64) {
        (self.ends.len() as u64, self.end - self.kept_position)
    }

    /// Returns true if the slowest subscriber for which publishers wait has reached the limit beyond which it misses items, or
    /// one `part`th of it.
    #[inline]
    pub fn is_full(&self, part: u64) -> bool {
        let (items, bytes) = if self.abandoned == 0 { self.kept() } else { self.lag() };
        self.exceeds_limits(items * part, bytes * part)
    }

    /// Returns the time until which publishers wait for the subscriber: `limit` after it first blocked them. `None` if it does
    /// not block them, or the wait has timed out. `progress` is any number, whose change counts as progress.
    pub fn wait_deadline(
        &mut self,
        cursor: &mut Cursor,
        now: Instant,
        limit: Duration,
        progress: u64,
    ) -> Option<Instant> {
        let items = self.next() - cursor.item;
        if cursor.patience.is_over() || !self.exceeds_limits(items, self.end - self.begin(cursor.item)) {
            return None;
        }
        let until = cursor.patience.deadline(now, limit, progress);
        if until.is_none() {
            self.cursors.entry(cursor.item).or_default().abandoned += 1;
            self.abandoned += 1;
        }
        until
    }

    /// Returns true if a wait for the subscriber timed out and it has not read everything since.
    pub fn is_abandoned(&self, cursor: &Cursor) -> bool {
        cursor.patience.is_over()
    }

    /// Returns true if this distance blocks publishers. The limit is half of the bytes: with more, less of the data would still
    /// be in the processor's cache when it is read.
    #[inline]
    fn exceeds_limits(&self, items: u64, bytes: u64) -> bool {
        items >= self.max_items as u64 || bytes > self.bytes / 2
    }

    /// Returns the distance, in items and bytes, of the slowest subscriber for which publishers wait.
    #[cold]
    fn lag(&self) -> (u64, u64) {
        let slowest = self.cursors.iter().find(|(_, count)| count.all > count.abandoned);
        slowest.map_or((0, 0), |(item, _)| (self.next() - item, self.end - self.begin(*item)))
    }

    /// Returns the number of the next item to be appended.
    fn next(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// Returns the position at which a kept item, or the next one, begins.
    fn begin(&self, item: u64) -> u64 {
        let before = item.checked_sub(self.first + 1).and_then(|before| usize::try_from(before).ok());
        before.and_then(|before| self.ends.get(before)).copied().unwrap_or(self.kept_position)
    }

    /// Returns the chunks between two positions, which are boundaries of items.
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
            // The next chunk will be about as long; a little more capacity avoids a reallocation.
            let expected = self.open.len() + self.open.len() / 8;
            let next = Vec::with_capacity(expected.min(CHUNK_BYTES + LARGE_BYTES));
            self.sealed.push_back(Bytes::from(std::mem::replace(&mut self.open, next)));
        }
    }

    /// Adds a cursor at its item.
    fn add_cursor(&mut self, cursor: &Cursor) {
        let count = self.cursors.entry(cursor.item).or_default();
        count.all += 1;
        if cursor.patience.is_over() {
            count.abandoned += 1;
            self.abandoned += 1;
        }
    }

    /// Removes a cursor from its item.
    fn remove_cursor(&mut self, cursor: &Cursor) {
        let Some(count) = self.cursors.get_mut(&cursor.item) else { return };
        count.all -= 1;
        if cursor.patience.is_over() {
            count.abandoned -= 1;
            self.abandoned -= 1;
        }
        if count.all == 0 {
            self.cursors.remove(&cursor.item);
        }
    }

    /// Drops the items that all subscribers have read.
    fn drop_read(&mut self) {
        let needed = self.cursors.first_key_value().map_or(self.next(), |(item, _)| *item);
        let read = needed.saturating_sub(self.first);
        let last = self.ends.drain(..read as usize).next_back();
        if let Some(end) = last {
            self.release(read, end);
        }
    }

    fn drop_first(&mut self) {
        if let Some(end) = self.ends.pop_front() {
            self.release(1, end);
        }
    }

    /// Releases the memory of the oldest items, which were removed from `ends`: this many, to this position.
    fn release(&mut self, items: u64, end: u64) {
        self.first += items;
        self.kept_position = end;
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

    const SECOND: Duration = Duration::from_secs(1);

    fn log(keep: u32) -> Log {
        Log::new(keep, 1 << 20)
    }

    fn append(log: &mut Log, items: std::ops::Range<u8>) {
        items.for_each(|item| log.append(&Buffer::from(&[item; 10][..])));
    }

    /// Reads the next items, and returns the number of missing ones and the first byte of each.
    fn read(log: &mut Log, cursor: &mut Cursor, bytes: usize) -> (u64, Vec<u8>) {
        let LogRead { missing, frames, items } = log.read(cursor, bytes);
        let all: Vec<u8> = frames.iter().flat_map(|frames| frames.iter().copied()).collect();
        assert!(all.chunks(10).all(|item| item.len() == 10 && item.iter().all(|byte| *byte == item[0])));
        assert_eq!(all.chunks(10).count() as u64, items);
        (missing, all.chunks(10).map(|item| item[0]).collect())
    }

    #[test]
    fn every_subscriber_reads_the_items_since_it_joined_at_its_own_pace() {
        let mut log = log(100);
        append(&mut log, 0..3);
        let mut early = log.join();
        append(&mut log, 3..6);
        let mut late = log.join();
        append(&mut log, 6..8);
        assert_eq!(read(&mut log, &mut early, 25), (0, vec![3, 4]));
        assert_eq!(read(&mut log, &mut late, 1_000), (0, vec![6, 7]));
        assert_eq!(read(&mut log, &mut early, 1), (0, vec![5]), "one item at least");
        assert_eq!(read(&mut log, &mut early, 1_000), (0, vec![6, 7]));
        assert_eq!(read(&mut log, &mut early, 1_000), (0, vec![]));
        assert!(log.is_read(&early) && log.is_read(&late));
        assert_eq!(log.kept(), (0, 0), "items that all have read are dropped");
    }

    #[test]
    fn dropped_items_are_counted_for_each_subscriber_that_missed_them() {
        let mut log = log(3);
        let (mut one, mut other) = (log.join(), log.join());
        append(&mut log, 0..4);
        assert_eq!(read(&mut log, &mut one, 1_000), (1, vec![1, 2, 3]));
        append(&mut log, 4..10);
        assert_eq!((log.missing(&one), log.missing(&other)), (3, 7));
        assert_eq!(read(&mut log, &mut one, 1_000), (3, vec![7, 8, 9]));
        assert_eq!(read(&mut log, &mut other, 1_000), (7, vec![7, 8, 9]));
    }

    #[test]
    fn bytes_are_bounded_but_one_item_always_fits() {
        let mut log = Log::new(u32::MAX, 25);
        let mut cursor = log.join();
        append(&mut log, 0..3);
        assert_eq!(log.missing(&cursor), 0, "two of ten bytes are kept besides the newest");
        append(&mut log, 3..4);
        assert_eq!(log.missing(&cursor), 1);
        log.append_shared([vec![2; 10_000].into()]);
        let LogRead { missing, items, .. } = log.read(&mut cursor, 1_000_000);
        assert_eq!((missing, items), (2, 3));
        log.append_shared([vec![2; 10_000].into()]);
        append(&mut log, 4..5);
        assert_eq!(read(&mut log, &mut cursor, 1), (1, vec![4]));
    }

    #[test]
    fn a_large_frame_is_shared_and_not_copied() {
        let mut log = log(10);
        let mut cursor = log.join();
        append(&mut log, 0..1);
        let large = Bytes::from(vec![7; LARGE_BYTES]);
        assert!(Log::is_large(large.len()));
        log.append_shared([Bytes::from_static(b"head"), large.clone()]);
        append(&mut log, 2..3);
        let LogRead { frames, .. } = log.read(&mut cursor, 1);
        assert_eq!(frames.len(), 1);
        let LogRead { frames, .. } = log.read(&mut cursor, 1);
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), [4, LARGE_BYTES], "one item");
        assert_eq!(frames[1].as_ptr(), large.as_ptr());
        assert_eq!(read(&mut log, &mut cursor, 1), (0, vec![2]));
    }

    #[test]
    fn a_subscriber_that_leaves_blocks_nothing() {
        let mut log = log(100);
        let slow = log.join();
        let mut quick = log.join();
        append(&mut log, 0..5);
        assert_eq!(read(&mut log, &mut quick, 1_000).1.len(), 5);
        assert_eq!(log.kept().0, 5, "for the slow one");
        log.leave(&slow);
        assert_eq!(log.kept(), (0, 0));
        log.leave(&quick);
        assert!(log.is_idle());
    }

    #[test]
    fn publishers_wait_for_a_stalled_subscriber_until_the_timeout_and_again_once_it_caught_up() {
        let start = Instant::now();
        let mut log = log(4);
        let (mut quick, mut slow) = (log.join(), log.join());
        append(&mut log, 0..4);
        read(&mut log, &mut quick, 1_000);
        assert!(log.is_full(1));
        assert_eq!(log.wait_deadline(&mut quick, start, 5 * SECOND, 0), None, "it does not block");
        assert_eq!(log.wait_deadline(&mut slow, start, 5 * SECOND, 0), Some(start + 5 * SECOND));
        let again = start + 4 * SECOND;
        assert_eq!(log.wait_deadline(&mut slow, again, 5 * SECOND, 0), Some(start + 5 * SECOND));
        assert_eq!(
            log.wait_deadline(&mut slow, again, 5 * SECOND, 1),
            Some(again + 5 * SECOND),
            "it makes progress"
        );
        assert_eq!(log.wait_deadline(&mut slow, again + 5 * SECOND, 5 * SECOND, 1), None);
        assert!(log.is_abandoned(&slow) && !log.is_full(4), "the quick one has everything");
        append(&mut log, 4..6);
        assert!(log.is_full(2), "the quick one blocks");
        assert_eq!(read(&mut log, &mut slow, 1), (2, vec![2]));
        assert!(log.is_abandoned(&slow), "it has not caught up");
        assert_eq!(read(&mut log, &mut slow, 1_000), (0, vec![3, 4, 5]));
        assert!(!log.is_abandoned(&slow));
        append(&mut log, 6..8);
        read(&mut log, &mut quick, 1_000);
        assert!(log.is_full(2), "now the slow one blocks");
        log.leave(&slow);
        assert!(!log.is_full(2));
    }
}
