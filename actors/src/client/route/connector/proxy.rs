//! Connects a route to a ZeroMQ socket, through a proxy service.

use std::net::SocketAddr;
use std::sync::Arc;

use meshzero_proto::discovery::directory::Instance;
use tokio::time::{self, Instant};

use super::{CONNECT_TIMEOUT, LinkUptime, RouteConnector};
use crate::client::route::Member;
use crate::net::bound_addresses::BoundAddresses;
use crate::net::zone::ZonedAddress;
use crate::server::zmtp::{self, ProxyService};

impl RouteConnector {
    /// Returns a proxy service for the ZeroMQ socket at `address`; `None` if there is no such socket.
    pub(super) async fn connect_zmtp(&self, address: SocketAddr) -> Option<ProxyService> {
        let link_config = &self.context.link_config;
        let connecting = zmtp::connect(&link_config.network, address, &link_config.limits);
        let peer = match time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(peer)) => peer,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "no ZeroMQ socket");
                return None;
            }
            Err(_) => return None,
        };
        match ProxyService::open(&self.context.environment(self.node_stats.clone()), address, peer) {
            Ok(proxy) => Some(proxy),
            Err(error) => {
                tracing::warn!(%address, %error, "cannot start a proxy for a ZeroMQ socket");
                None
            }
        }
    }

    /// Lets callers use the proxy until its connection ends; `None` when nobody holds the route any more.
    pub(super) async fn use_proxy(&self, proxy: ProxyService, address: SocketAddr) -> Option<LinkUptime> {
        let connected_at = Instant::now();
        let service = Arc::clone(proxy.service());
        let identity = &service.identity;
        let (id, node) = (identity.instance, identity.node);
        let instance = Instance {
            id,
            node,
            service: ZonedAddress(address).into(),
            addresses: vec![address],
            local: false,
        };
        // Subscriptions look up the service in the registry.
        let _registration = self.context.services.list(&service, BoundAddresses::At(address));
        self.add(Member::Local(Arc::clone(&service), Arc::new(instance)));
        let reason = self.while_referenced(proxy.run()).await?;
        let route = self.route.upgrade()?;
        route.remove(id);
        route.record_error(reason);
        Some(LinkUptime::since(connected_at))
    }
}
