//! The endpoint's side of one link: requests go to the service, replies and items go back.

pub(crate) mod resume;

mod introspection;
mod refusals;
mod requests;
mod subscription;

use std::io;
use std::sync::Arc;

use meshzero_proto::stream::{ACK_BYTES, InvalidAck};
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

/// The error that ended a session; a peer that closes the link causes none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Read(#[from] FrameReaderError),
    #[error(transparent)]
    InvalidAck(#[from] InvalidAck),
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("a frame of the kind {0:?} does not belong on this connection")]
    UnexpectedFrame(FrameKind),
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
    let link_config = service.link_config.clone();
    let send_queue = Arc::new(link_config.send_queue(writer));
    let incoming = FrameReader::new(reader, service.limits().message_bytes, &link_config);
    connections.attach(&send_queue, incoming.progress());
    let _detach_on_drop = DetachOnDrop(Arc::clone(&send_queue));
    match hello.purpose {
        Purpose::Requests => {
            let mut requests = RequestSession::new(service, incoming, &send_queue, hello);
            let end = run_link(&mut requests, &send_queue, &mut connections).await;
            // Messages that were accepted are handled, even if no reply reaches the client.
            requests.deliver().await;
            finish(end, &send_queue, requests.incoming()).await
        }
        Purpose::News => {
            let mut news = SubscriptionSession::new(service, incoming, &send_queue);
            let end = run_link(&mut news, &send_queue, &mut connections).await;
            finish(end, &send_queue, &mut news.into_incoming()).await
        }
        Purpose::Peer { .. } | Purpose::Probe => Ok(()),
    }
}

/// Closes a link that is over, and writes the rest of its queue.
async fn finish(
    end: LinkEnd<SessionError>,
    send_queue: &SendQueue,
    incoming: &mut FrameReader,
) -> Result<(), SessionError> {
    send_queue.close();
    match end {
        LinkEnd::Over => {}
        LinkEnd::Lost(reason) => return Err(SessionError::Lost(reason)),
        LinkEnd::Broken(error) => return Err(error),
    }
    let read_rest = async {
        let result = read_acknowledgements(send_queue, incoming, || true).await;
        // There will be no more acknowledgements. Writing shows whether the peer still reads.
        send_queue.lift_window();
        result
    };
    tokio::select! {
        biased;
        written = send_queue.run_flush() => written?,
        Err(error) = read_rest => return Err(error),
    }
    // An acknowledgement that arrives after the connection was closed resets it, and what the system has not sent is lost.
    read_acknowledgements(send_queue, incoming, || send_queue.unacknowledged() >= ACK_BYTES as u64).await
}

/// Reads acknowledgements until no more are `wanted`, or the peer has closed: without them only a limited number of bytes may be
/// written. All other frames come too late.
async fn read_acknowledgements(
    send_queue: &SendQueue,
    incoming: &mut FrameReader,
    wanted: impl Fn() -> bool,
) -> Result<(), SessionError> {
    while wanted()
        && let Some(Frame { header, .. }) = incoming.next().await?
    {
        if header.kind.is_keep_alive() {
            handle_control_frame(header, incoming, send_queue)?;
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

fn send_frame(send_queue: &SendQueue, kind: FrameKind, id: u64, payload: &[u8]) {
    // Fails if the connection is closed, which the reader is about to find out.
    let _ = send_queue.push::<std::convert::Infallible>(SpaceNeeded::Any, Flush::Batched, |out| {
        frame::write(out, Header::new(kind, id), payload);
        Ok(())
    });
}
