//! Bytes that are taken out of a message as they arrived, without copying them.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// From this length on it costs less to share bytes than to copy them.
const SHARED_BYTES: usize = 4 << 10;

/// The largest part of what arrived together that is kept in memory for the sake of one blob: so many times its length.
const MOST_HELD: usize = 8;

thread_local! {
    /// What the message that this thread decodes is a part of.
    static SOURCE: RefCell<Option<Bytes>> = const { RefCell::new(None) };
}

/// Bytes in a message, such as a picture. A large blob is a part of what arrived, shared and not copied; cloning one
/// copies nothing either.
///
/// Other programs may have `bytes::Bytes` or a `serde_bytes::ByteBuf` in its place: it travels in the same way.
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
    /// The bytes.
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
        serializer.serialize_bytes(&self.0)
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

/// `part` as a part of what this thread decodes, if it is one and worth it.
fn shared(part: &[u8]) -> Option<Bytes> {
    if part.len() < SHARED_BYTES {
        return None;
    }
    SOURCE.with_borrow(|source| {
        let source = source.as_ref()?;
        let (all, wanted) = (source.as_ptr_range(), part.as_ptr_range());
        let is_part = all.start <= wanted.start && wanted.end <= all.end;
        (is_part && part.len() * MOST_HELD >= source.len()).then(|| source.slice_ref(part))
    })
}

/// Runs `decode`, which decodes a part of `source`: the blobs in it share that, if it is long enough.
#[inline]
pub(super) fn sharing<T>(source: &Bytes, part: &[u8], decode: impl FnOnce() -> T) -> T {
    if part.len() < SHARED_BYTES {
        return decode();
    }
    /// Puts back what was decoded before, also after a panic.
    struct Restore(Option<Bytes>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SOURCE.set(self.0.take());
        }
    }
    let _restore = Restore(SOURCE.replace(Some(source.clone())));
    decode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{DecodeLimits, Encoding, decode, decode_part, encode, type_info};

    fn source(blob: &Blob, encoding: Encoding, around: usize) -> (Bytes, std::ops::Range<usize>) {
        let mut bytes = vec![7; around];
        encode(blob, encoding, 1 << 20, &mut bytes).expect("it is encoded");
        let end = bytes.len();
        bytes.extend(vec![7; around]);
        (bytes.into(), around..end)
    }

    #[test]
    fn a_large_blob_shares_what_it_arrived_in() {
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
    fn a_small_blob_keeps_nothing_large_in_memory() {
        for (length, around) in [(100, 0), (SHARED_BYTES, 50_000)] {
            let blob = Blob::from(vec![1; length]);
            let (source, part) = source(&blob, Encoding::Bincode, around);
            let decoded: Blob =
                decode_part(&source, &source[part], Encoding::Bincode, &DecodeLimits::default())
                    .expect("a blob");
            assert!(decoded == blob && !source.as_ptr_range().contains(&decoded.as_ptr()));
        }
    }

    #[test]
    fn it_travels_as_other_bytes_do_and_a_list_of_numbers_will_do() {
        assert_eq!(type_info::<Blob>().fingerprint(), type_info::<Bytes>().fingerprint());
        assert!(type_info::<Blob>().fingerprint().is_some());
        assert_eq!(serde_json::from_str::<Blob>("[1, 2, 3]").expect("bytes"), Blob::from(vec![1, 2, 3]));
        assert_eq!(format!("{:?}", Blob::from(vec![1, 2, 3])), "Blob(3 bytes)");
    }
}
