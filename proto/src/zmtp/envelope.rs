//! The envelope of a request, which its reply has to begin with (RFC 28).

use bytes::Bytes;

/// A request as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The frames that the reply has to begin with.
    pub envelope: Vec<Bytes>,
    /// The message.
    pub body: Bytes,
}

/// Splits a message at the empty frame that ends its envelope. If there is none, the last frame is the message, and the frames
/// before it are its envelope. Returns `None` if the message is not a single frame.
pub fn split_envelope(mut frames: Vec<Bytes>) -> Option<Envelope> {
    let body = frames.pop()?;
    match frames.iter().position(Bytes::is_empty) {
        // The message has more than one frame, and the relevant one is not known.
        Some(delimiter) if delimiter + 1 < frames.len() => None,
        _ => Some(Envelope { envelope: frames, body }),
    }
}
