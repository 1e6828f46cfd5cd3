//! Bytes that are written before anything is locked: serialising a value runs code of its user, which may send, publish, log or wait.

use std::cell::Cell;

use meshzero_proto::codec::{self, Beside};

/// Memory of more bytes is given back and not used again. Every thread that sends keeps as much. Measured: without it, messages of 200 to
/// 400 KiB take one and a half times to twice as long to write, because memory grows.
const LARGEST_SPARE: usize = 512 << 10;

/// From this length on bytes change hands where they can, and are not copied: little memory for much that comes after them would
/// have to grow.
const WORTH_MOVING: usize = 32 << 10;

thread_local! {
    /// Memory for what this thread writes next.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes, and the blobs that belong between them.
#[derive(Debug, Default)]
pub(crate) struct Written {
    bytes: Vec<u8>,
    blobs: Vec<Beside>,
}

impl Written {
    /// Returns what `write` appends, which may write something else on the same thread meanwhile.
    ///
    /// # Errors
    /// Those of `write`.
    #[inline(always)]
    pub(crate) fn new<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Self, E> {
        let bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        let mut written = Self { bytes, blobs: Vec::new() };
        written.blobs = codec::beside(&mut written.bytes, write)?;
        Ok(written)
    }

    /// The bytes, without the blobs.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the number of bytes, with the blobs.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len() + self.blobs.iter().map(|blob| blob.bytes.len()).sum::<usize>()
    }

    /// As [`Written::bytes`], to be changed in place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Returns whether there are blobs.
    #[inline(always)]
    pub(crate) fn has_blobs(&self) -> bool {
        !self.blobs.is_empty()
    }

    /// Takes the bytes and the blobs.
    pub(crate) fn take(&mut self) -> (Vec<u8>, Vec<Beside>) {
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.blobs))
    }

    /// Moves all to the end of `out`; returns the blobs, with the places where they belong there.
    #[inline(always)]
    pub(crate) fn move_to(&mut self, out: &mut Vec<u8>) -> Vec<Beside> {
        let begin = out.len();
        if begin == 0 && self.bytes.len() >= WORTH_MOVING {
            // Not copied; the memory that was there is this thread's from now on.
            std::mem::swap(out, &mut self.bytes);
        } else {
            out.extend_from_slice(&self.bytes);
        }
        let mut blobs = std::mem::take(&mut self.blobs);
        blobs.iter_mut().for_each(|blob| blob.at += begin);
        blobs
    }
}

impl Drop for Written {
    #[inline(always)]
    fn drop(&mut self) {
        if (1..=LARGEST_SPARE).contains(&self.bytes.capacity()) {
            self.bytes.clear();
            let bytes = std::mem::take(&mut self.bytes);
            // A thread that ends needs none.
            let _ = SPARE.try_with(|spare| spare.set(bytes));
        }
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use meshzero_proto::codec::{Blob, EncodeError, Encoding};

    use super::*;

    #[test]
    fn what_is_written_meanwhile_is_another_thing() {
        let blob = |byte| Blob::from(vec![byte; 100_000]);
        let write = |out: &mut Vec<u8>, byte| codec::encode(&blob(byte), Encoding::Bincode, 1 << 20, out);
        let mut inner = Written::default();
        let mut outer = Written::new(|out| {
            write(out, 1)?;
            inner = Written::new(|out| write(out, 2))?;
            write(out, 3)
        })
        .expect("it is encoded");
        let mut out = b"before".to_vec();
        let blobs = outer.move_to(&mut out);
        assert_eq!(blobs.iter().map(|blob| blob.bytes[0]).collect::<Vec<_>>(), [1, 3]);
        assert!(blobs.iter().all(|blob| (7..=out.len()).contains(&blob.at)));
        let (_, blobs) = inner.take();
        assert_eq!(blobs.iter().map(|blob| blob.bytes[0]).collect::<Vec<_>>(), [2]);
        assert!(Written::new(|_| Err(EncodeError::TooLarge { max: 0 })).is_err());
    }
}
