//! Dialling: from the addresses of an endpoint to a connection whose other end has proved who it is.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_proto::hello::{self, Answer, Hello, HelloError, Rejection, Welcome};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::connection::Connection;
use crate::network::Network;

/// The pause before the next address is tried beside those already under way (RFC 8305 §5 recommends 250 ms for
/// the internet; on a local network a connection takes less than a millisecond).
const NEXT_ADDRESS: Duration = Duration::from_millis(50);

/// How long the other addresses are waited for once one has answered that the endpoint is not there. All lead to the
/// same listener, and where multicast is blocked the IPv6 ones often lead nowhere, which shows after seconds only.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Why an endpoint could not be reached or did not accept.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// There was no address to try.
    #[error("it has no address")]
    NoAddress,
    /// No address accepted a connection; the error of the last one.
    #[error("no connection to {address}: {error}")]
    Unreachable {
        /// The address that failed last.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// Nothing answered in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The other end does not speak this protocol.
    #[error("{address}: {error}")]
    NotMeshzero {
        /// Where it answered.
        address: SocketAddr,
        /// What was wrong with the answer.
        error: HelloError,
    },
    /// The other end speaks the protocol and declined.
    #[error("{address}: {rejection}")]
    Rejected {
        /// Where it answered.
        address: SocketAddr,
        /// What it said.
        rejection: Rejection,
    },
}

impl DialError {
    /// Whether another try may succeed in a moment: at another address, or because the endpoint's program, or one that takes its
    /// place, is there by then.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NoAddress | Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Rejected { rejection, .. } => !matches!(rejection, Rejection::OtherMesh { .. }),
            Self::NotMeshzero { .. } => false,
        }
    }

    /// Whether somebody is there who may speak another protocol: ZeroMQ's sockets say so, or leave without a word.
    pub(crate) fn is_foreign(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

        match self {
            Self::NotMeshzero { error, .. } => matches!(error, HelloError::NotMeshzero { .. }),
            Self::Unreachable { error, .. } => {
                matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
            }
            Self::NoAddress | Self::TimedOut { .. } | Self::Rejected { .. } => false,
        }
    }
}

/// A connection that has shaken hands.
#[derive(Debug)]
pub struct Dialled {
    /// The connection; nothing after the handshake has been read from it.
    pub connection: Connection,
    /// Whom it leads to.
    pub welcome: Welcome,
    /// The address that answered.
    pub address: SocketAddr,
    /// How long the answer took once there was a connection.
    pub round_trip: Duration,
}

/// Connects to the first of `addresses` that accepts and answers `hello`, within `timeout`.
///
/// The addresses are raced in their order, a new one every 50 ms or as soon as one fails, and the first good
/// handshake wins.
///
/// # Errors
/// [`DialError`] of the last address that failed; a rejection or a foreign protocol is preferred over an address
/// that merely did not answer, because it says more.
///
/// # Cancel safety
/// Dropping the future closes all attempts.
pub async fn dial(
    network: &Network,
    addresses: &[SocketAddr],
    hello: &Hello,
    timeout: Duration,
) -> Result<Dialled, DialError> {
    time::timeout(timeout, race(network, addresses, hello))
        .await
        .unwrap_or(Err(DialError::TimedOut { after: timeout }))
}

async fn race(network: &Network, addresses: &[SocketAddr], hello: &Hello) -> Result<Dialled, DialError> {
    let hello = hello::encode_hello(hello);
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut next_at = Instant::now();
    let mut told = DialError::NoAddress;
    let mut exhausted = false;
    let mut give_up = None;
    loop {
        // Not by a timer: even one that is due takes a millisecond, which is more than the whole handshake.
        while !exhausted && next_at <= Instant::now() {
            match waiting.next() {
                Some(address) => {
                    attempts.spawn(shake_hands(network.clone(), address, hello.clone()));
                    next_at = Instant::now() + NEXT_ADDRESS;
                }
                None => exhausted = true,
            }
        }
        if exhausted && attempts.is_empty() {
            return Err(told);
        }
        tokio::select! {
            biased;
            Some(attempt) = attempts.join_next() => match attempt {
                Ok(Ok(dialled)) => return Ok(dialled),
                Ok(Err(error)) => {
                    next_at = Instant::now();
                    if weight(&error) >= REFUSAL {
                        give_up.get_or_insert(next_at + AFTER_REFUSAL);
                    }
                    if weight(&error) >= weight(&told) {
                        told = error;
                    }
                }
                Err(error) => tracing::error!(%error, "an attempt to connect ended by itself"),
            },
            () = time::sleep_until(next_at), if !exhausted => {}
            () = time::sleep_until(give_up.unwrap_or(next_at)), if give_up.is_some() => return Err(told),
        }
    }
}

