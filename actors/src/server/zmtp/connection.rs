//! A connection that speaks ZMTP: incoming events, and the buffer of bytes to be written.

use std::future::pending;
use std::io::{self, ErrorKind};

use bytes::BytesMut;
use meshzero_proto::zmtp::{self, SocketType, ZmtpError, ZmtpEvent, ZmtpMachine};
use tokio::io::AsyncReadExt;

use crate::net::connection::{Connection, ReadHalf, WriteHalf};

/// The size of one read, in bytes.
const READ_BYTES: usize = 16 << 10;

/// The number of unsent bytes from which on no more are added.
const MAX_UNSENT_BYTES: usize = 64 << 10;

/// The error that ended a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZmtpConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Zmtp(#[from] ZmtpError),
    #[error("the peer disconnected")]
    Disconnected,
    #[error("the peer speaks meshzero as well, and did not answer in that protocol")]
    Meshzero,
    #[error("the peer subscribes to more prefixes than the {0} that are allowed")]
    TooManyPrefixes(usize),
    #[error("the publisher has reached its subscription limit, or the service is closing")]
    TooManySubscribers,
}

/// A ZMTP connection. Its halves are separate, because neither may hold up the other: a request that waits for a permit
/// of a service must take it as soon as it is granted, however slowly the peer reads.
pub(crate) struct ZmtpConnection {
    pub(crate) reader: ZmtpReader,
    pub(crate) writer: ZmtpWriter,
}

/// The reading half.
pub(crate) struct ZmtpReader {
    reader: ReadHalf,
    machine: ZmtpMachine,
    /// The bytes that have been read and not been decoded yet.
    buffer: BytesMut,
}

/// The writing half.
pub(crate) struct ZmtpWriter {
    writer: WriteHalf,
    /// The bytes to be written.
    buffer: Vec<u8>,
    /// The number of bytes of the buffer that have been written.
    written: usize,
    /// The number of bytes written so far.
    total: u64,
}

impl ZmtpConnection {
    /// A connection whose `first` bytes have been read, for messages of at most `limit` bytes.
    pub(crate) fn new(connection: Connection, first: &[u8], limit: usize) -> Self {
        let Connection { reader, writer } = connection;
        Self {
            reader: ZmtpReader { reader, machine: ZmtpMachine::new(limit), buffer: BytesMut::from(first) },
            writer: ZmtpWriter { writer, buffer: Vec::new(), written: 0, total: 0 },
        }
    }

    /// Writes the whole buffer, and then waits until the peer has sent its socket type, and whether it speaks meshzero
    /// as well.
    ///
    /// # Errors
    /// [`ZmtpConnectionError`].
    pub(crate) async fn ready(&mut self) -> Result<(SocketType, bool), ZmtpConnectionError> {
        self.writer.flush_all().await?;
        match self.reader.next().await? {
            ZmtpEvent::Ready { socket, is_meshzero } => Ok((socket, is_meshzero)),
            // The state machine yields no other event before it.
            _ => Err(ZmtpError::OutOfOrder.into()),
        }
    }
}

impl ZmtpReader {
    /// Waits for the next event.
    ///
    /// # Errors
    /// [`ZmtpConnectionError`]; the connection is over.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn next(&mut self) -> Result<ZmtpEvent, ZmtpConnectionError> {
        loop {
            if let Some(event) = self.machine.next(&mut self.buffer)? {
                return Ok(event);
            }
            self.buffer.reserve(READ_BYTES);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(ZmtpConnectionError::Disconnected);
            }
        }
    }
}

impl ZmtpWriter {
    /// The buffer of bytes to be written, to append to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Answers a ping, unless the peer reads nothing anyway.
    pub(crate) fn pong(&mut self, context: &[u8]) {
        if self.has_room() {
            zmtp::write_pong(&mut self.buffer, context);
        }
    }

    /// Returns whether there is room for more.
    pub(crate) fn has_room(&self) -> bool {
        self.buffer.len() - self.written < MAX_UNSENT_BYTES
    }

    /// Returns whether all has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The number of bytes written so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Waits until some of the waiting bytes are written; forever if there are none.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn flush(&mut self) -> Result<(), ZmtpConnectionError> {
        loop {
            if self.buffer.is_empty() {
                pending::<()>().await;
            }
            match self.writer.try_write(&self.buffer[self.written..]) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => {
                    self.written += written;
                    self.total += written as u64;
                    if self.written == self.buffer.len() {
                        self.buffer.clear();
                        self.written = 0;
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writer.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until all waiting bytes are written.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn flush_all(&mut self) -> Result<(), ZmtpConnectionError> {
        while !self.is_empty() {
            self.flush().await?;
        }
        Ok(())
    }
}
