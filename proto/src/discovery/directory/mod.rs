//! The directory of the services of a mesh, and the effects of reports, proofs and losses on it.
//!
//! A *reported* instance is a hint that anyone on the network may forge. A *verified* one was reported by the node itself over a
//! connection whose handshake named it. Hints never displace, move or remove a verified instance: they only raise a *doubt*,
//! which the owner of the directory settles by probing the endpoint.

mod capacity;
mod entry;
mod event;
mod eviction;
mod filter;
mod hidden;
mod lookup;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use event::{AdvertSource, Changes, DirectoryEvent, DownReason, Instance};
pub use filter::Filter;
pub use pending::Pending;

use crate::discovery::addresses::OwnAddress;
use crate::discovery::advert::Advert;
use crate::id::{InstanceId, NodeId};
use crate::limits::Limits;
use crate::name::{MeshName, ServiceName};
use entry::{DirectoryEntry, EntryState};
use eviction::EvictionOrder;
use hidden::HiddenInstances;

/// The time for which a direct reply or a handshake counts as a sign of life.
const FRESH: Duration = Duration::from_secs(1);
/// The minimum time between two probes of an instance that was found dead, when hints about it arrive.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The time for which an instance that was found dead is remembered, so that old mDNS records do not restore it: they live for
/// 120 s.
const REMEMBER_DEAD: Duration = Duration::from_secs(150);
/// The maximum number of names of other meshes that are stored, for a user who searches the wrong one.
const MAX_OTHER_MESHES: usize = 16;

/// The services of a mesh as one node knows them. Time is an argument; nothing here waits.
#[derive(Debug)]
pub struct Directory {
    mesh: MeshName,
    node: NodeId,
    /// The addresses of this host, by which those of others are sorted.
    own: Arc<[OwnAddress]>,
    capacity: usize,
    per_node: usize,
    per_source: usize,
    entries: BTreeMap<InstanceId, DirectoryEntry>,
    names: BTreeMap<ServiceName, Vec<InstanceId>>,
    nodes: BTreeMap<NodeId, Vec<InstanceId>>,
    claims: EvictionOrder,
    hidden: HiddenInstances,
    evicted: u64,
    refused: u64,
    other_meshes: Vec<MeshName>,
}

impl Directory {
    /// Creates an empty directory of `node` in `mesh`.
    pub fn new(mesh: MeshName, node: NodeId, limits: &Limits) -> Self {
        Self {
            mesh,
            node,
            own: Arc::default(),
            capacity: limits.instances,
            per_node: limits.instances_per_node,
            per_source: limits.instances_per_source,
            entries: BTreeMap::new(),
            names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            claims: EvictionOrder::default(),
            hidden: HiddenInstances::default(),
            evicted: 0,
            refused: 0,
            other_meshes: Vec::new(),
        }
    }

    /// Sorts all addresses by the current addresses of this host.
    pub fn set_own_addresses(&mut self, own: Vec<OwnAddress>) {
        self.own = own.into();
        for entry in self.entries.values_mut() {
            entry.arrange(&self.own);
        }
    }

    /// Adds an advert, with those of its addresses that can be valid from this host, best first.
    pub fn add_advert(&mut self, advert: Advert, source: AdvertSource, now: Instant) -> Changes {
        if advert.mesh != self.mesh {
            self.record_other_mesh(advert.mesh);
            return Changes::default();
        }
        let local = source == AdvertSource::Local;
        if (advert.node == self.node) != local {
            // The echo of this node's own advert, or an impostor's.
            return Changes::default();
        }
        if advert.leaving {
            return self.handle_withdrawal(advert.instance, source, now);
        }
        let own = Arc::clone(&self.own);
        if self.entries.contains_key(&advert.instance) {
            let changes = self.change(advert.instance, |entry| entry.apply_advert(advert, source, &own, now));
            return changes.unwrap_or_default();
        }
        if !local && self.hidden.has_more_credible(&advert, source) {
            // The report has no new information.
            return self.restore(advert.instance);
        }
        let mut changes = Changes::default();
        if !local && !self.make_room(&advert, source, now, &mut changes) {
            self.refused += 1;
            return changes;
        }
        self.hidden.forget(advert.instance);
        let entry = DirectoryEntry::new(advert, source, &own, now);
        changes.events.push(DirectoryEvent::Up(entry.instance.clone()));
        self.insert(entry);
        changes
    }

    /// Handles an exact request for a name: its instances are stored, including those of nodes that have reached the limit of
    /// instances per node.
    pub fn request_name(&mut self, name: &ServiceName, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for hidden in self.hidden.request_name(name, now) {
            changes.append(self.restore(hidden));
        }
        changes
    }

    /// Returns the number of known instances that are hidden because their nodes have reached the limit
    /// ([`Limits::instances_per_node`]). They are found by their exact names.
    pub fn hidden(&self) -> usize {
        self.hidden.count()
    }

