//! Blobs: bytes that are encoded into a message, and decoded from one, without being copied.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::buffer::WriteBuffer;

/// The length from which sharing bytes costs less than copying them.
const SHARED_BYTES: usize = 4 << 10;

/// The largest received buffer that one blob may keep in memory, as a multiple of its own length.
const MAX_RETAINED_FACTOR: usize = 8;

/// The length from which a blob is sent without being copied into the buffer, where the buffer may be sent in parts.
const DETACHED_BYTES: usize = 16 << 10;

thread_local! {
    /// The buffer of the message that this thread is decoding.
    static SOURCE: RefCell<Option<Bytes>> = const { RefCell::new(None) };
    /// The address of the buffer from which blobs may be detached, or 0.
    static TARGET: Cell<usize> = const { Cell::new(0) };
    /// The blob that is being serialised.
    static CURRENT: RefCell<Option<Bytes>> = const { RefCell::new(None) };
    /// The blobs detached from the buffer, and their total size in bytes.
    static DETACHED: RefCell<Vec<DetachedBlob>> = const { RefCell::new(Vec::new()) };
    static DETACHED_LEN: Cell<usize> = const { Cell::new(0) };
    /// The same of the enclosing values, from the outermost on.
    static ENCLOSING: RefCell<Vec<(Vec<DetachedBlob>, usize)>> = const { RefCell::new(Vec::new()) };
}

/// A detached blob, with its position between the bytes of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedBlob {
    /// The number of bytes of the buffer before it.
    pub at: usize,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Bytes in a message, such as a picture. A large blob shares the received buffer instead of being copied; cloning one copies
/// nothing either.
///
/// Other programs may use `bytes::Bytes` or a `serde_bytes::ByteBuf` instead: the encoding is the same.
///
/// ```
/// use meshzero_proto::codec::Blob;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Picture { width: u32, pixels: Blob }
///
/// let picture = Picture { width: 640, pixels: Blob::from(vec![0; 640 * 480]) };
/// assert_eq!(picture.pixels.len(), 307_200);
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(Bytes);

impl Blob {
    /// Returns the bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl<T: Into<Bytes>> From<T> for Blob {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() < DETACHED_BYTES || TARGET.get() == 0 {
            return serializer.serialize_bytes(&self.0);
        }
        CURRENT.set(Some(self.0.clone()));
        let written = serializer.serialize_bytes(&self.0);
        CURRENT.set(None);
        written
    }
}

impl<'de> Deserialize<'de> for Blob {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(shared(bytes).unwrap_or_else(|| Bytes::copy_from_slice(bytes))))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Blob, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(Blob(bytes.into()))
    }
}

/// Returns `part` as a shared part of the message that this thread is decoding, if it is one and long enough.
pub(super) fn shared(part: &[u8]) -> Option<Bytes> {
    if part.len() < SHARED_BYTES {
        return None;
    }
    SOURCE.with_borrow(|source| {
        let source = source.as_ref()?;
        let (source_range, part_range) = (source.as_ptr_range(), part.as_ptr_range());
        let is_part = source_range.start <= part_range.start && part_range.end <= source_range.end;
        (is_part && part.len() * MAX_RETAINED_FACTOR >= source.len()).then(|| source.slice_ref(part))
    })
}

/// A guard: until it is dropped, sufficiently long values decoded from a part of the current source share its buffer.
pub(super) struct SharedSource(Option<Bytes>);

impl Drop for SharedSource {
    fn drop(&mut self) {
        SOURCE.set(self.0.take());
    }
}

/// Lets the blobs in `part` share `source`; `None` if that would not help.
#[inline(always)]
pub(super) fn sharing(source: &Bytes, part: &[u8]) -> Option<SharedSource> {
    (part.len() >= SHARED_BYTES).then(|| SharedSource(SOURCE.replace(Some(source.clone()))))
}

/// Runs `write`, which appends encoded values to `buffer`: the large blobs in them are not copied there, but stored in `blobs`,
/// with their positions. `blobs` is unchanged when there are none, or `write` fails.
///
/// # Errors
/// Those of `write`.
#[inline(always)]
pub fn detaching<B: WriteBuffer, E>(
    buffer: &mut B,
    blobs: &mut Vec<DetachedBlob>,
    write: impl FnOnce(&mut B) -> Result<(), E>,
) -> Result<(), E> {
    let _end = DetachScope::new(address(buffer.memory()));
    write(buffer)?;
    if DETACHED_LEN.take() > 0 {
        *blobs = DETACHED.take();
    }
    Ok(())
}

