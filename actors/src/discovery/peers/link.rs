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
const WRITE: Duration = Duration::from_secs(10);

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

/// A link completed the handshake. The answer is `None` when it is rejected.
#[derive(Message)]
#[rtype(result = "Option<PeerAccepted>")]
pub(crate) struct PeerConnected {
    pub(crate) node: NodeId,
    pub(crate) ends: LinkEnds,
    pub(crate) origin: PeerLinkOrigin,
    pub(crate) hand_on: bool,
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
    /// The silence after which the system probes the other host.
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
    pub(crate) ending: PeerLinkEnd,
}

/// The other host's part in the end of a link.
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
    Told(#[from] InvalidPeerUpdate),
    #[error("unexpected frame of the kind {0:?} on a link between peers")]
    Unexpected(FrameKind),
    #[error("the peer does not read")]
    Stuck,
    #[error("this node left")]
    Left,
}

/// Runs one link to its end, if it is accepted.
pub(crate) async fn run_peer_link(
    discovery: &Addr<Discovery>,
    connection: Connection,
    linked: PeerConnected,
) {
    let node = linked.node;
    let Ok(Some(admitted)) = discovery.send(linked).await else { return };
    let PeerAccepted { link, keep_alive, out, guard } = admitted;
    connection.keep_alive_of_reading_peer(keep_alive);
    let Connection { reader, writer } = connection;
    // The first to end ends the link. Dropping the reader loses updates at most, and the next link begins with all of them.
    let ended = tokio::select! {
        biased;
        // Polled first, so that a peer that never pauses does not keep updates from being sent.
        ended = write(writer, out) => ended,
        ended = read(FrameReader::new(reader, MAX_UPDATE_BYTES, &LinkConfig::default()), link, discovery) => ended,
    };
    let ending = match &ended {
        Err(PeerLinkError::Io(error) | PeerLinkError::Incoming(FrameReaderError::Io(error)))
            if is_silence(error) =>
        {
            PeerLinkEnd::HostSilent
        }
        _ => PeerLinkEnd::Closed,
    };
    match ended {
        Ok(()) => tracing::trace!(%node, "a link ended"),
        Err(error) => tracing::debug!(%node, %error, "a link broke"),
    }
    // This fails if the actor is gone, and then it does not matter.
    discovery.send(PeerLinkEnded { link, ending }).await.ok();
    drop(guard);
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

async fn read(
    mut incoming: FrameReader,
    link: PeerLinkId,
    discovery: &Addr<Discovery>,
) -> Result<(), PeerLinkError> {
    while let Some(frame) = incoming.next().await? {
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
        time::timeout(WRITE, writer.write_all(&bytes)).await.map_err(|_| PeerLinkError::Stuck)??;
    }
    writer.shutdown()?;
    Ok(())
}
