//! The handshake of a connection at an endpoint: the protocol, the requested service, and the answer.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use meshzero_proto::id::{LinkId, NodeId};
use meshzero_proto::wire::hello::{self, Hello, HelloAnswer, LinkState, Purpose, Rejection, Resume, Welcome};
use meshzero_proto::wire::protocol::{self, Protocol};
use tokio::io::AsyncReadExt;

use crate::link::dial;
use crate::net::connection::Connection;
use crate::server::admission::{Admission, ConnectionPermit};
use crate::server::service::Service;
use crate::server::session::resume::SessionConnections;
use crate::server::zmtp::{self, ZmtpClient, ZmtpConnectionError};
use crate::telemetry::stats::LinkPurpose;

/// The permit of one connection, if it has one.
pub(crate) struct ConnectionSlot {
    admission: Rc<Admission>,
    address: IpAddr,
    permit: Option<ConnectionPermit>,
}

impl ConnectionSlot {
    /// Acquires a permit for a connection from `address`, if one is free.
    pub(crate) fn new(admission: &Rc<Admission>, address: IpAddr) -> Self {
        Self { admission: Rc::clone(admission), address, permit: admission.admit(address) }
    }

    /// Acquires a permit if there is none, if necessary that of a link that waits for its client to reconnect; returns
    /// whether there is one. Only for connections that need a permit of their own: a client that resumes its link has one.
    async fn acquire(&mut self, service: &Service) -> bool {
        if self.permit.is_none() && service.links.evict_one() {
            // The link releases its permit when its task runs.
            tokio::task::yield_now().await;
            self.permit = self.admission.admit(self.address);
        }
        self.permit.is_some()
    }
}

/// The outcome of a handshake.
pub(crate) enum Accepted {
    /// The connection is done: a probe that was answered, or a connection that was rejected with a reason.
    Done,
    /// A node that exchanges updates of the mesh.
    Peer(Connection, Hello),
    /// A client that opens a link.
    Client(Connection, Hello, SessionConnections),
    /// A client that resumes a link, whose session answers its hello.
    Resumed(Connection, NodeId, Resume),
    /// A ZeroMQ socket.
    Zmtp(ZmtpClient),
}

/// Performs the handshake in the protocol of the connection's peer, and answers it unless a session does.
///
/// # Errors
/// [`HandshakeError`]: the peer broke the protocol, or disconnected.
pub(crate) async fn accept(
    mut connection: Connection,
    from: SocketAddr,
    service: &Arc<Service>,
    slot: &mut ConnectionSlot,
) -> Result<Accepted, HandshakeError> {
    connection.keep_alive(service.limits().keep_alive);
    let mut first = [0; protocol::FIRST_BYTES];
    let read = connection.reader.read(&mut first).await.map_err(dial::HandshakeReadError::Io)?;
    if read == 0 {
        return Err(HandshakeError::Silent);
    }
    let first = &first[..read];
    match protocol::recognise(first).map_err(dial::HandshakeReadError::Hello)? {
        Protocol::Meshzero => accept_client(connection, first, from, service, slot).await,
        Protocol::Zmtp => {
            let has_permit = slot.acquire(service).await;
            let client = zmtp::handshake(connection, first, service, has_permit).await?;
            Ok(client.map_or(Accepted::Done, Accepted::Zmtp))
        }
    }
}

/// Performs the handshake with a client of this protocol, whose `first` bytes have been read.
async fn accept_client(
    mut connection: Connection,
    first: &[u8],
    from: SocketAddr,
    service: &Arc<Service>,
    slot: &mut ConnectionSlot,
) -> Result<Accepted, HandshakeError> {
    let hello = dial::read_handshake(&mut connection.reader, first, hello::parse_hello).await?;
    let identity = &service.identity;
    let rejection = if hello.mesh != identity.mesh {
        Some(Rejection::OtherMesh { theirs: identity.mesh.clone() })
    } else if hello.instance.is_some_and(|wanted| wanted != identity.instance) {
        Some(Rejection::OtherInstance)
    } else if let Some(link) = hello.standby {
        match service.links.state(hello.node, link) {
            Some(state) => return hold_standby(connection, &hello, link, state, service).await,
            None => Some(Rejection::UnknownLink),
        }
    } else if let Some(resume) = hello.resume {
        if service.links.contains(hello.node, resume.link) {
            return Ok(Accepted::Resumed(connection, hello.node, resume));
        }
        Some(Rejection::UnknownLink)
    } else if !service.is_alive() {
        Some(Rejection::Draining)
    } else if !slot.acquire(service).await {
        Some(Rejection::Full)
    } else {
        None
    };
    let (welcome, connections) = match (rejection, hello.purpose) {
        (Some(rejection), _) => {
            service.connections.rejected.count();
            tracing::debug!(%from, ?rejection, "rejected a connection");
            answer(&connection, &HelloAnswer::Rejected(rejection)).await?;
            return Ok(Accepted::Done);
        }
        (None, Purpose::Probe | Purpose::Peer { .. }) => (service.welcome(), None),
        (None, purpose @ (Purpose::Requests | Purpose::News)) => {
            let link_purpose =
                if purpose == Purpose::News { LinkPurpose::News } else { LinkPurpose::Requests };
            let connections = SessionConnections::open(service, hello.node, from, link_purpose)?;
            (Welcome { link: Some(connections.link()), ..service.welcome() }, Some(connections))
        }
    };
    answer(&connection, &HelloAnswer::Welcome(welcome)).await?;
    Ok(match (hello.purpose, connections) {
        (_, Some(connections)) => Accepted::Client(connection, hello, connections),
        (Purpose::Peer { .. }, None) => Accepted::Peer(connection, hello),
        (_, None) => Accepted::Done,
    })
}

/// Keeps a connection on standby for a link, until its client resumes the link over it or closes it: there may be other
/// standby connections, and the old one may recover.
async fn hold_standby(
    mut connection: Connection,
    hello: &Hello,
    link: LinkId,
    state: LinkState,
    service: &Service,
) -> Result<Accepted, HandshakeError> {
    let welcome = Welcome { link: Some(link), standby: Some(state), ..service.welcome() };
    answer(&connection, &HelloAnswer::Welcome(welcome)).await?;
    let next = match dial::read_handshake(&mut connection.reader, &[], hello::parse_hello).await {
        Err(dial::HandshakeReadError::Io(_)) => return Ok(Accepted::Done),
        next => next?,
    };
    match next.resume {
        Some(resume) if next.node == hello.node && resume.link == link => {
            if service.links.contains(hello.node, link) {
                return Ok(Accepted::Resumed(connection, hello.node, resume));
            }
            answer(&connection, &HelloAnswer::Rejected(Rejection::UnknownLink)).await?;
            Ok(Accepted::Done)
        }
        _ => Err(HandshakeError::OtherLink),
    }
}

async fn answer(connection: &Connection, answer: &HelloAnswer) -> Result<(), dial::HandshakeReadError> {
    Ok(connection.writer.write_all(&hello::encode_answer(answer)).await?)
}

/// An error of a handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Read(#[from] dial::HandshakeReadError),
    #[error(transparent)]
    Zmtp(#[from] ZmtpConnectionError),
    #[error("the peer disconnected before the handshake")]
    Silent,
    #[error("a standby connection for one link asked for something else")]
    OtherLink,
    #[error("the system has no randomness: {0}")]
    Random(#[from] getrandom::Error),
}