/// A guard: until it is dropped, even by a panic, blobs may be detached from a buffer.
struct DetachScope {
    /// The previous buffer.
    target: usize,
    /// Set if the blobs of an enclosing value were set aside.
    is_nested: bool,
}

impl DetachScope {
    #[inline(always)]
    fn new(target: usize) -> Self {
        let target = TARGET.replace(target);
        let is_nested = DETACHED_LEN.get() > 0;
        if is_nested {
            Self::set_aside();
        }
        Self { target, is_nested }
    }

    /// Sets the blobs of the enclosing value aside, while a `Serialize` implementation encodes another value in between.
    #[cold]
    fn set_aside() {
        ENCLOSING.with_borrow_mut(|enclosing| enclosing.push((DETACHED.take(), DETACHED_LEN.take())));
    }

    /// Drops the blobs of a failed value, and returns to the enclosing one.
    #[cold]
    fn restore(is_nested: bool) {
        let enclosing = if is_nested { ENCLOSING.with_borrow_mut(Vec::pop) } else { None };
        let (blobs, length) = enclosing.unwrap_or_default();
        DETACHED.set(blobs);
        DETACHED_LEN.set(length);
    }
}

impl Drop for DetachScope {
    #[inline(always)]
    fn drop(&mut self) {
        // `LocalKey::set` would be a call.
        TARGET.with(|target| target.set(self.target));
        if self.is_nested || DETACHED_LEN.get() > 0 {
            Self::restore(self.is_nested);
        }
    }
}

/// Returns the total size of the blobs that belong to the value being written.
#[inline]
pub(crate) fn detached_len() -> usize {
    DETACHED_LEN.get()
}

/// Drops all but the first `len` bytes of blobs.
pub(super) fn truncate_detached(len: usize) {
    DETACHED.with_borrow_mut(|blobs| {
        while DETACHED_LEN.get() > len
            && let Some(last) = blobs.pop()
        {
            DETACHED_LEN.set(DETACHED_LEN.get() - last.bytes.len());
        }
    });
}

/// Detaches `bytes`, which are to be written to `buffer` at `at`, if they are a blob and may be detached. Returns true if they
/// were.
pub(super) fn detach(buffer: &Vec<u8>, at: usize, bytes: &[u8]) -> bool {
    if bytes.len() < DETACHED_BYTES || TARGET.get() != address(buffer) {
        return false;
    }
    let is_current = CURRENT.with_borrow(|current| {
        current.as_ref().is_some_and(|blob| blob.as_ptr_range() == bytes.as_ptr_range())
    });
    if is_current && let Some(bytes) = CURRENT.take() {
        DETACHED_LEN.set(DETACHED_LEN.get() + bytes.len());
        DETACHED.with_borrow_mut(|blobs| blobs.push(DetachedBlob { at, bytes }));
    }
    is_current
}

