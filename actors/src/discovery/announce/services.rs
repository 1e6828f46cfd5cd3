//! The services that this node offers, which are announced by mDNS and sent to every connected peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use actix::prelude::*;
use meshzero_proto::discovery::addresses::{OwnAddress, is_link_local, needs_zone};
use meshzero_proto::discovery::advert::{Advert, MAX_RECEIVED_ADDRESSES};
use meshzero_proto::discovery::directory::DownReason;
use meshzero_proto::id::InstanceId;

use crate::discovery::effect::Effect;
use crate::discovery::mdns::Mdns;
use crate::discovery::mdns::interface_table::InterfaceTable;
use crate::net::bound_addresses::BoundAddresses;
use crate::net::host::announced_addresses::serving;
use crate::net::host::kind;
use crate::net::interfaces::Interface;

/// The services of this node, and their announcer.
pub(crate) struct AnnouncedServices {
    /// The adverts without addresses, and the addresses at which the endpoints listen.
    services: BTreeMap<InstanceId, (Advert, BoundAddresses)>,
    mdns: Option<Mdns>,
}

/// Offers a service of this node, whose endpoint listens at these addresses, to the mesh. The addresses of the advert are
/// ignored: `0.0.0.0` stands for all IPv4 addresses of the chosen interfaces, `[::]` for all addresses.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Announce(pub Advert, pub BoundAddresses);

/// The endpoint of a service of this node, which may have been announced, listens at other addresses now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EndpointMoved(pub InstanceId);

/// Withdraws a service of this node from the mesh. Let it drain first: peers that receive the goodbye probe its endpoint.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Withdraw(pub InstanceId);

/// Withdraws all services, closes the links and stops the actor. Completes within half a second.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Leave;

impl AnnouncedServices {
    /// Creates an empty set of services, to be announced by `mdns`, where there is multicast.
    pub(crate) fn new(mdns: Option<Mdns>) -> Self {
        Self { services: BTreeMap::new(), mdns }
    }

    /// Offers a service, on a host with these interfaces and addresses.
    pub(crate) fn announce(&mut self, Announce(advert, bound): Announce, host: Host<'_>) -> Effect {
        let located = host.with_addresses(&advert, &bound);
        if let Some(mdns) = &self.mdns {
            // The interfaces determine which of all addresses are meant.
            mdns.announce(Advert { addresses: vec![bound.summary()], ..advert.clone() });
        }
        self.services.insert(advert.instance, (advert, bound));
        Effect::Offer(located)
    }

    /// Offers a service at the addresses where its endpoint listens now.
    pub(crate) fn relocate(&self, instance: InstanceId, host: Host<'_>) -> Option<Effect> {
        let (advert, bound) = self.services.get(&instance)?;
        Some(Effect::Offer(host.with_addresses(advert, bound)))
    }

    /// Offers all services at the addresses that this host has now.
    pub(crate) fn relocate_all(&self, host: Host<'_>) -> Vec<Effect> {
        let adverts = self.services.values().map(|(advert, bound)| host.with_addresses(advert, bound));
        adverts.map(Effect::Offer).collect()
    }

    /// Withdraws a service from the mesh.
    pub(crate) fn withdraw(&mut self, Withdraw(instance): Withdraw) -> Effect {
        self.services.remove(&instance);
        if let Some(mdns) = &self.mdns {
            mdns.withdraw(instance);
        }
        Effect::Remove(instance, DownReason::Withdrawn)
    }

    /// Withdraws all services from the mesh. mDNS has yet to send its goodbye: take the announcer with
    /// [`AnnouncedServices::take_mdns`], and close it.
    pub(crate) fn withdraw_all(&mut self) -> Vec<Effect> {
        let services = std::mem::take(&mut self.services).into_keys();
        services.map(|instance| Effect::Remove(instance, DownReason::Withdrawn)).collect()
    }

    /// Takes the announcer, to close it.
    pub(crate) fn take_mdns(&mut self) -> Option<Mdns> {
        self.mdns.take()
    }

