//! One connection that speaks ZMTP.

use std::io;

use bytes::{Bytes, BytesMut};
use meshzero_proto::zmtp::{self, Conversation, Event, SocketType, ZmtpError};
use tokio::io::AsyncReadExt;

use crate::connection::Connection;

/// Room for one read.
const READ_BYTES: usize = 16 << 10;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Zmtp(#[from] ZmtpError),
    #[error("the other end left")]
    Gone,
    #[error("the other end speaks meshzero as well, and did not answer to that")]
    Meshzero,
    #[error("it subscribes to more prefixes than the {0} that are allowed")]
    TooManyPrefixes(usize),
    #[error("as many subscribe as may, or the service is closing")]
    TooManySubscribers,
}

/// A connection, with what has arrived on it and was not taken yet.
pub(crate) struct Wire {
    connection: Connection,
    conversation: Conversation,
    arrived: BytesMut,
}

impl Wire {
    /// A connection whose `first` bytes have been read, for messages of `limit` bytes at most.
    pub(crate) fn new(connection: Connection, first: &[u8], limit: usize) -> Self {
        Self { connection, conversation: Conversation::new(limit), arrived: BytesMut::from(first) }
    }

    /// Waits for what comes next. What only asks for a sign of life has had it.
    ///
    /// # Errors
    /// [`WireError`]; the conversation is over.
    ///
    /// # Cancel safety
    /// Loses nothing that has arrived. A sign of life that was being written may be cut, which ends the conversation at the
    /// other end: it is written at once unless the other end does not read.
    pub(crate) async fn next(&mut self) -> Result<Event, WireError> {
        loop {
            match self.conversation.next(&mut self.arrived)? {
                Some(Event::Ping(context)) => self.pong(&context).await?,
                Some(event) => return Ok(event),
                None => {
                    self.arrived.reserve(READ_BYTES);
                    if self.connection.reader.read_buf(&mut self.arrived).await? == 0 {
                        return Err(WireError::Gone);
                    }
                }
            }
        }
    }

    /// Waits until the other end has said what it is, and whether it speaks meshzero as well.
    ///
    /// # Errors
    /// [`WireError`].
    pub(crate) async fn ready(&mut self) -> Result<(SocketType, bool), WireError> {
        match self.next().await? {
            Event::Ready { socket, is_meshzero } => Ok((socket, is_meshzero)),
            // The conversation has none before it.
            _ => Err(ZmtpError::OutOfOrder.into()),
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// Not cancel-safe: some of the bytes may have left.
    pub(crate) async fn write(&self, bytes: &[u8]) -> Result<(), WireError> {
        Ok(self.connection.writer.write_all(bytes).await?)
    }

    #[cold]
    async fn pong(&self, context: &Bytes) -> Result<(), WireError> {
        let mut out = Vec::new();
        zmtp::write_pong(&mut out, context);
        self.write(&out).await
    }
}
