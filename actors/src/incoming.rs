//! Frames as they arrive on one connection.

use std::io;

use bytes::BytesMut;
use meshzero_proto::frame::{self, Frame, FrameError};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

/// Bytes asked of the socket at a time.
const READ_BYTES: usize = 64 << 10;

/// The incoming half of a connection, cut into frames.
#[derive(Debug)]
pub struct Incoming {
    reader: OwnedReadHalf,
    buffer: BytesMut,
    limit: usize,
}

/// Why no more frames come.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The connection failed, or ended within a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke the protocol.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Incoming {
    /// Reads frames whose message has at most `message_bytes`.
    pub fn new(reader: OwnedReadHalf, message_bytes: usize) -> Self {
        Self { reader, buffer: BytesMut::new(), limit: message_bytes + frame::OVERHEAD_BYTES }
    }

    /// Waits for the next frame; `None` when the peer has closed the connection between two frames.
    ///
    /// # Errors
    /// [`IncomingError`].
    ///
    /// # Cancel safety
    /// What was read stays in the buffer; dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Frame>, IncomingError> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer, self.limit)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
