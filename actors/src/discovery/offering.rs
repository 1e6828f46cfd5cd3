//! What this node offers: announced by mDNS, and told to every connected peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::advert::{Advert, MAX_HEARD_ADDRESSES};
use meshzero_proto::directory::{Source, Why};
use meshzero_proto::id::InstanceId;

use super::Discovery;

use crate::clock;

/// How long leaving waits for links to say goodbye.
const FAREWELL: Duration = Duration::from_millis(100);

/// The services of this node.
#[derive(Default)]
pub(super) struct Offering {
    /// As they are listened to, which may be "all addresses".
    services: BTreeMap<InstanceId, Advert>,
}

/// Offers a service of this node to the mesh. Once more with the same instance changes its addresses.
///
/// Its first address is where its endpoint listens: `0.0.0.0` stands for all IPv4 addresses of the chosen interfaces,
/// `[::]` for all addresses.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Announce(pub Advert);

/// Takes a service of this node out of the mesh. Let it drain first: peers that hear the goodbye ask its endpoint.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Withdraw(pub InstanceId);

/// Says goodbye for all services, closes the links and stops the actor. Ready within half a second.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Leave;

impl Discovery {
    /// The adverts of this node's services, with all addresses they have now.
    pub(super) fn own_adverts(&self) -> Vec<Advert> {
        self.offering.services.values().map(|advert| self.with_addresses(advert)).collect()
    }

    /// The addresses of this host changed: all services are to be found elsewhere.
    pub(super) fn offer_again(&mut self, ctx: &mut Context<Self>) {
        for advert in self.own_adverts() {
            let changes = self.directory.hear(advert, Source::Local, clock::now());
            self.apply(changes, None, ctx);
        }
    }

    fn with_addresses(&self, advert: &Advert) -> Advert {
        let Some(listens) = advert.addresses.first().copied() else { return advert.clone() };
        if !listens.ip().is_unspecified() {
            return advert.clone();
        }
        let meant = |ip: &IpAddr| match ip {
            IpAddr::V4(_) => true,
            // A link-local address says nothing to a host that does not know the link.
            IpAddr::V6(v6) => listens.is_ipv6() && !v6.is_unicast_link_local(),
        };
        let mut own: Vec<IpAddr> = self.own_addresses.iter().map(|own| own.ip).filter(meant).collect();
        // Loopback is of use to the same host only, and not what people want to see.
        own.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
        let addresses =
            own.into_iter().map(|ip| SocketAddr::new(ip, listens.port())).take(MAX_HEARD_ADDRESSES).collect();
        Advert { addresses, ..advert.clone() }
    }
}

impl Handler<Announce> for Discovery {
    type Result = ();

    fn handle(&mut self, Announce(advert): Announce, ctx: &mut Self::Context) {
        let concrete = self.with_addresses(&advert);
        if let Some(mdns) = &self.mdns {
            mdns.announce(advert.clone());
        }
        self.offering.services.insert(advert.instance, advert);
        let changes = self.directory.hear(concrete, Source::Local, clock::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Withdraw> for Discovery {
    type Result = ();

    fn handle(&mut self, Withdraw(instance): Withdraw, ctx: &mut Self::Context) {
        self.offering.services.remove(&instance);
        if let Some(mdns) = &self.mdns {
            mdns.withdraw(instance);
        }
        let changes = self.directory.gone(instance, Why::Withdrawn, clock::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Leave> for Discovery {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Leave: Leave, ctx: &mut Self::Context) -> Self::Result {
        for instance in std::mem::take(&mut self.offering.services).into_keys() {
            let changes = self.directory.gone(instance, Why::Withdrawn, clock::now());
            self.apply(changes, None, ctx);
        }
        let links = self.links.close();
        let mdns = self.mdns.take();
        let farewell = async move {
            if let Some(mdns) = mdns {
                mdns.close().await;
            }
            if tokio::time::timeout(FAREWELL, links).await.is_err() {
                tracing::debug!(
                    "some peers did not take the goodbye in time; they will see the connection close"
                );
            }
        };
        Box::pin(farewell.into_actor(self).map(|(), _, ctx| ctx.stop()))
    }
}
