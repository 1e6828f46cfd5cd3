//! Carries one end of a link over one connection after the other.

use std::io;

use meshzero_proto::stream::NotThere;
use meshzero_proto::wire::fragments::PiecesError;
use meshzero_proto::wire::frame::{Header, Kind};

use crate::link::reader::{Incoming, IncomingError};
use crate::link::send_queue::Outbox;
use crate::net::connection::Connection;

/// The protocol of one end of a link: its handling of what arrives.
pub(crate) trait Conversation {
    /// A violation of the protocol by the other end.
    type Error: From<NotThere>;

    /// Set if the last word is the other end's. Closing a connection on which something has arrived unread throws away
    /// what the other end has not read yet.
    const LINGERS: bool;

    /// Returns the incoming half.
    fn incoming(&mut self) -> &mut Incoming;

    /// Handles what arrives until the link is over. While there is no connection, what had arrived before is handled.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    async fn run(&mut self) -> Result<(), Stop<Self::Error>>;
}

/// A source of connections for one link.
pub(crate) trait Way {
    /// Waits until the connection should be given up, although it has not failed.
    ///
    /// # Cancel safety
    /// Loses nothing.
    async fn watch(&mut self);

    /// Waits for another connection by which the link can go on. This end has `received` bytes of what the other wrote.
    ///
    /// # Errors
    /// The reason why the link is given up.
    async fn next(&mut self, received: u64) -> Result<Onward, String>;
}

/// Another connection of a link.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) connection: Connection,
    /// The byte that the other end wants next.
    pub(crate) from: u64,
    /// Set if the other end reads from no connection that was made before.
    pub(crate) is_latest: bool,
}

/// The reasons to stop handling what arrives.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    /// The connection was lost. The link may go on over another.
    Lost(io::Error),
    /// The other end broke the protocol.
    Broken(E),
}

impl<E: From<IncomingError>> From<IncomingError> for Stop<E> {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::Io(error) => Self::Lost(error),
            broken => Self::Broken(broken.into()),
        }
    }
}

impl<E: From<NotThere>> From<NotThere> for Stop<E> {
    fn from(error: NotThere) -> Self {
        Self::Broken(error.into())
    }
}

/// Violations of the protocol by an endpoint, as its client sees it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error(transparent)]
    NotThere(#[from] NotThere),
    #[error(transparent)]
    Pieces(#[from] PiecesError),
}

/// The end of a link.
#[derive(Debug)]
pub(crate) enum Carried<E> {
    /// One of its ends ended it.
    Over,
    /// The connection was lost, and no other came.
    Lost(String),
    /// The other end broke the protocol.
    Broken(E),
}

/// Carries a link until it is over. What is still to be written then, is left to the caller.
pub(crate) async fn carry<C: Conversation>(
    conversation: &mut C,
    outbox: &Outbox,
    way: &mut impl Way,
) -> Carried<C::Error> {
    loop {
        let mut has_said_all = false;
        let lost = loop {
            tokio::select! {
                biased;
                () = way.watch() => break None,
                ended = conversation.run() => match ended {
                    Ok(()) => return Carried::Over,
                    Err(Stop::Lost(error)) => break Some(error),
                    Err(Stop::Broken(error)) => return Carried::Broken(error),
                },
                written = outbox.keep_writing(), if !has_said_all => match written {
                    Ok(()) if C::LINGERS => has_said_all = true,
                    Ok(()) => return Carried::Over,
                    Err(error) => break Some(error),
                },
            }
        };
        outbox.detach();
        conversation.incoming().detach();
        if let Some(error) = lost {
            tracing::debug!(%error, "a link has lost its connection");
        }
        let received = conversation.incoming().received().bytes();
        let next = tokio::select! {
            biased;
            next = way.next(received) => next,
            ended = conversation.run() => match ended {
                Ok(()) => return Carried::Over,
                // Without a connection nothing is lost.
                Err(Stop::Lost(error)) => Err(error.to_string()),
                Err(Stop::Broken(error)) => return Carried::Broken(error),
            },
            () = outbox.finished() => return Carried::Over,
        };
        let Onward { connection: Connection { reader, writer }, from, is_latest } = match next {
            Ok(next) => next,
            Err(why) => return Carried::Lost(why),
        };
        if let Err(error) = outbox.attach(writer, from, is_latest).await {
            return Carried::Broken(error.into());
        }
        conversation.incoming().attach(reader);
        tracing::debug!(received, from, "a link goes on over another connection");
    }
}

/// Does what a frame asks for that keeps the link itself going, and says whether it ends the link.
///
/// # Errors
/// [`NotThere`].
pub(crate) fn keep_up(header: Header, incoming: &mut Incoming, outbox: &Outbox) -> Result<bool, NotThere> {
    match header.kind {
        Kind::Ping => outbox.tell_received(incoming.received().tell_now()),
        Kind::Ack => {
            outbox.acknowledge(header.id)?;
            incoming.progress().acknowledged();
        }
        Kind::Bye => return Ok(true),
        _ => {}
    }
    Ok(false)
}
