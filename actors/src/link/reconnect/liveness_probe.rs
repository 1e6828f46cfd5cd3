//! A test of a connection on which nothing arrives: of the other host, and of its process.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use meshzero_proto::wire::hello::Hello;
use tokio::time;

use crate::link::dial;
use crate::net::network::Network;

/// A test of a connection that has become silent, although bytes are expected.
pub(crate) struct LivenessProbe {
    /// The local address of the connection.
    pub(super) own: Option<IpAddr>,
    pub(super) address: SocketAddr,
    pub(super) hello: Hello,
    pub(super) network: Network,
}

impl LivenessProbe {
    /// Returns whether another connection is accepted within `timeout`: the other host is there, however busy the process is.
    /// It is made from the same address, because if this host no longer has that address, nothing will arrive at it.
    pub(crate) async fn is_host_there(&self, timeout: Duration) -> bool {
        let connect = self.network.connect_from(self.own, self.address);
        matches!(time::timeout(timeout, connect).await, Ok(Ok(_)))
    }

    /// Returns whether the endpoint answers on another connection within `timeout`: its process is not stopped either.
    pub(crate) async fn does_endpoint_answer(&self, timeout: Duration) -> bool {
        dial::dial(&self.network, &[self.address], &self.hello, timeout).await.is_ok()
    }
}
