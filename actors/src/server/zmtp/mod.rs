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
    connection: ZmtpConnection,
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
    has_permit: bool,
) -> Result<Option<ZmtpClient>, ZmtpConnectionError> {
    let mut connection = ZmtpConnection::new(connection, first, service.limits().message_bytes);
    connection.writer.buffer().extend_from_slice(&zmtp::greeting());
    let (socket, _) = connection.ready().await?;
    let answer = match socket {
        _ if !service.is_alive() => Err("it is closing"),
        _ if !has_permit => Err("it has reached its connection limit"),
        SocketType::Req => Ok(SocketType::Rep),
        SocketType::Dealer => Ok(SocketType::Router),
        SocketType::Sub | SocketType::XSub => Ok(SocketType::Pub),
        SocketType::Rep | SocketType::Router | SocketType::Pub | SocketType::XPub => {
            Err("connect a REQ, a DEALER or a SUB: this is a service, which answers and publishes")
        }
    };
    match answer {
        Ok(answer) => zmtp::write_ready(connection.writer.buffer(), answer, true),
        Err(reason) => {
            service.connections.rejected.count();
            zmtp::write_error(connection.writer.buffer(), reason);
        }
    }
    connection.writer.flush_all().await?;
    Ok(answer.is_ok().then_some(ZmtpClient { connection, socket }))
}

/// Serves a socket until either end closes the connection.
///
/// # Errors
/// [`ZmtpConnectionError`], unless the peer disconnected.
pub(crate) async fn serve(client: ZmtpClient, service: Arc<Service>) -> Result<(), ZmtpConnectionError> {
    let ZmtpClient { connection, socket } = client;
    match socket {
        SocketType::Sub | SocketType::XSub => subscription::serve(connection, &service).await,
        _ => requests::serve(connection, service).await,
    }
}

/// Returns whether the peer disconnected.
fn is_disconnect(error: &ZmtpConnectionError) -> bool {
    matches!(
        error,
        ZmtpConnectionError::Disconnected
            | ZmtpConnectionError::Io(_)
            | ZmtpConnectionError::Zmtp(ZmtpError::Closed(_))
    )
}
