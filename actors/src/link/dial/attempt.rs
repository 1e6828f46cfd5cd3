//! One attempt at one address: over the Unix socket beside the listener, if the endpoint is on this host, or over TCP.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use meshzero_proto::wire::hello::{self, Hello, Purpose};
use tokio::time;

use super::unused_connection::UnusedConnection;
use super::{DialError, Handshaken, TIMEOUT_AFTER_REFUSAL, handshake_as_client};
use crate::net::connection::Connection;
use crate::net::network::Network;

/// The time that an answer over a Unix socket may take before TCP is tried in parallel: as long as between two addresses.
const UNIX_HEAD_START: Duration = super::NEXT_ADDRESS_DELAY;

/// A hello, and the network in which it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    network: Network,
    hello: Vec<u8>,
    /// Set for connections of links. Others prove that an address can be reached, or are between nodes, which pass on the
    /// addresses of their connections.
    may_use_unix: bool,
    /// Set if an endpoint that accepts the hello opens a link.
    opens_link: bool,
}

impl Attempt {
    /// Creates an attempt that sends `hello`.
    pub(crate) fn new(network: &Network, hello: &Hello) -> Self {
        let is_for_link = matches!(hello.purpose, Purpose::Requests | Purpose::News);
        Self {
            network: network.clone(),
            hello: hello::encode_hello(hello),
            may_use_unix: is_for_link || hello.standby.is_some(),
            opens_link: is_for_link && hello.standby.is_none() && hello.resume.is_none(),
        }
    }

    /// Connects to an address, and performs the handshake. `accepted` is called when a connection was accepted.
    ///
    /// # Errors
    /// [`DialError`], for TCP.
    ///
    /// # Cancel safety
    /// This method is cancel safe. Dropping the future closes its connections.
    pub(crate) async fn handshake(
        &self,
        address: SocketAddr,
        mut accepted: impl FnMut(),
    ) -> Result<Handshaken, DialError> {
        let unix = if self.may_use_unix { self.network.connect_unix(address) } else { None };
        let Some(unix) = unix else { return self.handshake_over_tcp(address, accepted).await };
        accepted();
        let mut over_unix = pin!(self.handshake_over_unix(unix, address));
        match time::timeout(UNIX_HEAD_START, &mut over_unix).await {
            Ok(Some(handshaken)) => return Ok(handshaken),
            Ok(None) => return self.handshake_over_tcp(address, accepted).await,
            Err(_) => {}
        }
        // The endpoint is busy, or another program holds the name.
        let over_tcp = pin!(self.handshake_over_tcp(address, accepted));
        let error = tokio::select! {
            biased;
            Some(handshaken) = &mut over_unix => return Ok(handshaken),
            result = over_tcp => match result {
                Ok(handshaken) => return Ok(handshaken),
                Err(error) => error,
            },
        };
        // An endpoint that has accepted one of two attempts to resume a link closes the other.
        match time::timeout(TIMEOUT_AFTER_REFUSAL, over_unix).await {
            Ok(Some(handshaken)) => Ok(handshaken),
            Ok(None) | Err(_) => Err(error),
        }
    }

    async fn handshake_over_tcp(
        &self,
        address: SocketAddr,
        mut accepted: impl FnMut(),
    ) -> Result<Handshaken, DialError> {
        let unreachable = |error| DialError::Unreachable { address, error, attempts: Vec::new() };
        let connection = self.network.connect(address).await.map_err(unreachable)?;
        accepted();
        self.handshake_over(connection, address).await
    }

    /// Performs the handshake over a Unix socket; `None` if it fails, the reason of which TCP will show.
    async fn handshake_over_unix(&self, connection: Connection, address: SocketAddr) -> Option<Handshaken> {
        let result = self.handshake_over(connection, address).await;
        result
            .inspect_err(|error| tracing::debug!(%error, "a handshake over a Unix socket failed; using TCP"))
            .ok()
    }

    async fn handshake_over(
        &self,
        connection: Connection,
        address: SocketAddr,
    ) -> Result<Handshaken, DialError> {
        handshake_as_client(UnusedConnection::new(connection), address, &self.hello, self.opens_link).await
    }
}
