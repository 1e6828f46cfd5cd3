//! One link to a peer: a task that reads and writes the updates of the two nodes, from the handshake to the end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::discovery::addresses::LinkEnds;
use meshzero_proto::discovery::peer::{InvalidPeerUpdate, MAX_UPDATE_BYTES, PeerUpdate};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::wire::frame::FrameKind;
use tokio::sync::mpsc;
use tokio::time;

use crate::discovery::Discovery;
use crate::link::config::LinkConfig;
use crate::link::reader::{FrameReader, FrameReaderError};
use crate::net::connection::{Connection, WriteHalf};
use crate::net::zone;

/// The time for which one update may wait for a peer that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The identity of a link among those of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerLinkId(pub(crate) u64);

/// The origin of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PeerLinkOrigin {
    /// This node dialled, and the handshake proved which instance it reached.
    Dialled { instance: InstanceId, address: SocketAddr },
    /// The other node dialled, and claims this identity.
    Accepted,
}

/// A link completed the handshake. The response is `None` if the link is rejected.
#[derive(Message)]
#[rtype(result = "Option<PeerAccepted>")]
pub(crate) struct PeerConnected {
    pub(crate) node: NodeId,
    pub(crate) ends: LinkEnds,
    pub(crate) origin: PeerLinkOrigin,
    pub(crate) forwards: bool,
}

/// Returns the ends of a link over a connection to, or from, the address `other`.
pub(crate) fn ends(connection: &Connection, other: SocketAddr) -> LinkEnds {
    LinkEnds {
        own: connection.local_ip().map(|own| own.to_canonical()),
        other: other.ip().to_canonical(),
        zone: zone::of(other),
    }
}

/// A link that was accepted.
pub(crate) struct PeerAccepted {
    pub(crate) link: PeerLinkId,
    /// The time of silence after which the system probes the other host.
    pub(crate) keep_alive: Duration,
    /// The bytes to send. The link ends when the actor drops the sender, after all of them are sent.
    pub(crate) out: mpsc::Receiver<Vec<u8>>,
    /// Held until the link's task ends.
    pub(crate) guard: mpsc::Sender<()>,
}

/// An update from a peer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PeerUpdateReceived {
    pub(crate) link: PeerLinkId,
    pub(crate) update: PeerUpdate,
}

/// A link ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PeerLinkEnded {
    pub(crate) link: PeerLinkId,
    pub(crate) end: PeerLinkEnd,
}

/// The reason why a link ended, as far as it concerns the other host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerLinkEnd {
    /// One end closed the connection.
    Closed,
    /// The host was silent until the system gave the connection up.
    HostSilent,
}

/// The errors that end a link, for the log.
#[derive(Debug, thiserror::Error)]
enum PeerLinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Incoming(#[from] FrameReaderError),
    #[error(transparent)]
    Update(#[from] InvalidPeerUpdate),
    #[error("unexpected frame of kind {0:?} on a peer link")]
    Unexpected(FrameKind),
    #[error("the peer does not read")]
    NotReading,
    #[error("this node left")]
    Left,
}

/// Runs one link to its end, if it is accepted.
pub(crate) async fn run_peer_link(
    discovery: &Addr<Discovery>,
    connection: Connection,
    connected: PeerConnected,
) {
    let node = connected.node;
    let Ok(Some(accepted)) = discovery.send(connected).await else { return };
    let PeerAccepted { link, keep_alive, out, guard } = accepted;
    connection.keep_alive_of_reading_peer(keep_alive);
    let Connection { reader, writer } = connection;
    // The first half to end ends the link. At most updates are lost with the reader, and the next link begins with all of them.
    let result = tokio::select! {
        biased;
        // Polled first, so that a peer that sends without pause does not keep updates from being sent.
        result = write(writer, out) => result,
        result = read(FrameReader::new(reader, MAX_UPDATE_BYTES, &LinkConfig::default()), link, discovery) => result,
    };
    let end = match &result {
        Err(PeerLinkError::Io(error) | PeerLinkError::Incoming(FrameReaderError::Io(error)))
            if is_silence(error) =>
        {
            PeerLinkEnd::HostSilent
        }
        _ => PeerLinkEnd::Closed,
    };
    match result {
        Ok(()) => tracing::trace!(%node, "a link ended"),
        Err(error) => tracing::debug!(%node, %error, "a peer link broke"),
    }
    // This fails if the actor is gone, and then it does not matter.
    discovery.send(PeerLinkEnded { link, end }).await.ok();
    drop(guard);
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

async fn read(
    mut reader: FrameReader,
    link: PeerLinkId,
    discovery: &Addr<Discovery>,
) -> Result<(), PeerLinkError> {
    while let Some(frame) = reader.next().await? {
        match frame.header.kind {
            FrameKind::Peer => {
                let update = PeerUpdate::decode(&frame.payload)?;
                discovery.send(PeerUpdateReceived { link, update }).await.map_err(|_| PeerLinkError::Left)?;
            }
            other => return Err(PeerLinkError::Unexpected(other)),
        }
    }
    Ok(())
}

async fn write(writer: WriteHalf, mut out: mpsc::Receiver<Vec<u8>>) -> Result<(), PeerLinkError> {
    while let Some(bytes) = out.recv().await {
        time::timeout(WRITE_TIMEOUT, writer.write_all(&bytes))
            .await
            .map_err(|_| PeerLinkError::NotReading)??;
    }
    writer.shutdown()?;
    Ok(())
}
