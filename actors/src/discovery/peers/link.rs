//! One link to a peer: a task that reads and writes the updates of the two nodes, from the handshake to the end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::discovery::addresses::Ends;
use meshzero_proto::discovery::peer::{MAX_TOLD_BYTES, Told, UndecodableTold};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::wire::frame::Kind;
use tokio::sync::mpsc;
use tokio::time;

use crate::discovery::Discovery;
use crate::link::config::Carrying;
use crate::link::reader::{Incoming, IncomingError};
use crate::net::connection::{Connection, Writer};
use crate::net::zone;

/// The time for which one update may wait for a peer that does not read.
const WRITE: Duration = Duration::from_secs(10);

/// The identity of a link among those of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// The origin of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// This node dialled, and the handshake proved which instance it reached.
    Dialled { instance: InstanceId, address: SocketAddr },
    /// The other node dialled, and says which one it is.
    Accepted,
}

/// A link has shaken hands. The answer is `None` when it is not wanted.
#[derive(Message)]
#[rtype(result = "Option<Admitted>")]
pub(crate) struct Linked {
    pub(crate) node: NodeId,
    pub(crate) ends: Ends,
    pub(crate) way: Way,
    pub(crate) hand_on: bool,
}

/// The ends of a link over a connection to, or from, the address `other`.
pub(crate) fn ends(connection: &Connection, other: SocketAddr) -> Ends {
    Ends {
        own: connection.local_ip().map(|own| own.to_canonical()),
        other: other.ip().to_canonical(),
        zone: zone::of(other),
    }
}

/// A link that is wanted.
pub(crate) struct Admitted {
    pub(crate) link: LinkId,
    /// Silence after which the system asks whether the other host is there.
    pub(crate) keep_alive: Duration,
    /// The bytes to send. The link ends when the actor lets go of the other end, after all of it is sent.
    pub(crate) out: mpsc::Receiver<Vec<u8>>,
    /// Held until the link's task ends.
    pub(crate) guard: mpsc::Sender<()>,
}

/// An update from a peer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Heard {
    pub(crate) link: LinkId,
    pub(crate) told: Told,
}

/// A link ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LinkEnded {
    pub(crate) link: LinkId,
    pub(crate) ending: Ending,
}

/// The conclusion from the end of a link about the other host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It, or this node, closed the connection.
    Closed,
    /// The host has been silent until the system gave the connection up.
    HostSilent,
}

/// The reason for which a link ended, for the log.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error(transparent)]
    Told(#[from] UndecodableTold),
    #[error("a frame of the kind {0:?} has no business on a link between peers")]
    Unexpected(Kind),
    #[error("the peer does not read")]
    Stuck,
    #[error("this node left")]
    Left,
}

/// Carries one link to its end, if it is wanted.
pub(crate) async fn carry(discovery: &Addr<Discovery>, connection: Connection, linked: Linked) {
    let node = linked.node;
    let Ok(Some(admitted)) = discovery.send(linked).await else { return };
    let Admitted { link, keep_alive, out, guard } = admitted;
    connection.keep_alive_of_reading_peer(keep_alive);
    let Connection { reader, writer } = connection;
    // The first to end ends the link. Dropping the reader loses updates at most, and the next link begins with all of them.
    let ended = tokio::select! {
        biased;
        // A peer that never pauses does not keep it from being told.
        ended = write(writer, out) => ended,
        ended = read(Incoming::new(reader, MAX_TOLD_BYTES, &Carrying::default()), link, discovery) => ended,
    };
    let ending = match &ended {
        Err(LinkError::Io(error) | LinkError::Incoming(IncomingError::Io(error))) if is_silence(error) => {
            Ending::HostSilent
        }
        _ => Ending::Closed,
    };
    match ended {
        Ok(()) => tracing::trace!(%node, "a link ended"),
        Err(error) => tracing::debug!(%node, %error, "a link broke"),
    }
    // This fails when the actor is gone, and then it does not matter.
    discovery.send(LinkEnded { link, ending }).await.ok();
    drop(guard);
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}

async fn read(mut incoming: Incoming, link: LinkId, discovery: &Addr<Discovery>) -> Result<(), LinkError> {
    while let Some(frame) = incoming.next().await? {
        match frame.header.kind {
            Kind::Peer => {
                let told = Told::decode(&frame.payload)?;
                discovery.send(Heard { link, told }).await.map_err(|_| LinkError::Left)?;
            }
            other => return Err(LinkError::Unexpected(other)),
        }
    }
    Ok(())
}

async fn write(writer: Writer, mut out: mpsc::Receiver<Vec<u8>>) -> Result<(), LinkError> {
    while let Some(bytes) = out.recv().await {
        time::timeout(WRITE, writer.write_all(&bytes)).await.map_err(|_| LinkError::Stuck)??;
    }
    writer.shutdown()?;
    Ok(())
}
