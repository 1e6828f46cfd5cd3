//! Keeps a route connected to the one endpoint at an address: of another process, of this one, or of a ZeroMQ socket.

use std::net::SocketAddr;
use std::sync::Arc;

use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::hello::{Purpose, Welcome};
use tokio::time;

use super::{CHECK_INTERVAL, DialTarget, LinkUptime, RouteConnector};
use crate::client::follow::BACKOFF;
use crate::client::route::Member;
use crate::net::zone::ZonedAddress;
use crate::server::service::Service;

impl RouteConnector {
    /// Keeps the route connected to the one endpoint at `address`, or to the ZeroMQ socket that listens there.
    pub(crate) async fn connect_address(self, address: SocketAddr) {
        let mut backoff = BACKOFF;
        let mut may_be_zmtp = false;
        while self.route.strong_count() > 0 {
            if let Some(service) = self.context.services.at(address) {
                self.use_local(service, address).await;
                continue;
            }
            let mut uptime = Some(LinkUptime::Short);
            if !may_be_zmtp {
                let hello = self.context.hello_for(None, Purpose::Requests);
                match self.connect(DialTarget::fixed(&[address]), &hello).await {
                    Ok(link) => {
                        let instance = instance_at(address, &link.welcome);
                        uptime = self.use_link(link, instance).await;
                    }
                    Err(error) => may_be_zmtp = error.is_other_protocol,
                }
            }
            if may_be_zmtp {
                match self.connect_zmtp(address).await {
                    Some(proxy) => uptime = self.use_proxy(proxy, address).await,
                    // A program of this mesh may have come back at the address.
                    None => may_be_zmtp = false,
                }
            }
            match uptime {
                None => return,
                Some(LinkUptime::Long) => backoff.reset(),
                Some(LinkUptime::Short) => time::sleep(backoff.next_delay()).await,
            }
        }
    }

    /// Lets callers use a service of this process until it is withdrawn, or nobody holds the route any more.
    async fn use_local(&self, service: Arc<Service>, address: SocketAddr) {
        let id = service.identity.instance;
        let instance = Instance {
            id,
            node: service.identity.node,
            service: service.identity.name.clone().unwrap_or_else(|| ZonedAddress(address).into()),
            addresses: vec![address],
            local: true,
        };
        self.add(Member::Local(service, Arc::new(instance)));
        while self.route.strong_count() > 0 && self.context.services.get(id).is_some() {
            time::sleep(CHECK_INTERVAL).await;
        }
        if let Some(route) = self.route.upgrade() {
            route.remove(id);
        }
    }
}

/// The instance behind an address that was given instead of a name.
fn instance_at(address: SocketAddr, welcome: &Welcome) -> Instance {
    Instance {
        id: welcome.instance,
        node: welcome.node,
        service: welcome.service.clone().unwrap_or_else(|| ZonedAddress(address).into()),
        addresses: vec![address],
        local: false,
    }
}
