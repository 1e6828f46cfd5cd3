//! What this node offers: announced by mDNS, and told to every connected peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::addresses::{is_link_local, needs_zone};
use meshzero_proto::advert::{Advert, MAX_HEARD_ADDRESSES};
use meshzero_proto::directory::{Source, Why};
use meshzero_proto::id::InstanceId;

use super::Discovery;

use crate::bound::Bound;
use crate::clock;
use crate::kind;
use crate::serving::serving;

/// How long leaving waits for links to say goodbye.
const FAREWELL: Duration = Duration::from_millis(100);

/// The services of this node.
#[derive(Default)]
pub(super) struct Offering {
    /// Without addresses, and where they are listened to.
    services: BTreeMap<InstanceId, (Advert, Bound)>,
}

/// Offers a service of this node, whose endpoint listens there, to the mesh. The addresses of the advert are not looked at:
/// `0.0.0.0` stands for all IPv4 addresses of the chosen interfaces, `[::]` for all addresses.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Announce(pub Advert, pub Bound);

/// The endpoint of a service of this node, which may have been announced, listens elsewhere.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Relocated(pub InstanceId);

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
        self.offering.services.values().map(|(advert, bound)| self.with_addresses(advert, bound)).collect()
    }

    /// The addresses of this host changed: all services are to be found elsewhere.
    pub(super) fn offer_again(&mut self, ctx: &mut Context<Self>) {
        for advert in self.own_adverts() {
            let changes = self.directory.hear(advert, Source::Local, clock::now());
            self.apply(changes, None, ctx);
        }
    }

    fn with_addresses(&self, advert: &Advert, bound: &Bound) -> Advert {
        let mut addresses: Vec<SocketAddr> = match bound {
            Bound::At(address) if !address.ip().is_unspecified() => vec![*address],
            _ => self.announced_addresses(bound.port()).filter(|address| bound.takes(*address)).collect(),
        };
        // Loopback is of use to the same host only, and not what people want to see.
        let place = |ip: IpAddr| self.host_addresses.iter().position(|own| own.ip == ip);
        addresses.sort_by_cached_key(|address| {
            let ip = address.ip();
            (ip.is_loopback(), needs_zone(ip), ip.is_ipv6(), place(ip))
        });
        addresses.truncate(MAX_HEARD_ADDRESSES);
        Advert { addresses, ..advert.clone() }
    }

    /// The addresses of this host with this port. A link-local IPv6 address is good on its link only, and so is announced only
    /// where an interface has nothing better; the port of a bridge has what is the bridge's.
    fn announced_addresses(&self, port: u16) -> impl Iterator<Item = SocketAddr> {
        let own = self.own_interfaces.connected();
        let has_better = move |name: &str| {
            own.iter().any(|interface| interface.name == name && !is_link_local(interface.address.ip))
        };
        let announced = serving(own).into_iter().filter(move |interface| {
            let name = &interface.name;
            !needs_zone(interface.address.ip) || !(has_better(name) || kind::is_port(name))
        });
        announced.map(move |interface| interface.socket_addr(port))
    }
}

impl Handler<Announce> for Discovery {
    type Result = ();

    fn handle(&mut self, Announce(advert, bound): Announce, ctx: &mut Self::Context) {
        let concrete = self.with_addresses(&advert, &bound);
        if let Some(mdns) = &self.mdns {
            // Which of all addresses are meant follows from the interfaces.
            mdns.announce(Advert { addresses: vec![bound.summary()], ..advert.clone() });
        }
        self.offering.services.insert(advert.instance, (advert, bound));
        let changes = self.directory.hear(concrete, Source::Local, clock::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Relocated> for Discovery {
    type Result = ();

    fn handle(&mut self, Relocated(instance): Relocated, ctx: &mut Self::Context) {
        let Some((advert, bound)) = self.offering.services.get(&instance) else { return };
        let advert = self.with_addresses(advert, bound);
        let changes = self.directory.hear(advert, Source::Local, clock::now());
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
