//! The services that this node offers: a table that the router writes, and that connections and callers read without
//! asking it.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use meshzero_proto::id::InstanceId;

use crate::interfaces::Interfaces;
use crate::service::Service;
use crate::stats::ServiceStats;

/// The services of one node.
#[derive(Default)]
pub struct Own {
    services: ArcSwap<Vec<(Arc<Service>, SocketAddr)>>,
}

impl Own {
    /// The service with this identity.
    pub fn get(&self, instance: InstanceId) -> Option<Arc<Service>> {
        let services = self.services.load();
        let mut services = services.iter();
        services
            .find(|(service, _)| service.identity.instance == instance)
            .map(|(service, _)| Arc::clone(service))
    }

    /// The service whose endpoint is meant by `address`.
    pub fn at(&self, address: SocketAddr) -> Option<Arc<Service>> {
        let services = self.services.load();
        let mut same_port = services.iter().filter(|(_, bound)| bound.port() == address.port());
        // An endpoint bound to every address is meant only if the address is one of this host.
        let is_own = || {
            let own = Interfaces::default().list().unwrap_or_default();
            own.iter().any(|own| own.address.ip == address.ip())
        };
        same_port
            .find(|(_, bound)| bound.ip() == address.ip() || (bound.ip().is_unspecified() && is_own()))
            .map(|(service, _)| Arc::clone(service))
    }

    /// How many of them are announced.
    pub fn listed(&self) -> usize {
        self.services.load().iter().filter(|(service, _)| service.identity.name.is_some()).count()
    }

    /// What each has counted, in the order of their names. One without a name is called by its address.
    pub(crate) fn stats(&self) -> Vec<ServiceStats> {
        let services = self.services.load();
        let mut stats: Vec<_> = services
            .iter()
            .map(|(service, bound)| {
                let stats = service.stats();
                match stats.service.is_empty() {
                    true => ServiceStats { service: bound.to_string(), ..stats },
                    false => stats,
                }
            })
            .collect();
        stats.sort_by(|one, other| one.service.cmp(&other.service));
        stats
    }

    pub(crate) fn add(&self, service: &Arc<Service>, bound: SocketAddr) {
        self.change(|services| services.push((Arc::clone(service), bound)));
    }

    /// As [`Own::add`], until what is returned is dropped.
    pub(crate) fn list(&self, service: &Arc<Service>, bound: SocketAddr) -> impl Drop {
        struct Listed<'a>(&'a Own, InstanceId);
        impl Drop for Listed<'_> {
            fn drop(&mut self) {
                self.0.remove(self.1);
            }
        }
        self.add(service, bound);
        Listed(self, service.identity.instance)
    }

    pub(crate) fn remove(&self, instance: InstanceId) {
        self.change(|services| services.retain(|(service, _)| service.identity.instance != instance));
    }

    fn change(&self, change: impl Fn(&mut Vec<(Arc<Service>, SocketAddr)>)) {
        self.services.rcu(|services| {
            let mut services = Vec::clone(services);
            change(&mut services);
            services
        });
    }
}
