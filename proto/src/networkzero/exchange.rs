//! What crosses between a mesh and NetworkZero: which services each side is told of, so that nothing goes round in circles.
//!
//! A name that both sides have stays where it is: each side goes on to find its own. Of several gateways on one network one
//! brings a service over, the one whose node has the lowest identity, should two have begun at the same time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddrV4};

use crate::discovery::directory::Instance;
use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

use super::{LIFETIME, ServiceAdvert};

/// What is known of the mesh, as far as it matters here.
#[derive(Debug)]
pub struct Exchange {
    own: NodeId,
    services: BTreeMap<InstanceId, ExchangedService>,
    /// The names that this gateway brings over, and the instances that they have become.
    brought: BTreeMap<String, Option<InstanceId>>,
}

#[derive(Debug)]
struct ExchangedService {
    node: NodeId,
    name: String,
    addresses: Vec<SocketAddrV4>,
}

impl Exchange {
    /// For the gateway of the node `own`.
    pub fn new(own: NodeId) -> Self {
        Self { own, services: BTreeMap::new(), brought: BTreeMap::new() }
    }

    /// The mesh has this service, or has it elsewhere now.
    pub fn up(&mut self, instance: &Instance) {
        let addresses = instance.addresses.iter().filter_map(|address| match address.ip().to_canonical() {
            IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, address.port())),
            // NetworkZero knows no others.
            IpAddr::V6(_) => None,
        });
        let service = ExchangedService {
            node: instance.node,
            name: instance.service.to_string(),
            addresses: addresses.filter(|address| !address.ip().is_unspecified()).collect(),
        };
        self.services.insert(instance.id, service);
    }

    /// The mesh has it no more.
    pub fn down(&mut self, instance: InstanceId) {
        self.services.remove(&instance);
    }

    /// The gateway begins to bring over this name.
    pub fn begin(&mut self, name: &str) {
        self.brought.insert(name.to_owned(), None);
    }

    /// The name has become this instance, or is none at the moment.
    pub fn bring(&mut self, name: &str, instance: Option<InstanceId>) {
        if let Some(brought) = self.brought.get_mut(name) {
            *brought = instance;
        }
    }

    /// The gateway does not bring over this name any more.
    pub fn end(&mut self, name: &str) {
        self.brought.remove(name);
    }

    /// What NetworkZero is told of, beside what its own programs advertise.
    pub fn announced<'a>(
        &self,
        natives: impl IntoIterator<Item = (&'a str, SocketAddrV4)>,
    ) -> BTreeMap<String, SocketAddrV4> {
        let natives: BTreeMap<_, _> =
            natives.into_iter().filter(|(_, address)| !self.is_of_mesh(*address)).collect();
        let mut announced = BTreeMap::new();
        // In the order of their identities, so that every gateway chooses the same of several.
        for (id, service) in &self.services {
            let is_free =
                !natives.contains_key(service.name.as_str()) && !announced.contains_key(&service.name);
            if is_free
                && !self.is_brought(*id, service)
                && let Some(address) = service.address()
                && can_be_announced(&service.name, address)
            {
                announced.insert(service.name.clone(), address);
            }
        }
        announced
    }

    /// What the mesh is to be told of, by name: what programs of NetworkZero advertise that nobody else has brought over.
    pub fn wanted<'a>(
        &self,
        natives: impl IntoIterator<Item = (&'a str, SocketAddrV4)>,
    ) -> BTreeMap<ServiceName, SocketAddrV4> {
        let wanted = natives.into_iter().filter(|(name, address)| {
            let is_brought = self.brought.contains_key(*name);
            let mut others = self
                .services
                .iter()
                .filter(|(id, service)| service.name == *name && !self.is_brought(**id, service));
            let gives_way = others.any(|(_, other)| !is_brought || other.node < self.own);
            !gives_way && !self.is_of_mesh(*address)
        });
        // A name that the mesh cannot have, such as a very long one, stays where it is.
        wanted.filter_map(|(name, address)| Some((ServiceName::new(name).ok()?, address))).collect()
    }

    /// Whether a service of the mesh is one that this gateway brought over. Discovery may know it before the gateway has its
    /// identity.
    fn is_brought(&self, id: InstanceId, service: &ExchangedService) -> bool {
        let brought = self.brought.get(&service.name);
        service.node == self.own
            && brought.is_some_and(|instance| instance.is_none_or(|instance| instance == id))
    }

    /// Whether an endpoint of the mesh listens there: then another gateway has announced it.
    fn is_of_mesh(&self, address: SocketAddrV4) -> bool {
        self.services.values().any(|service| service.addresses.contains(&address))
    }
}

impl ExchangedService {
    /// Where programs of other hosts reach it, if anywhere.
    fn address(&self) -> Option<SocketAddrV4> {
        let elsewhere = self.addresses.iter().find(|address| !address.ip().is_loopback());
        elsewhere.or(self.addresses.first()).copied()
    }
}

fn can_be_announced(name: &str, address: SocketAddrV4) -> bool {
    ServiceAdvert { name: name.to_owned(), address, lifetime: LIFETIME }.to_bytes().is_some()
}
