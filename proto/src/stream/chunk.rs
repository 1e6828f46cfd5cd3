//! Bytes of a stream that stay together on their way, whoever owns their memory.

use std::ops::Deref;

use bytes::Bytes;

/// Bytes that stay together.
#[derive(Debug)]
pub enum Chunk {
    /// A batch.
    Batch(Vec<u8>),
    /// A payload, whose memory others may use as well.
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
