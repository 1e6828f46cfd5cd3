//! Bytes that are encoded before anything is locked: serialising a value runs the user's code, which may send,
//! publish, log or block.

use std::cell::Cell;
use std::thread::LocalKey;

use bytes::Bytes;
use meshzero_proto::buffer::{Buffer, WriteBuffer};
use meshzero_proto::codec::{self, DetachedBlob};
use prefetch_index::prefetch_index;

use crate::message::turn::Turn;
use crate::runtime::rare;

/// The largest buffer that is kept for reuse. Every thread that sends keeps at most this much; a thread that publishes
/// keeps little, because large items take their buffers with them. Measured: without it, messages of 200 to 400 KiB
/// take one and a half times to twice as long to write, because the buffer grows.
const MAX_SPARE_BYTES: usize = 512 << 10;

/// The length from which on bytes are moved instead of copied, where that is possible. Shorter ones are copied: the small
/// buffer would have to grow for the large messages after them.
const MIN_MOVED_BYTES: usize = 32 << 10;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

thread_local! {
    /// The buffer for the next message of this thread.
    static SPARE: ReusableValue<EncodedParts> = const { Cell::new(None) };
}

/// Encoded bytes, and the blobs between them.
#[derive(Debug, Default)]
pub(crate) struct EncodedParts {
    bytes: Buffer,
    blobs: Vec<DetachedBlob>,
    turn: Turn,
}

/// A value that a thread uses repeatedly; `None` while it is in use. In a box, because moving it would cost as much as
/// encoding a small message.
pub(crate) type ReusableValue<T> = Cell<Option<Box<T>>>;

/// Takes the spare value of this thread, or a new one if that is in use.
#[inline(always)]
pub(crate) fn take_spare<T: Default>(spare: &'static LocalKey<ReusableValue<T>>) -> Box<T> {
    spare.try_with(Cell::take).ok().flatten().unwrap_or_default()
}

/// Keeps a value as the spare one of this thread.
#[inline(always)]
pub(crate) fn give_back<T>(spare: &'static LocalKey<ReusableValue<T>>, value: Box<T>) {
    // A thread that ends needs none.
    let _ = spare.try_with(|spare| {
        if let Some(other) = spare.replace(Some(value)) {
            rare::drop_value(other);
        }
    });
}

impl EncodedParts {
    /// Calls `work` with an empty buffer.
    #[inline(always)]
    pub(crate) fn with<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        let mut written = take_spare(&SPARE);
        let result = work(&mut written);
        written.clear();
        give_back(&SPARE, written);
        result
    }

    /// Calls `write` to fill the buffer; it may encode something else on the same thread meanwhile.
    ///
    /// # Errors
    /// Those of `write`.
    #[inline(always)]
    pub(crate) fn write<E>(&mut self, write: impl FnOnce(&mut Buffer) -> Result<(), E>) -> Result<(), E> {
        codec::detaching(&mut self.bytes, &mut self.blobs, write)
    }

    /// Clears everything, and keeps memory that is worth reusing.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.bytes.cut(0);
        if self.has_blobs() {
            self.blobs.clear();
        }
        if self.bytes.capacity() > MAX_SPARE_BYTES {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.bytes = Buffer::default();
    }

    /// Returns the buffer of the bytes, without the blobs.
    #[inline(always)]
    pub(crate) fn buffer(&self) -> &Buffer {
        &self.bytes
    }

    /// Returns the bytes, without the blobs.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.written()
    }

    /// As [`EncodedParts::bytes`], mutable.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.written_mut()
    }

    /// Returns the number of bytes, with the blobs.
    pub(crate) fn length(&self) -> usize {
        self.bytes.length() + self.blobs.iter().map(|blob| blob.bytes.len()).sum::<usize>()
    }

    /// Returns whether there are blobs.
    #[inline(always)]
    pub(crate) fn has_blobs(&self) -> bool {
        !self.blobs.is_empty()
    }

    /// Takes the bytes as pieces, with the blobs between them.
    pub(crate) fn take_pieces(&mut self) -> Vec<Bytes> {
        let mut bytes = Bytes::from(self.bytes.take());
        let mut pieces = Vec::with_capacity(2 * self.blobs.len() + 1);
        let mut previous = 0;
        for DetachedBlob { at, bytes: blob } in self.blobs.drain(..) {
            pieces.push(bytes.split_to(at - std::mem::replace(&mut previous, at)));
            pieces.push(blob);
        }
        pieces.push(bytes);
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Moves the bytes to the end of `out`.
    #[inline(always)]
    pub(crate) fn move_to(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        if start == 0 && self.bytes.length() >= MIN_MOVED_BYTES {
            // Not copied; this thread keeps the buffer that was there.
            self.bytes.swap(out);
        } else {
            self.bytes.append_to(out);
            prefetch_next(out);
        }
    }

    /// The turn of the thread, which has the same parts for all its messages.
    #[inline(always)]
    pub(crate) fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    /// Takes the blobs, with their positions in a buffer to which the bytes were moved at `start`.
    #[cold]
    pub(crate) fn take_blobs(&mut self, start: usize) -> Vec<DetachedBlob> {
        self.blobs.iter_mut().for_each(|blob| blob.at += start);
        std::mem::take(&mut self.blobs)
    }
}

/// Prefetches the cache lines of the next message, if it is short: a sender to many links comes back to this batch when it has
/// left the cache, and the atomic operation that unlocks it waits until the message is stored. Measured in turns: 10 links carry
/// 1.2 times as many messages of 64 bytes per second, and 100 links 1.3 times, as with a store to the first of these lines, for
/// which the unlocking waits as well.
#[inline(always)]
fn prefetch_next(out: &mut Vec<u8>) {
    let spare = out.spare_capacity_mut();
    prefetch_index(&spare, CACHE_LINE);
    prefetch_index(&spare, 2 * CACHE_LINE);
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use meshzero_proto::codec::{Blob, EncodeError, Encoding};

    use super::*;

    #[test]
    fn a_message_encoded_during_another_is_separate() {
        let blob = |byte| Blob::from(vec![byte; 100_000]);
        let write = |out: &mut Buffer, byte| codec::encode(&blob(byte), Encoding::Bincode, 1 << 20, out);
        let mut inner = Vec::new();
        let mut out = b"before".to_vec();
        let blobs = EncodedParts::with(|outer| {
            let encoded = outer.write(|out| {
                write(out, 1)?;
                inner = EncodedParts::with(|inner| {
                    inner.write(|out| write(out, 2)).map(|()| inner.take_pieces())
                })?;
                write(out, 3)
            });
            assert_eq!(encoded, Ok(()));
            outer.move_to(&mut out);
            outer.take_blobs(b"before".len())
        });
        assert_eq!(blobs.iter().map(|blob| blob.bytes[0]).collect::<Vec<_>>(), [1, 3]);
        assert!(blobs.iter().all(|blob| (7..=out.len()).contains(&blob.at)));
        assert_eq!(inner.last().map(|piece| (piece.len(), piece[0])), Some((100_000, 2)));
        let failed = EncodedParts::with(|parts| parts.write(|_| Err(EncodeError::TooLarge { max: 0 })));
        assert!(failed.is_err());
        EncodedParts::with(|parts| assert_eq!((parts.bytes(), parts.has_blobs()), (&b""[..], false)));
    }
}
