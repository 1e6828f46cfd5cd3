//! The messages of all contestants: a number and bytes, as serde types, or as plain bytes that begin with the number.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// The payload of a message: [`Small`] up to 1 KiB, [`Large`] beyond.
pub trait Payload: Serialize + DeserializeOwned + Clone + Send + Sync + Unpin + 'static {
    /// The payload of that number. All large ones share the memory of `body`, which is [`shared_body`].
    fn new(number: u64, body: &Bytes) -> Self;

    /// Its number.
    fn number(&self) -> u64;
}

/// A function that is generic over the type of a payload of [`Plan::size`](crate::Plan::size) bytes: see [`of_size`].
pub trait WithPayload {
    /// Its result.
    type Output;

    /// Calls it with the payload's type.
    fn with<P: Payload>(self) -> Self::Output;
}

/// Calls `then` with the type of a payload of this many bytes.
pub fn of_size<W: WithPayload>(size: usize, then: W) -> W::Output {
    of_size_or::<Large, W>(size, then)
}

/// As [`of_size`], with a library's own type of large payloads.
pub fn of_size_or<L: Payload, W: WithPayload>(size: usize, then: W) -> W::Output {
    match size {
        8 => then.with::<Small<0>>(),
        64 => then.with::<Small<56>>(),
        1_024 => then.with::<Small<1_016>>(),
        _ => then.with::<L>(),
    }
}

/// The body of a payload of this many bytes.
pub fn shared_body(size: usize) -> Bytes {
    Bytes::from(vec![FILL; size.saturating_sub(size_of::<u64>())])
}

/// A message of 8 bytes and `N`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Small<const N: usize> {
    /// The message's number, counted from 0.
    pub number: u64,
    /// The other bytes.
    pub body: ByteArray<N>,
}

impl<const N: usize> Payload for Small<N> {
    #[inline]
    fn new(number: u64, _: &Bytes) -> Self {
        Self { number, body: ByteArray::new([FILL; N]) }
    }

    #[inline]
    fn number(&self) -> u64 {
        self.number
    }
}

/// A message of 8 bytes and a body whose memory is shared with all the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Large {
    /// The message's number, counted from 0.
    pub number: u64,
    /// The other bytes.
    pub body: Bytes,
}

const FILL: u8 = 0x5a;

impl Payload for Large {
    fn new(number: u64, body: &Bytes) -> Self {
        Self { number, body: body.clone() }
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// A message as plain bytes, for libraries without types: its number, little-endian, and the other bytes.
pub fn with_number(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![FILL; size.max(size_of::<u64>())];
    bytes[..size_of::<u64>()].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number at the beginning of plain bytes, if they are long enough.
pub fn number_of(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|number| u64::from_le_bytes(*number))
}
