//! Recognition of a connection's protocol by its first byte, because several protocols share the address of one endpoint.

use crate::wire::hello::{self, HelloError};
use crate::zmtp;

/// A protocol that an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of meshzero, which begins with a [hello].
    Meshzero,
    /// ZMTP, the protocol of ZeroMQ.
    Zmtp,
}

/// The maximum number of bytes that are read before the protocol is known: at most the length of the shortest greeting.
pub const FIRST_BYTES: usize = 6;

/// Recognises the protocol of a connection that begins with `first`, which has at least one byte.
///
/// # Errors
/// [`HelloError`]: the protocol is not supported.
pub fn recognise(first: &[u8]) -> Result<Protocol, HelloError> {
    match first.first() {
        Some(&zmtp::FIRST_BYTE) => Ok(Protocol::Zmtp),
        _ => hello::missing_bytes(first).map(|_| Protocol::Meshzero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_determines_the_protocol() {
        assert_eq!(recognise(&hello::MAGIC), Ok(Protocol::Meshzero));
        assert_eq!(recognise(&hello::MAGIC[..1]), Ok(Protocol::Meshzero));
        assert_eq!(recognise(&zmtp::greeting()[..FIRST_BYTES]), Ok(Protocol::Zmtp));
        assert_eq!(recognise(&zmtp::greeting()[..1]), Ok(Protocol::Zmtp));
        let error = recognise(b"GET / ").expect_err("not yet").to_string();
        assert!(error.contains("web browser"), "{error}");
    }
}
