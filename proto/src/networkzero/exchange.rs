//! The exchange of services between a mesh and NetworkZero: the services announced on each side, without loops.
//!
//! A name that exists on both sides is not exchanged: each side continues to find its own. Of several gateways on one network
//! only one imports a service: the one whose node has the lowest identity, if two begin at the same time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddrV4};

use crate::discovery::directory::Instance;
use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

use super::{LIFETIME, ServiceAdvert};

/// The services of the mesh, and those imported into it.
#[derive(Debug)]
pub struct Exchange {
    own: NodeId,
    services: BTreeMap<InstanceId, ExchangedService>,
    /// The names that this gateway imports, and the instances that they have become.
    imported: BTreeMap<String, Option<InstanceId>>,
}

#[derive(Debug)]
struct ExchangedService {
    node: NodeId,
    name: String,
    addresses: Vec<SocketAddrV4>,
}

impl Exchange {
    /// Creates the exchange of the gateway on node `own`.
    pub fn new(own: NodeId) -> Self {
        Self { own, services: BTreeMap::new(), imported: BTreeMap::new() }
    }

    /// Records that the mesh has this service, or has it at another address now.
    pub fn up(&mut self, instance: &Instance) {
        let addresses = instance.addresses.iter().filter_map(|address| match address.ip().to_canonical() {
            IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, address.port())),
            // NetworkZero supports IPv4 only.
            IpAddr::V6(_) => None,
        });
        let service = ExchangedService {
            node: instance.node,
            name: instance.service.to_string(),
            addresses: addresses.filter(|address| !address.ip().is_unspecified()).collect(),
        };
        self.services.insert(instance.id, service);
    }

    /// Records that the mesh no longer has this service.
    pub fn down(&mut self, instance: InstanceId) {
        self.services.remove(&instance);
    }

    /// Records that the gateway begins to import this name.
    pub fn begin_import(&mut self, name: &str) {
        self.imported.insert(name.to_owned(), None);
    }

    /// Records the instance that an imported name has become; `None` while it has none.
    pub fn set_imported(&mut self, name: &str, instance: Option<InstanceId>) {
        if let Some(imported) = self.imported.get_mut(name) {
            *imported = instance;
        }
    }

    /// Records that the gateway no longer imports this name.
    pub fn end_import(&mut self, name: &str) {
        self.imported.remove(name);
    }

    /// Returns the services of the mesh to announce to NetworkZero.
    pub fn announced<'a>(
        &self,
        natives: impl IntoIterator<Item = (&'a str, SocketAddrV4)>,
    ) -> BTreeMap<String, SocketAddrV4> {
        let natives: BTreeMap<_, _> =
            natives.into_iter().filter(|(_, address)| !self.is_of_mesh(*address)).collect();
        let mut announced = BTreeMap::new();
        // In the order of identities, so that every gateway chooses the same one of several.
        for (id, service) in &self.services {
            let is_free =
                !natives.contains_key(service.name.as_str()) && !announced.contains_key(&service.name);
            if is_free
                && !self.is_imported(*id, service)
                && let Some(address) = service.address()
                && can_be_announced(&service.name, address)
            {
                announced.insert(service.name.clone(), address);
            }
        }
        announced
    }

    /// Returns the services to announce to the mesh, by name: those of NetworkZero programs that no other gateway has imported.
    pub fn to_import<'a>(
        &self,
        natives: impl IntoIterator<Item = (&'a str, SocketAddrV4)>,
    ) -> BTreeMap<ServiceName, SocketAddrV4> {
        let importable = natives.into_iter().filter(|(name, address)| {
            let is_importing = self.imported.contains_key(*name);
            let mut others = self
                .services
                .iter()
                .filter(|(id, service)| service.name == *name && !self.is_imported(**id, service));
            let yields = others.any(|(_, other)| !is_importing || other.node < self.own);
            !yields && !self.is_of_mesh(*address)
        });
        // A name that is not valid in the mesh, such as a very long one, is not imported.
        importable.filter_map(|(name, address)| Some((ServiceName::new(name).ok()?, address))).collect()
    }

    /// Returns true if this gateway imported a service of the mesh. Discovery may know it before the gateway has its identity.
    fn is_imported(&self, id: InstanceId, service: &ExchangedService) -> bool {
        let imported = self.imported.get(&service.name);
        service.node == self.own
            && imported.is_some_and(|instance| instance.is_none_or(|instance| instance == id))
    }

    /// Returns true if an endpoint of the mesh listens at the address: then another gateway has announced it.
    fn is_of_mesh(&self, address: SocketAddrV4) -> bool {
        self.services.values().any(|service| service.addresses.contains(&address))
    }
}

impl ExchangedService {
    /// Returns the address at which programs of other hosts reach it, if there is one.
    fn address(&self) -> Option<SocketAddrV4> {
        let not_loopback = self.addresses.iter().find(|address| !address.ip().is_loopback());
        not_loopback.or(self.addresses.first()).copied()
    }
}

fn can_be_announced(name: &str, address: SocketAddrV4) -> bool {
    ServiceAdvert { name: name.to_owned(), address, lifetime: LIFETIME }.to_bytes().is_some()
}
