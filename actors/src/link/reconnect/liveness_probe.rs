//! A test of a connection on which nothing arrives: of the other host, and of its process.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use meshzero_proto::wire::hello::Hello;
use tokio::time;

use crate::link::dial;
use crate::net::network::Network;

/// The test of a connection that has become silent, although bytes are expected.
pub(crate) struct LivenessProbe {
    /// The address of this host from which it comes.
    pub(super) own: Option<IpAddr>,
    pub(super) address: SocketAddr,
    pub(super) hello: Hello,
    pub(super) network: Network,
}

impl LivenessProbe {
    /// Returns whether another connection is accepted within `patience`: the other host is there, however busy the process is.
    /// It must come from the same address, because if this host no longer has that one, nothing will arrive there.
    pub(crate) async fn is_host_there(&self, patience: Duration) -> bool {
        let connecting = self.network.connect_from(self.own, self.address);
        matches!(time::timeout(patience, connecting).await, Ok(Ok(_)))
    }

    /// Returns whether the endpoint answers on another connection within `patience`: the process is not stopped either.
    pub(crate) async fn does_endpoint_answer(&self, patience: Duration) -> bool {
        dial::dial(&self.network, &[self.address], &self.hello, patience).await.is_ok()
    }
}
