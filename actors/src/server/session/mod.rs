//! The endpoint's side of one link: requests go to the service, replies and items go back.

pub(crate) mod resume;

mod introspection;
mod refusals;
mod requests;
mod subscription;

use std::io;
use std::sync::Arc;

use meshzero_proto::stream::InvalidAck;
use meshzero_proto::wire::frame::{self, Frame, FrameKind, Header};
use meshzero_proto::wire::hello::{Hello, Purpose};

use self::requests::RequestSession;
use self::subscription::SubscriptionSession;
use crate::link::reader::{FrameReader, FrameReaderError};
use crate::link::run::{LinkEnd, LinkProtocol as _, handle_control_frame, run_link};
use crate::link::send_queue::{Flush, SendQueue, SpaceNeeded};
use crate::net::connection::Connection;
use crate::server::service::Service;
use crate::server::session::resume::SessionConnections;

/// The error that ended a session; a peer that just leaves causes none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Incoming(#[from] FrameReaderError),
    #[error(transparent)]
    NotThere(#[from] InvalidAck),
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("a frame of the kind {0:?} does not belong on this connection")]
    OutOfPlace(FrameKind),
    #[error("a {kind:?} frame does not decode: {problem}")]
    Invalid { kind: FrameKind, problem: String },
    #[error("the peer keeps sending requests without reading replies")]
    DoesNotRead,
    #[error("the peer asked for a second subscription on one connection")]
    SecondSubscription,
    #[error("the publisher has reached its subscription limit")]
    TooManySubscribers,
}

impl SessionError {
    /// Returns whether the link was given up, rather than ended with its last bytes unwritten.
    pub(crate) fn is_given_up(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

/// Serves a link, which begins on a connection that has completed the handshake, until either end closes it.
pub(crate) async fn serve(
    connection: Connection,
    hello: &Hello,
    service: Arc<Service>,
    mut connections: SessionConnections,
) -> Result<(), SessionError> {
    let Connection { reader, writer } = connection;
    let carrying = service.link_config.clone();
    let outbox = Arc::new(carrying.send_queue(writer));
    let incoming = FrameReader::new(reader, service.limits().message_bytes, &carrying);
    connections.attach(&outbox, incoming.progress());
    let _letting_go = DetachOnDrop(Arc::clone(&outbox));
    match hello.purpose {
        Purpose::Requests => {
            let mut requests = RequestSession::new(service, incoming, &outbox, hello);
            let carried = run_link(&mut requests, &outbox, &mut connections).await;
            // Messages that were accepted are handled, even if no reply reaches the client.
            requests.deliver().await;
            end(carried, &outbox, requests.incoming()).await
        }
        Purpose::News => {
            let mut news = SubscriptionSession::new(service, incoming, &outbox);
            let carried = run_link(&mut news, &outbox, &mut connections).await;
            end(carried, &outbox, &mut news.into_incoming()).await
        }
        Purpose::Peer { .. } | Purpose::Probe => Ok(()),
    }
}

/// Closes a link that is over, and writes the rest of its queue.
async fn end(
    carried: LinkEnd<SessionError>,
    outbox: &SendQueue,
    incoming: &mut FrameReader,
) -> Result<(), SessionError> {
    outbox.close();
    match carried {
        LinkEnd::Over => {}
        LinkEnd::Lost(why) => return Err(SessionError::Lost(why)),
        LinkEnd::Broken(error) => return Err(error),
    }
    let read_to_the_end = async {
        let ended = read_acknowledgements(outbox, incoming).await;
        // There will be no more acknowledgements. Writing shows whether the peer still reads.
        outbox.lift_window();
        ended
    };
    tokio::select! {
        biased;
        written = outbox.run_flush() => Ok(written?),
        Err(error) = read_to_the_end => Err(error),
    }
}

/// Reads acknowledgements until the peer has closed: without them only a limited number of bytes may be written. All
/// other frames come too late.
async fn read_acknowledgements(outbox: &SendQueue, incoming: &mut FrameReader) -> Result<(), SessionError> {
    while let Some(Frame { header, .. }) = incoming.next().await? {
        if header.kind.is_keep_alive() {
            handle_control_frame(header, incoming, outbox)?;
        }
    }
    Ok(())
}

/// Closes a link's connection when its session ends, for whatever reason: pending replies then do not keep it open.
struct DetachOnDrop(Arc<SendQueue>);

impl Drop for DetachOnDrop {
    fn drop(&mut self) {
        self.0.close();
        self.0.detach();
    }
}

fn send_frame(outbox: &SendQueue, kind: FrameKind, id: u64, payload: &[u8]) {
    // Fails if the connection is closed, which the reader is about to find out.
    let _ = outbox.push::<std::convert::Infallible>(SpaceNeeded::Any, Flush::Gathered, |out| {
        frame::write(out, Header::new(kind, id), payload);
        Ok(())
    });
}