/// Returns an identifier of a buffer, valid while it exists.
#[inline]
fn address(buffer: &Vec<u8>) -> usize {
    std::ptr::from_ref(buffer).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{DecodeLimits, Encoding, decode, decode_part, encode, type_info};

    fn source(blob: &Blob, encoding: Encoding, enclosing: usize) -> (Bytes, std::ops::Range<usize>) {
        let mut bytes = vec![7; enclosing];
        encode(blob, encoding, 1 << 20, &mut bytes).expect("it is encoded");
        let end = bytes.len();
        bytes.extend(vec![7; enclosing]);
        (bytes.into(), enclosing..end)
    }

    #[test]
    fn a_large_blob_shares_the_received_buffer() {
        for encoding in [Encoding::Bincode, Encoding::MessagePack] {
            let blob = Blob::from((0..100_000).map(|byte| byte as u8).collect::<Vec<u8>>());
            let (source, part) = source(&blob, encoding, 1_000);
            let decoded: Blob =
                decode_part(&source, &source[part.clone()], encoding, &DecodeLimits::default())
                    .expect("a blob");
            assert_eq!(decoded, blob);
            assert!(source.as_ptr_range().contains(&decoded.as_ptr()), "it was copied");
            let copied: Blob = decode(&source[part], encoding, &DecodeLimits::default()).expect("a blob");
            assert!(copied == blob && !source.as_ptr_range().contains(&copied.as_ptr()));
        }
    }

    #[test]
    fn a_small_blob_does_not_keep_a_large_buffer_in_memory() {
        for (length, enclosing) in [(100, 0), (SHARED_BYTES, 50_000)] {
            let blob = Blob::from(vec![1; length]);
            let (source, part) = source(&blob, Encoding::Bincode, enclosing);
            let decoded: Blob =
                decode_part(&source, &source[part], Encoding::Bincode, &DecodeLimits::default())
                    .expect("a blob");
            assert!(decoded == blob && !source.as_ptr_range().contains(&decoded.as_ptr()));
        }
    }

    #[test]
    fn a_blob_is_encoded_like_bytes_and_decodes_from_a_list_of_numbers() {
        assert_eq!(type_info::<Blob>().fingerprint(), type_info::<Bytes>().fingerprint());
        assert!(type_info::<Blob>().fingerprint().is_some());
        assert_eq!(serde_json::from_str::<Blob>("[1, 2, 3]").expect("bytes"), Blob::from(vec![1, 2, 3]));
        assert_eq!(format!("{:?}", Blob::from(vec![1, 2, 3])), "Blob(3 bytes)");
    }

    /// Returns a message with blobs of all kinds.
    fn mixed() -> (u32, Blob, Blob, String, Blob) {
        let large = |byte| Blob::from(vec![byte; DETACHED_BYTES]);
        (7, large(1), Blob::from(vec![2; 10]), "text".to_owned(), large(3))
    }

    #[test]
    fn large_blobs_are_detached_with_their_positions() {
        for encoding in [Encoding::Bincode, Encoding::MessagePack] {
            let mut contiguous = vec![9];
            encode(&mixed(), encoding, 1 << 20, &mut contiguous).expect("it is encoded");
            let message = mixed();
            let mut buffer = vec![9];
            let mut blobs = Vec::new();
            let encoded = detaching(&mut buffer, &mut blobs, |out| {
                encode(&message, encoding, 1 << 20, out)?;
                assert_eq!(detached_len(), 2 * DETACHED_BYTES);
                Ok::<_, crate::codec::EncodeError>(())
            });
            assert_eq!(encoded, Ok(()));
            assert_eq!(blobs.len(), 2);
            assert_eq!(blobs[0].bytes.as_ptr(), message.1.as_ptr(), "shared");
            let mut joined = Vec::new();
            let mut from = 0;
            for DetachedBlob { at, bytes } in blobs {
                joined.extend_from_slice(&buffer[from..at]);
                joined.extend_from_slice(&bytes);
                from = at;
            }
            joined.extend_from_slice(&buffer[from..]);
            assert!(joined == contiguous, "{encoding:?}: other bytes");
        }
    }

    #[test]
    fn the_limit_holds_for_bytes_after_a_blob() {
        let message = (vec![1u8; 300], Blob::from(vec![2; 40 * DETACHED_BYTES]), vec![0.5f32; 20_000], 7u8);
        for encoding in [Encoding::Bincode, Encoding::MessagePack] {
            let mut contiguous = Vec::new();
            encode(&message, encoding, usize::MAX, &mut contiguous).expect("it is encoded");
            for (max, fits) in
                [(contiguous.len(), true), (contiguous.len() - 1, false), (41 * DETACHED_BYTES, false)]
            {
                let (mut buffer, mut blobs) = (Vec::new(), Vec::new());
                let encoded = detaching(&mut buffer, &mut blobs, |out| encode(&message, encoding, max, out));
                assert_eq!(encoded.is_ok(), fits, "{encoding:?}: {max} of {}", contiguous.len());
                let length = buffer.len() + blobs.iter().map(|blob| blob.bytes.len()).sum::<usize>();
                assert_eq!(length, if fits { contiguous.len() } else { 0 });
            }
        }
    }

    #[test]
    fn values_that_fail_or_go_elsewhere_detach_no_blobs() {
        let (mut buffer, mut blobs) = (Vec::new(), Vec::new());
        let too_long = detaching(&mut buffer, &mut blobs, |out| {
            encode(&mixed(), Encoding::Bincode, DETACHED_BYTES + 100, out)
        });
        assert!(matches!(too_long, Err(crate::codec::EncodeError::TooLarge { .. })), "{too_long:?}");
        assert_eq!((buffer.len(), blobs.len(), detached_len()), (0, 0, 0));
        let elsewhere = detaching(&mut buffer, &mut blobs, |_| {
            encode(&mixed(), Encoding::Bincode, 1 << 20, &mut Vec::new())
        });
        assert_eq!((elsewhere, blobs.len()), (Ok(()), 0));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            detaching::<_, crate::codec::EncodeError>(&mut buffer, &mut blobs, |out| {
                encode(&mixed(), Encoding::Bincode, 1 << 20, out)?;
                panic!("a panic behind two blobs")
            })
        }));
        assert!(panicked.is_err());
        buffer.clear();
        let next = detaching(&mut buffer, &mut blobs, |out| encode(&1u8, Encoding::Bincode, 10, out));
        assert_eq!((next, blobs.len(), buffer, detached_len()), (Ok(()), 0, vec![1], 0));
    }
}
