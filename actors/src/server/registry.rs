//! The services that this node offers: a table that the router writes, and that connections and callers read without
//! going through the router.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use meshzero_proto::id::InstanceId;

use crate::net::bound_addresses::BoundAddresses;
use crate::net::zone::ZonedAddress;
use crate::server::service::Service;
use crate::telemetry::stats::ServiceStats;

/// The services of one node.
#[derive(Default)]
pub(crate) struct ServiceRegistry {
    services: ArcSwap<Vec<(Arc<Service>, BoundAddresses)>>,
}

impl ServiceRegistry {
    /// The service with this identity.
    pub(crate) fn get(&self, instance: InstanceId) -> Option<Arc<Service>> {
        let services = self.services.load();
        let mut services = services.iter();
        services
            .find(|(service, _)| service.identity.instance == instance)
            .map(|(service, _)| Arc::clone(service))
    }

    /// The service whose endpoint has this `address`.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Arc<Service>> {
        let services = self.services.load();
        let mut services = services.iter();
        services.find(|(_, bound)| bound.is_meant_by(address)).map(|(service, _)| Arc::clone(service))
    }

    /// The number of services that are announced.
    pub(crate) fn listed(&self) -> usize {
        self.services.load().iter().filter(|(service, _)| service.identity.name.is_some()).count()
    }

    /// The statistics of each service, in the order of their names. One without a name is listed by its address.
    pub(crate) fn stats(&self) -> Vec<ServiceStats> {
        let services = self.services.load();
        let mut stats: Vec<_> = services
            .iter()
            .map(|(service, bound)| {
                let stats = service.stats();
                match stats.service.is_empty() {
                    true => ServiceStats { service: ZonedAddress(bound.summary()).to_string(), ..stats },
                    false => stats,
                }
            })
            .collect();
        stats.sort_by(|one, other| one.service.cmp(&other.service));
        stats
    }

    pub(crate) fn add(&self, service: &Arc<Service>, bound: BoundAddresses) {
        self.change(|services| services.push((Arc::clone(service), bound.clone())));
    }

    /// As [`ServiceRegistry::add`], until the returned guard is dropped.
    pub(crate) fn list(&self, service: &Arc<Service>, bound: BoundAddresses) -> impl Drop {
        struct RemoveOnDrop<'a>(&'a ServiceRegistry, InstanceId);
        impl Drop for RemoveOnDrop<'_> {
            fn drop(&mut self) {
                self.0.remove(self.1);
            }
        }
        self.add(service, bound);
        RemoveOnDrop(self, service.identity.instance)
    }

    /// Closes all services, for a node that ends without having left.
    pub(crate) fn close(&self) {
        self.services.load().iter().for_each(|(service, _)| service.close());
    }

    pub(crate) fn remove(&self, instance: InstanceId) {
        self.change(|services| services.retain(|(service, _)| service.identity.instance != instance));
    }

    fn change(&self, change: impl Fn(&mut Vec<(Arc<Service>, BoundAddresses)>)) {
        self.services.rcu(|services| {
            let mut services = Vec::clone(services);
            change(&mut services);
            services
        });
    }
}
