//! A contiguous part of a stream, in owned or shared memory.

use std::ops::Deref;

use bytes::Bytes;

/// A contiguous part of a stream.
#[derive(Debug)]
pub enum Chunk {
    /// A batch.
    Batch(Vec<u8>),
    /// A payload whose memory may be shared.
    Shared(Bytes),
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Batch(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}
