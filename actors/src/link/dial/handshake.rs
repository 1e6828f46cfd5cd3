//! The client's half of the handshake, on an open connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_proto::wire::hello::{self, HelloAnswer, HelloError, Welcome};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::DialError;
use super::unused_connection::UnusedConnection;

/// A connection that completed the handshake.
#[derive(Debug)]
pub(crate) struct Handshaken {
    /// The connection; nothing after the handshake has been read from it.
    pub connection: UnusedConnection,
    /// The answer, which identifies the other end.
    pub welcome: Welcome,
    /// The address that answered.
    pub address: SocketAddr,
    /// The time from the connection to the answer.
    pub round_trip: Duration,
}

/// Sends an encoded `hello`, and waits for the answer. `opens_link` is set if the hello asks for a new link.
///
/// # Errors
/// [`DialError`].
///
/// # Cancel safety
/// This function is not cancel safe: dropping the future closes the connection.
pub(crate) async fn handshake_as_client(
    mut connection: UnusedConnection,
    address: SocketAddr,
    hello: &[u8],
    opens_link: bool,
) -> Result<Handshaken, DialError> {
    let unreachable = |error| DialError::Unreachable { address, error, attempts: Vec::new() };
    let started = Instant::now();
    connection.get().writer.write_all(hello).await.map_err(unreachable)?;
    connection.set_has_link(opens_link);
    let answer = read_handshake(&mut connection.get_mut().reader, &[], hello::parse_answer).await.map_err(
        |error| match error {
            HandshakeReadError::Io(error) => unreachable(error),
            HandshakeReadError::Hello(error) => {
                DialError::NotMeshzero { address, error, attempts: Vec::new() }
            }
        },
    )?;
    match answer {
        HelloAnswer::Welcome(welcome) => {
            Ok(Handshaken { connection, welcome, address, round_trip: started.elapsed() })
        }
        HelloAnswer::Rejected(rejection) => {
            connection.set_has_link(false);
            Err(DialError::Rejected { address, rejection, attempts: Vec::new() })
        }
    }
}

/// Errors of reading a handshake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Hello(#[from] HelloError),
}

/// Reads one hello or answer, of which `prefix` has been read already, and not a byte more, so that the frames behind it stay
/// in the socket.
pub(crate) async fn read_handshake<T>(
    stream: &mut (impl AsyncRead + Unpin),
    prefix: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, HelloError>,
) -> Result<T, HandshakeReadError> {
    let mut bytes = [0; hello::MAX_HELLO_BYTES];
    let mut filled = prefix.len();
    bytes[..filled].copy_from_slice(prefix);
    loop {
        let missing = hello::missing_bytes(&bytes[..filled])?;
        let read = stream.read(&mut bytes[filled..filled + missing]).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += read;
        if let Some((message, _)) = parse(&bytes[..filled])? {
            return Ok(message);
        }
    }
}
