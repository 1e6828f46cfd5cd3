//! Where a message of an asking socket begins, and what its reply has to begin with (RFC 28).

use bytes::Bytes;

/// What an asking socket wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The frames that the reply has to begin with.
    pub envelope: Vec<Bytes>,
    /// The message.
    pub body: Bytes,
}

/// Divides a message at the empty frame that ends its envelope. A socket that sends none has no more than one frame to say;
/// what stands before that is its envelope. `None` if there is no one frame of a message.
pub fn divide(mut frames: Vec<Bytes>) -> Option<Envelope> {
    let body = frames.pop()?;
    match frames.iter().position(Bytes::is_empty) {
        // The message has more than one frame, and which of them is meant is not known.
        Some(delimiter) if delimiter + 1 < frames.len() => None,
        _ => Some(Envelope { envelope: frames, body }),
    }
}
