//! The loop of one end of a link, over successive connections.

use std::io;

use meshzero_proto::stream::InvalidAck;
use meshzero_proto::wire::fragments::FragmentError;
use meshzero_proto::wire::frame::{FrameKind, Header};

use crate::link::reader::{FrameReader, FrameReaderError};
use crate::link::send_queue::SendQueue;
use crate::net::connection::Connection;

/// The protocol of one end of a link: its handling of incoming frames.
pub(crate) trait LinkProtocol {
    /// A violation of the protocol by the other end.
    type Error: From<InvalidAck>;

    /// Set if the other end sends the last frame: closing a connection with unread bytes would discard those that the other
    /// end has not read yet.
    const WAITS_FOR_PEER: bool;

    /// Returns the incoming half.
    fn incoming(&mut self) -> &mut FrameReader;

    /// Handles incoming frames until the link is over. Without a connection, handles those that arrived before.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    async fn run(&mut self) -> Result<(), ReadEnd<Self::Error>>;
}

/// A source of connections for one link.
pub(crate) trait ConnectionSource {
    /// Waits until the connection should be given up, although it has not failed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    async fn watch(&mut self);

    /// Waits for another connection over which the link can resume. This end has received `received` bytes of the stream.
    ///
    /// # Errors
    /// The reason why the link is given up.
    async fn next(&mut self, received: u64) -> Result<NextConnection, String>;
}

/// Another connection of a link.
#[derive(Debug)]
pub(crate) struct NextConnection {
    pub(crate) connection: Connection,
    /// The offset of the next byte that the other end expects.
    pub(crate) resume_from: u64,
    /// Set if the other end no longer reads from any earlier connection.
    pub(crate) is_latest: bool,
}

/// The reasons why the handling of incoming frames stops.
#[derive(Debug)]
pub(crate) enum ReadEnd<E> {
    /// The connection was lost. The link may resume over another.
    Lost(io::Error),
    /// The other end broke the protocol.
    Broken(E),
}

impl<E: From<FrameReaderError>> From<FrameReaderError> for ReadEnd<E> {
    fn from(error: FrameReaderError) -> Self {
        match error {
            FrameReaderError::Io(error) => Self::Lost(error),
            broken => Self::Broken(broken.into()),
        }
    }
}

impl<E: From<InvalidAck>> From<InvalidAck> for ReadEnd<E> {
    fn from(error: InvalidAck) -> Self {
        Self::Broken(error.into())
    }
}

/// Violations of the protocol by an endpoint, as its client reports them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error(transparent)]
    Incoming(#[from] FrameReaderError),
    #[error(transparent)]
    NotThere(#[from] InvalidAck),
    #[error(transparent)]
    Pieces(#[from] FragmentError),
}

/// The end of a link.
#[derive(Debug)]
pub(crate) enum LinkEnd<E> {
    /// One end closed the link.
    Over,
    /// The connection was lost, and there was no other in time.
    Lost(String),
    /// The other end broke the protocol.
    Broken(E),
}

/// Runs a link until it is over. Writing the remaining frames is left to the caller.
pub(crate) async fn run_link<C: LinkProtocol>(
    protocol: &mut C,
    send_queue: &SendQueue,
    source: &mut impl ConnectionSource,
) -> LinkEnd<C::Error> {
    loop {
        let mut has_stopped_writing = false;
        let error = loop {
            tokio::select! {
                biased;
                () = source.watch() => break None,
                end = protocol.run() => match end {
                    Ok(()) => return LinkEnd::Over,
                    Err(ReadEnd::Lost(error)) => break Some(error),
                    Err(ReadEnd::Broken(error)) => return LinkEnd::Broken(error),
                },
                flushed = send_queue.run_flush(), if !has_stopped_writing => match flushed {
                    Ok(()) if C::WAITS_FOR_PEER => has_stopped_writing = true,
                    Ok(()) => return LinkEnd::Over,
                    // What the other end sent before it closed the connection, perhaps the end of the link, can still be read;
                    // then reading reports the end of the connection.
                    Err(error) if is_closed_by_peer(&error) => has_stopped_writing = true,
                    Err(error) => break Some(error),
                },
            }
        };
        send_queue.detach();
        protocol.incoming().detach();
        if let Some(error) = error {
            tracing::debug!(%error, "a link has lost its connection");
        }
        let received = protocol.incoming().received().bytes();
        let next = tokio::select! {
            biased;
            next = source.next(received) => next,
            end = protocol.run() => match end {
                Ok(()) => return LinkEnd::Over,
                // There is no connection, so this does not happen.
                Err(ReadEnd::Lost(error)) => Err(error.to_string()),
                Err(ReadEnd::Broken(error)) => return LinkEnd::Broken(error),
            },
            () = send_queue.finished() => return LinkEnd::Over,
        };
        let NextConnection { connection: Connection { reader, writer }, resume_from, is_latest } = match next
        {
            Ok(next) => next,
            Err(reason) => return LinkEnd::Lost(reason),
        };
        if let Err(error) = send_queue.attach(writer, resume_from, is_latest).await {
            return LinkEnd::Broken(error.into());
        }
        protocol.incoming().attach(reader);
        tracing::debug!(received, resume_from, "a link was resumed over another connection");
    }
}

/// Returns whether a failed write means that the other end has closed the connection.
fn is_closed_by_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Handles a control frame, and returns whether it ends the link.
///
/// # Errors
/// [`InvalidAck`].
pub(crate) fn handle_control_frame(
    header: Header,
    incoming: &mut FrameReader,
    send_queue: &SendQueue,
) -> Result<bool, InvalidAck> {
    match header.kind {
        FrameKind::Ping => send_queue.send_ack(incoming.received().take_ack_now()),
        FrameKind::Ack => {
            send_queue.acknowledge(header.id)?;
            incoming.progress().acknowledged();
        }
        FrameKind::Bye => return Ok(true),
        _ => {}
    }
    Ok(false)
}
