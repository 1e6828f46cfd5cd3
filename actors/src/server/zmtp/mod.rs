//! ZeroMQ sockets at an endpoint, where REQ and DEALER send requests and SUB subscribes; and those that listen elsewhere, for which
//! a proxy service stands in.

mod connection;
mod forwarder;
mod proxy;
mod requests;
mod subscription;
mod value;

use std::sync::Arc;

use meshzero_proto::zmtp::{self, SocketType, ZmtpError};

pub(crate) use self::connection::{ZmtpConnection, ZmtpConnectionError};
pub(crate) use self::forwarder::{Forwarder, ZmtpPeer, connect};
pub(crate) use self::proxy::{ProxyActor, ProxyService};
pub(crate) use self::value::{JsonMessage, NAME as VALUE};
use crate::net::connection::Connection;
use crate::server::service::Service;

/// A ZeroMQ socket that has shaken hands.
pub(crate) struct ZmtpClient {
    wire: ZmtpConnection,
    socket: SocketType,
}

/// Shakes hands with a ZeroMQ socket, whose `first` bytes have been read; `None` if it was turned away, and told why.
///
/// # Errors
/// [`ZmtpConnectionError`].
pub(crate) async fn handshake(
    connection: Connection,
    first: &[u8],
    service: &Service,
    has_place: bool,
) -> Result<Option<ZmtpClient>, ZmtpConnectionError> {
    let mut wire = ZmtpConnection::new(connection, first, service.limits().message_bytes);
    wire.voice.add().extend_from_slice(&zmtp::greeting());
    let (socket, _) = wire.ready().await?;
    let answer = match socket {
        _ if !service.is_alive() => Err("it is closing"),
        _ if !has_place => Err("it has reached its connection limit"),
        SocketType::Req => Ok(SocketType::Rep),
        SocketType::Dealer => Ok(SocketType::Router),
        SocketType::Sub | SocketType::XSub => Ok(SocketType::Pub),
        SocketType::Rep | SocketType::Router | SocketType::Pub | SocketType::XPub => {
            Err("connect a REQ, a DEALER or a SUB: this is a service, which answers and publishes")
        }
    };
    match answer {
        Ok(answer) => zmtp::write_ready(wire.voice.add(), answer, true),
        Err(reason) => {
            service.connections.rejected.count();
            zmtp::write_error(wire.voice.add(), reason);
        }
    }
    wire.voice.flush_all().await?;
    Ok(answer.is_ok().then_some(ZmtpClient { wire, socket }))
}

/// Serves a socket until either end ends it.
///
/// # Errors
/// [`ZmtpConnectionError`], when it did not just leave.
pub(crate) async fn serve(visitor: ZmtpClient, service: Arc<Service>) -> Result<(), ZmtpConnectionError> {
    let ZmtpClient { wire, socket } = visitor;
    match socket {
        SocketType::Sub | SocketType::XSub => subscription::serve(wire, &service).await,
        _ => requests::serve(wire, service).await,
    }
}

/// The end of a conversation that the other end does not go on with.
fn is_gone(error: &ZmtpConnectionError) -> bool {
    matches!(
        error,
        ZmtpConnectionError::Gone
            | ZmtpConnectionError::Io(_)
            | ZmtpConnectionError::Zmtp(ZmtpError::GivenUp(_))
    )
}
