//! ZeroMQ sockets at an endpoint, where REQ and DEALER send requests and SUB subscribes; and proxy services for sockets
//! that listen elsewhere.

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
pub(crate) use self::value::{JsonMessage, UNTYPED_NAME as VALUE};
use crate::net::connection::Connection;
use crate::server::service::Service;

/// A ZeroMQ socket that has completed the handshake.
pub(crate) struct ZmtpClient {
    wire: ZmtpConnection,
    socket: SocketType,
}

/// Performs the handshake with a ZeroMQ socket, whose `first` bytes have been read; `None` if it was rejected with a
/// reason.
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
    wire.writer.buffer().extend_from_slice(&zmtp::greeting());
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
        Ok(answer) => zmtp::write_ready(wire.writer.buffer(), answer, true),
        Err(reason) => {
            service.connections.rejected.count();
            zmtp::write_error(wire.writer.buffer(), reason);
        }
    }
    wire.writer.flush_all().await?;
    Ok(answer.is_ok().then_some(ZmtpClient { wire, socket }))
}

/// Serves a socket until either end closes the connection.
///
/// # Errors
/// [`ZmtpConnectionError`], unless the peer just left.
pub(crate) async fn serve(visitor: ZmtpClient, service: Arc<Service>) -> Result<(), ZmtpConnectionError> {
    let ZmtpClient { wire, socket } = visitor;
    match socket {
        SocketType::Sub | SocketType::XSub => subscription::serve(wire, &service).await,
        _ => requests::serve(wire, service).await,
    }
}

/// Returns whether the peer just left.
fn is_disconnect(error: &ZmtpConnectionError) -> bool {
    matches!(
        error,
        ZmtpConnectionError::Disconnected
            | ZmtpConnectionError::Io(_)
            | ZmtpConnectionError::Zmtp(ZmtpError::Closed(_))
    )
}