    /// Returns the number of hidden instances that `filter` selects.
    pub fn hidden_of(&self, filter: &Filter) -> usize {
        self.hidden.count_of(filter)
    }

    /// Records that the endpoint at `address` proved, by its handshake, to be `instance`.
    pub fn record_proof(&mut self, instance: InstanceId, address: SocketAddr, now: Instant) -> Changes {
        let own = Arc::clone(&self.own);
        self.change(instance, |entry| entry.verified(address, &own, now)).unwrap_or_default()
    }

    /// Records that the endpoint of `instance` may be at `address` as well, although it was not advertised there. Such an address
    /// is the first to be dropped.
    pub fn add_guess(&mut self, instance: InstanceId, address: SocketAddr) -> Changes {
        let own = Arc::clone(&self.own);
        self.change(instance, |entry| entry.guess(address, &own)).unwrap_or_default()
    }

    /// Removes an `instance` that is known to be gone. A remote one is remembered for a while, so that old records do not restore
    /// it without proof.
    pub fn remove_instance(&mut self, instance: InstanceId, reason: DownReason, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let is_local = self.change(instance, |entry| {
            if entry.is_shown() {
                changes.events.push(DirectoryEvent::Down { instance: entry.instance.clone(), reason });
            }
            entry.state = EntryState::Doubted { probed_at: now };
            if reason != DownReason::Unreachable {
                entry.by_mdns = false;
                entry.reported_by.clear();
            }
            entry.instance.local
        });
        if is_local == Some(true) {
            self.remove(instance);
        }
        changes
    }

    /// Removes all services of the process behind `node`, which is gone. `reason` gives the reason for each.
    pub fn remove_node(
        &mut self,
        node: NodeId,
        reason: impl Fn(InstanceId) -> DownReason,
        now: Instant,
    ) -> Changes {
        let mut changes = Changes::default();
        self.hidden.forget_node(node);
        for instance in self.nodes.get(&node).cloned().unwrap_or_default() {
            changes.append(self.remove_instance(instance, reason(instance), now));
        }
        changes
    }

    /// Records that `source` no longer reports `instance`: its mDNS record expired, or a peer reported it gone.
    pub fn withdraw_report(&mut self, instance: InstanceId, source: AdvertSource, now: Instant) -> Changes {
        self.handle_withdrawal(instance, source, now)
    }

    /// Handles the end of the link to `peer`: unproved instances that only this peer had reported are removed.
    pub fn remove_peer(&mut self, peer: NodeId, now: Instant) -> Changes {
        self.hidden.forget_reported_by(peer);
        let mut orphans = Vec::new();
        for (id, entry) in &mut self.entries {
            entry.reported_by.retain(|reporter| *reporter != peer);
            let is_unreported = entry.reported_by.is_empty() && !entry.by_mdns && !entry.instance.local;
            if is_unreported && entry.state == EntryState::Unverified {
                orphans.push(*id);
            }
        }
        let mut changes = Changes::default();
        for orphan in orphans {
            changes.append(self.remove_instance(orphan, DownReason::Unreachable, now));
        }
        changes
    }

    /// Removes instances that were found dead long ago.
    pub fn expire(&mut self, now: Instant) {
        self.hidden.expire(now);
        let is_old = |entry: &DirectoryEntry| {
            !entry.is_shown() && now.saturating_duration_since(entry.reported_at) >= REMEMBER_DEAD
        };
        let expired: Vec<_> = self.entries.iter().filter(|(_, e)| is_old(e)).map(|(id, _)| *id).collect();
        for id in expired {
            self.remove(id);
        }
    }

    fn handle_withdrawal(&mut self, instance: InstanceId, source: AdvertSource, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let Some(entry) = self.entries.get_mut(&instance) else {
            self.hidden.handle_withdrawal(instance, source);
            return changes;
        };
        if entry.instance.local && source != AdvertSource::Local {
            // This node is the authority on its own services.
            return changes;
        }
        match source {
            // The node itself reports it.
            AdvertSource::Peer(peer) if peer == entry.instance.node => {
                return self.remove_instance(instance, DownReason::Withdrawn, now);
            }
            AdvertSource::Peer(peer) | AdvertSource::Caller(peer) => {
                entry.reported_by.retain(|reporter| *reporter != peer)
            }
            AdvertSource::Mdns => entry.by_mdns = false,
            AdvertSource::Reply(_) => {}
            AdvertSource::Local => return self.remove_instance(instance, DownReason::Withdrawn, now),
        }
        if entry.is_shown() {
            changes.doubts.push(instance);
        }
        changes
    }

    fn record_other_mesh(&mut self, mesh: MeshName) {
        if self.other_meshes.len() < MAX_OTHER_MESHES && !self.other_meshes.contains(&mesh) {
            self.other_meshes.push(mesh);
        }
    }
}