    /// Sets the interfaces on which services are announced.
    pub(crate) fn use_nics(&self, nics: &InterfaceTable) {
        if let Some(mdns) = &self.mdns {
            mdns.use_nics(nics);
        }
    }

    /// Announces everything once more, because the addresses of this host have changed.
    pub(crate) fn repeat(&self) {
        if let Some(mdns) = &self.mdns {
            mdns.repeat();
        }
    }

    /// Returns the number of mDNS daemons that were replaced.
    pub(crate) fn mdns_restarts(&self) -> u64 {
        self.mdns.as_ref().map_or(0, Mdns::replaced)
    }
}

/// The addresses of this host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'a> {
    /// The chosen interfaces that are connected, or were so not long ago.
    pub(crate) connected: &'a [Interface],
    /// All addresses, in order of preference.
    pub(crate) addresses: &'a [OwnAddress],
}

impl<'a> Host<'a> {
    /// Returns the advert of a service that listens at `bound`, with its current addresses.
    fn with_addresses(self, advert: &Advert, bound: &BoundAddresses) -> Advert {
        let mut addresses: Vec<SocketAddr> = match bound {
            BoundAddresses::At(address) if !address.ip().is_unspecified() => vec![*address],
            _ => self.announced(bound.port()).filter(|address| bound.accepts(*address)).collect(),
        };
        // Loopback is useful on the same host only.
        let rank = |ip: IpAddr| self.addresses.iter().position(|own| own.ip == ip);
        addresses.sort_by_cached_key(|address| {
            let ip = address.ip();
            (ip.is_loopback(), needs_zone(ip), ip.is_ipv6(), rank(ip))
        });
        addresses.truncate(MAX_RECEIVED_ADDRESSES);
        Advert { addresses, ..advert.clone() }
    }

    /// Returns the addresses of this host with this port. A link-local IPv6 address is valid on its link only, and so is
    /// announced only where an interface has no other address; the port of a bridge has the addresses of the bridge.
    fn announced(self, port: u16) -> impl Iterator<Item = SocketAddr> {
        let own = self.connected;
        let has_other = move |name: &str| {
            own.iter().any(|interface| interface.name == name && !is_link_local(interface.address.ip))
        };
        let announced = serving(own).into_iter().filter(move |interface| {
            let name = &interface.name;
            !needs_zone(interface.address.ip) || !(has_other(name) || kind::is_port(name))
        });
        announced.map(move |interface| interface.socket_addr(port))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use meshzero_proto::id::NodeId;
    use meshzero_proto::name::{MeshName, ServiceName};

    use super::*;

    fn interface(ip: &str) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 };
        Interface { name: "eth0".into(), index: Some(2), address }
    }

    #[test]
    fn a_service_at_all_addresses_follows_the_addresses_of_its_host() {
        let advert = Advert {
            instance: InstanceId::from_random([1; 16]),
            node: NodeId::from_random([2; 16]),
            mesh: MeshName::default(),
            service: ServiceName::new("arm").expect("a name"),
            addresses: Vec::new(),
            leaving: false,
        };
        let instance = advert.instance;
        let everywhere = BoundAddresses::At((Ipv4Addr::UNSPECIFIED, 9_000).into());
        let mut services = AnnouncedServices::new(None);
        let (before, after) = ([interface("10.0.0.1")], [interface("10.0.0.7")]);
        let host = |connected| Host { connected, addresses: &[] };
        let at = |ip: [u8; 4]| Advert { addresses: vec![(ip, 9_000).into()], ..advert.clone() };
        let announce = Announce(advert.clone(), everywhere);
        assert_eq!(services.announce(announce, host(&before)), Effect::Offer(at([10, 0, 0, 1])));
        assert_eq!(services.relocate_all(host(&after)), [Effect::Offer(at([10, 0, 0, 7]))]);
        assert_eq!(services.withdraw(Withdraw(instance)), Effect::Remove(instance, DownReason::Withdrawn));
        assert_eq!(services.relocate(instance, host(&after)), None);
    }
}