/// The weight of an error that is an answer, if only of the other host's system.
const REFUSAL: u8 = 2;

/// How much an error says about the endpoint.
fn weight(error: &DialError) -> u8 {
    match error {
        DialError::Rejected { .. } | DialError::NotMeshzero { .. } => 3,
        DialError::Unreachable { error, .. } if error.kind() == io::ErrorKind::ConnectionRefused => REFUSAL,
        DialError::Unreachable { .. } | DialError::TimedOut { .. } => 1,
        DialError::NoAddress => 0,
    }
}

async fn shake_hands(network: Network, address: SocketAddr, hello: Vec<u8>) -> Result<Dialled, DialError> {
    let unreachable = |error| DialError::Unreachable { address, error };
    let connection = network.connect(address).await.map_err(unreachable)?;
    greet(connection, address, &hello).await
}

/// Says an encoded `hello` on a connection, and waits for the answer.
///
/// # Errors
/// [`DialError`].
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn greet(
    mut connection: Connection,
    address: SocketAddr,
    hello: &[u8],
) -> Result<Dialled, DialError> {
    let unreachable = |error| DialError::Unreachable { address, error };
    let begun = Instant::now();
    connection.writer.write_all(hello).await.map_err(unreachable)?;
    let answer =
        read_greeting(&mut connection.reader, &[], hello::parse_answer).await.map_err(
            |error| match error {
                GreetingError::Io(error) => DialError::Unreachable { address, error },
                GreetingError::Hello(error) => DialError::NotMeshzero { address, error },
            },
        )?;
    match answer {
        Answer::Welcome(welcome) => Ok(Dialled { connection, welcome, address, round_trip: begun.elapsed() }),
        Answer::Rejected(rejection) => Err(DialError::Rejected { address, rejection }),
    }
}

/// Why a greeting could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetingError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Hello(#[from] HelloError),
}

/// Reads one hello or answer, of which `begun` has been read, and not a byte more, so that the frames behind it stay in the
/// socket.
pub(crate) async fn read_greeting<T>(
    stream: &mut (impl AsyncRead + Unpin),
    begun: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, HelloError>,
) -> Result<T, GreetingError> {
    let mut bytes = [0; hello::MAX_HELLO_BYTES];
    let mut filled = begun.len();
    bytes[..filled].copy_from_slice(begun);
    loop {
        let wanted = hello::wanted(&bytes[..filled])?;
        let read = stream.read(&mut bytes[filled..filled + wanted]).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += read;
        if let Some((greeting, _)) = parse(&bytes[..filled])? {
            return Ok(greeting);
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::hello::Purpose;
    use meshzero_proto::id::NodeId;
    use meshzero_proto::name::MeshName;
    use tokio::net::TcpListener;

    use super::*;

    fn hello() -> Hello {
        Hello {
            mesh: MeshName::default(),
            node: NodeId::from_random([1; 16]),
            instance: None,
            purpose: Purpose::Probe,
            message_bytes: 1,
            resume: None,
            pieces: true,
            standby: None,
        }
    }

    #[tokio::test]
    async fn when_all_addresses_refuse_nothing_is_waited_for() {
        let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
        let begun = Instant::now();
        dial(&Network::System, &[refusing, refusing], &hello(), Duration::from_secs(60))
            .await
            .expect_err("nobody answers");
        assert!(begun.elapsed() < AFTER_REFUSAL, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_refuses_says_more_than_one_that_is_silent() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let refusing = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
        let addresses = [silent.local_addr().expect("bound"), refusing];
        let error = dial(&Network::System, &addresses, &hello(), Duration::from_secs(60))
            .await
            .expect_err("nobody answers");
        assert!(matches!(error, DialError::Unreachable { address, .. } if address == refusing), "{error}");
    }
}
