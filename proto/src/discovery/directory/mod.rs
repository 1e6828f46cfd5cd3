//! What a node knows about the services of its mesh, and how each thing heard, proved or lost changes that.
//!
//! What is *heard* is a hint that anybody on the network may forge. What is *verified* was told by the node itself
//! over a connection whose handshake named it. Hints never displace, move or remove what is verified: they only raise
//! a *doubt*, and who owns the directory settles it by asking the endpoint.

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

/// For how long a direct reply or a handshake is taken as a sign of life.
const FRESH: Duration = Duration::from_secs(1);
/// A hint about an instance that was found dead is worth a question at most this often.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// For how long an instance that was found dead is remembered, so that old mDNS records do not bring it back: they
/// live for 120 s.
const REMEMBER_DEAD: Duration = Duration::from_secs(150);
/// How many names of other meshes are kept, to be shown to somebody who looks in the wrong one.
const OTHER_MESHES: usize = 16;

/// What one node knows of its mesh. Time is an argument; nothing here waits.
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
    displaced: u64,
    refused: u64,
    other_meshes: Vec<MeshName>,
}

impl Directory {
    /// An empty directory of `node` in `mesh`.
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
            displaced: 0,
            refused: 0,
            other_meshes: Vec::new(),
        }
    }

    /// Sorts all addresses by those that this host has now.
    pub fn set_own_addresses(&mut self, own: Vec<OwnAddress>) {
        self.own = own.into();
        for entry in self.entries.values_mut() {
            entry.arrange(&self.own);
        }
    }

    /// Takes in an advert: of its addresses those that can be meant for this host, best first.
    pub fn hear(&mut self, advert: Advert, source: AdvertSource, now: Instant) -> Changes {
        if advert.mesh != self.mesh {
            self.note_other_mesh(advert.mesh);
            return Changes::default();
        }
        let local = source == AdvertSource::Local;
        if (advert.node == self.node) != local {
            // The echo of what this node said itself, or somebody else in its name.
            return Changes::default();
        }
        if advert.leaving {
            return self.hear_goodbye(advert.instance, source, now);
        }
        let own = Arc::clone(&self.own);
        if self.entries.contains_key(&advert.instance) {
            let heard = self.change(advert.instance, |entry| entry.hear(advert, source, &own, now));
            return heard.unwrap_or_default();
        }
        if !local && self.hidden.knows_better(&advert, source) {
            // It is no more than a reminder of what is known.
            return self.take_in(advert.instance);
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

    /// A name is asked for exactly: its instances are taken in, also those of nodes that have as many as are kept of one.
    pub fn seek(&mut self, name: &ServiceName, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for hidden in self.hidden.seek(name, now) {
            changes.append(self.take_in(hidden));
        }
        changes
    }

    /// How many instances are known of and not kept, because their nodes have as many as are kept of one
    /// ([`Limits::instances_per_node`]). They are found by their exact names.
    pub fn hidden(&self) -> usize {
        self.hidden.count()
    }

    /// The number of them that are services of `filter`.
    pub fn hidden_of(&self, filter: &Filter) -> usize {
        self.hidden.count_of(filter)
    }

    /// The endpoint at `address` proved, by its handshake, to be `instance`.
    pub fn verified(&mut self, instance: InstanceId, address: SocketAddr, now: Instant) -> Changes {
        let own = Arc::clone(&self.own);
        self.change(instance, |entry| entry.verified(address, &own, now)).unwrap_or_default()
    }

    /// The endpoint of `instance` may be at `address` as well, although it was not advertised there. Such an address is the first to be cut.
    pub fn guess(&mut self, instance: InstanceId, address: SocketAddr) -> Changes {
        let own = Arc::clone(&self.own);
        self.change(instance, |entry| entry.guess(address, &own)).unwrap_or_default()
    }

    /// `instance` is known to be gone. A remote one is remembered for a while, so that old records do not show it
    /// again without proof.
    pub fn gone(&mut self, instance: InstanceId, why: DownReason, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let is_local = self.change(instance, |entry| {
            if entry.is_shown() {
                changes.events.push(DirectoryEvent::Down { instance: entry.instance.clone(), why });
            }
            entry.standing = EntryState::Doubted { asked: now };
            if why != DownReason::Unreachable {
                entry.by_mdns = false;
                entry.told_by.clear();
            }
            entry.instance.local
        });
        if is_local == Some(true) {
            self.remove(instance);
        }
        changes
    }

    /// The process behind `node` is gone, with all its services. `why` says how that became known of each.
    pub fn node_gone(
        &mut self,
        node: NodeId,
        why: impl Fn(InstanceId) -> DownReason,
        now: Instant,
    ) -> Changes {
        let mut changes = Changes::default();
        self.hidden.forget_node(node);
        for instance in self.nodes.get(&node).cloned().unwrap_or_default() {
            changes.append(self.gone(instance, why(instance), now));
        }
        changes
    }

    /// `instance` is not heard of by `source` any longer: mDNS let go of it, or a peer said so.
    pub fn unheard(&mut self, instance: InstanceId, source: AdvertSource, now: Instant) -> Changes {
        self.hear_goodbye(instance, source, now)
    }

    /// The link to `peer` ended: what only it had told, and nothing has proved, is not known any longer.
    pub fn peer_lost(&mut self, peer: NodeId, now: Instant) -> Changes {
        self.hidden.forget_told_by(peer);
        let mut orphans = Vec::new();
        for (id, entry) in &mut self.entries {
            entry.told_by.retain(|told| *told != peer);
            let alone = entry.told_by.is_empty() && !entry.by_mdns && !entry.instance.local;
            if alone && entry.standing == EntryState::Heard {
                orphans.push(*id);
            }
        }
        let mut changes = Changes::default();
        for orphan in orphans {
            changes.append(self.gone(orphan, DownReason::Unreachable, now));
        }
        changes
    }

    /// Lets go of instances that were found dead long ago.
    pub fn expire(&mut self, now: Instant) {
        self.hidden.expire(now);
        let old = |entry: &DirectoryEntry| {
            !entry.is_shown() && now.saturating_duration_since(entry.heard_at) >= REMEMBER_DEAD
        };
        let expired: Vec<_> = self.entries.iter().filter(|(_, e)| old(e)).map(|(id, _)| *id).collect();
        for id in expired {
            self.remove(id);
        }
    }

    fn hear_goodbye(&mut self, instance: InstanceId, source: AdvertSource, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let Some(entry) = self.entries.get_mut(&instance) else {
            self.hidden.hear_goodbye(instance, source);
            return changes;
        };
        if entry.instance.local && source != AdvertSource::Local {
            // This node knows best what it offers.
            return changes;
        }
        match source {
            // The node itself says so.
            AdvertSource::Peer(peer) if peer == entry.instance.node => {
                return self.gone(instance, DownReason::Withdrawn, now);
            }
            AdvertSource::Peer(peer) | AdvertSource::Caller(peer) => {
                entry.told_by.retain(|told| *told != peer)
            }
            AdvertSource::Mdns => entry.by_mdns = false,
            AdvertSource::Reply(_) => {}
            AdvertSource::Local => return self.gone(instance, DownReason::Withdrawn, now),
        }
        if entry.is_shown() {
            changes.doubts.push(instance);
        }
        changes
    }

    fn note_other_mesh(&mut self, mesh: MeshName) {
        if self.other_meshes.len() < OTHER_MESHES && !self.other_meshes.contains(&mesh) {
            self.other_meshes.push(mesh);
        }
    }
}
