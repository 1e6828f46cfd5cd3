//! What a node knows about the services of its mesh, and how each thing heard, proved or lost changes that.
//!
//! What is *heard* is a hint that anybody on the network may forge. What is *verified* was told by the node itself
//! over a connection whose handshake named it. Hints never displace, move or remove what is verified: they only raise
//! a *doubt*, and who owns the directory settles it by asking the endpoint.

mod entry;
mod filter;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

pub use filter::Filter;
pub use pending::Pending;

use crate::advert::Advert;
use crate::id::{InstanceId, NodeId};
use crate::limits::Limits;
use crate::name::{MeshName, ServiceName};
use entry::{Entry, Standing};

/// For how long a direct reply or a handshake is taken as a sign of life.
const FRESH: Duration = Duration::from_secs(1);
/// A hint about an instance that was found dead is worth a question at most this often.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// For how long an instance that was found dead is remembered, so that old mDNS records do not bring it back: they
/// live for 120 s.
const REMEMBER_DEAD: Duration = Duration::from_secs(150);
/// How many names of other meshes are kept, to be shown to somebody who looks in the wrong one.
const OTHER_MESHES: usize = 16;

/// One instance of a service, as handed out to those who look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its identity.
    pub id: InstanceId,
    /// The node that offers it.
    pub node: NodeId,
    /// Its name.
    pub service: ServiceName,
    /// Where its endpoint listens; the address that answered last comes first.
    pub addresses: Vec<SocketAddr>,
    /// It is offered by this very node.
    pub local: bool,
}

impl Instance {
    /// The address to show to people, and to pass on as text: the best that is not loopback, where there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        let elsewhere = self.addresses.iter().find(|address| !address.ip().is_loopback());
        elsewhere.or(self.addresses.first()).copied()
    }
}

/// What changed in the directory, as told to those who watch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// An instance is there.
    Up(Instance),
    /// An instance is gone.
    Down {
        /// Which one, as it was last known.
        instance: Instance,
        /// How that became known.
        why: Why,
    },
    /// An instance is to be reached at other addresses than before.
    Moved(Instance),
}

impl DirectoryEvent {
    /// The instance that the event is about.
    pub fn instance(&self) -> &Instance {
        match self {
            Self::Up(instance) | Self::Moved(instance) | Self::Down { instance, .. } => instance,
        }
    }
}

/// How it became known that an instance is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its node said goodbye.
    Withdrawn,
    /// Its address answers no more, or another service answers there.
    Refused,
    /// Its addresses do not answer in time.
    Unreachable,
    /// The connection to its process broke and none of its endpoints answers.
    NodeDied,
    /// The directory is full, and this instance was only heard of, not proved.
    Displaced,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "it was withdrawn",
            Self::Refused => "its address does not answer any more",
            Self::Unreachable => "its addresses do not answer in time",
            Self::NodeDied => "its process has ended",
            Self::Displaced => "the directory is full",
        })
    }
}

/// Where an advert was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This node offers the service itself.
    Local,
    /// A multicast announcement, or what the mDNS cache remembers of one.
    Mdns,
    /// A direct reply to a question that this node asked just now.
    Reply,
    /// A node that this one dialled told it. What it tells of its own services is proved by the handshake.
    Peer(NodeId),
    /// A node that dialled this one told it, and has proved nothing.
    Caller(NodeId),
}

/// What one piece of news changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// For those who watch, in order.
    pub events: Vec<DirectoryEvent>,
    /// Instances about which something was claimed that only their endpoints can settle: ask them, then call
    /// [`Directory::verified`] or [`Directory::gone`].
    pub doubts: Vec<InstanceId>,
}

impl Changes {
    /// Adds what `later` changed.
    pub fn append(&mut self, mut later: Changes) {
        self.events.append(&mut later.events);
        self.doubts.append(&mut later.doubts);
    }
}

/// What one node knows of its mesh. Time is an argument; nothing here waits.
#[derive(Debug)]
pub struct Directory {
    mesh: MeshName,
    node: NodeId,
    capacity: usize,
    per_node: usize,
    entries: HashMap<InstanceId, Entry>,
    names: BTreeMap<ServiceName, Vec<InstanceId>>,
    nodes: HashMap<NodeId, Vec<InstanceId>>,
    other_meshes: Vec<MeshName>,
}

impl Directory {
    /// An empty directory of `node` in `mesh`.
    pub fn new(mesh: MeshName, node: NodeId, limits: &Limits) -> Self {
        Self {
            mesh,
            node,
            capacity: limits.instances,
            per_node: limits.instances_per_node,
            entries: HashMap::new(),
            names: BTreeMap::new(),
            nodes: HashMap::new(),
            other_meshes: Vec::new(),
        }
    }

    /// Takes in an advert.
    pub fn hear(&mut self, advert: Advert, source: Source, now: Instant) -> Changes {
        if advert.mesh != self.mesh {
            self.note_other_mesh(advert.mesh);
            return Changes::default();
        }
        let local = source == Source::Local;
        if (advert.node == self.node) != local {
            // The echo of what this node said itself, or somebody else in its name.
            return Changes::default();
        }
        if advert.leaving {
            return self.hear_goodbye(advert.instance, source, now);
        }
        if let Some(entry) = self.entries.get_mut(&advert.instance) {
            return entry.hear(advert, source, now);
        }
        let mut changes = Changes::default();
        if !local && !self.make_room(advert.node, &mut changes) {
            return changes;
        }
        let entry = Entry::new(advert, source, now);
        changes.events.push(DirectoryEvent::Up(entry.instance.clone()));
        self.insert(entry);
        changes
    }

    /// The endpoint at `address` proved, by its handshake, to be `instance`.
    pub fn verified(&mut self, instance: InstanceId, address: SocketAddr, now: Instant) -> Changes {
        self.entries.get_mut(&instance).map(|entry| entry.verified(address, now)).unwrap_or_default()
    }

    /// `instance` is known to be gone. A remote one is remembered for a while, so that old records do not show it
    /// again without proof.
    pub fn gone(&mut self, instance: InstanceId, why: Why, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let Some(entry) = self.entries.get_mut(&instance) else { return changes };
        if entry.is_shown() {
            changes.events.push(DirectoryEvent::Down { instance: entry.instance.clone(), why });
        }
        entry.standing = Standing::Doubted { asked: now };
        if why != Why::Unreachable {
            entry.by_mdns = false;
            entry.told_by.clear();
        }
        if entry.instance.local {
            self.remove(instance);
        }
        changes
    }

    /// The process behind `node` is gone, with all its services.
    pub fn node_gone(&mut self, node: NodeId, why: Why, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for instance in self.nodes.get(&node).cloned().unwrap_or_default() {
            changes.append(self.gone(instance, why, now));
        }
        changes
    }

    /// `instance` is not heard of by `source` any longer: mDNS let go of it, or a peer said so.
    pub fn unheard(&mut self, instance: InstanceId, source: Source, now: Instant) -> Changes {
        self.hear_goodbye(instance, source, now)
    }

    /// The link to `peer` ended: what only it had told, and nothing has proved, is not known any longer.
    pub fn peer_lost(&mut self, peer: NodeId, now: Instant) -> Changes {
        let mut orphans = Vec::new();
        for (id, entry) in &mut self.entries {
            entry.told_by.retain(|told| *told != peer);
            let alone = entry.told_by.is_empty() && !entry.by_mdns && !entry.instance.local;
            if alone && entry.standing == Standing::Heard {
                orphans.push(*id);
            }
        }
        let mut changes = Changes::default();
        for orphan in orphans {
            changes.append(self.gone(orphan, Why::Unreachable, now));
        }
        changes
    }

    /// Lets go of instances that were found dead long ago.
    pub fn expire(&mut self, now: Instant) {
        let old = |entry: &Entry| {
            !entry.is_shown() && now.saturating_duration_since(entry.heard_at) >= REMEMBER_DEAD
        };
        let expired: Vec<_> = self.entries.iter().filter(|(_, e)| old(e)).map(|(id, _)| *id).collect();
        for id in expired {
            self.remove(id);
        }
    }

    fn hear_goodbye(&mut self, instance: InstanceId, source: Source, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let Some(entry) = self.entries.get_mut(&instance) else { return changes };
        match source {
            // The node itself says so.
            Source::Peer(peer) if peer == entry.instance.node => {
                return self.gone(instance, Why::Withdrawn, now);
            }
            Source::Peer(peer) | Source::Caller(peer) => entry.told_by.retain(|told| *told != peer),
            Source::Mdns => entry.by_mdns = false,
            Source::Reply => {}
            Source::Local => return self.gone(instance, Why::Withdrawn, now),
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

/// What is known.
impl Directory {
    /// The instances of one name, those that proved themselves last first.
    pub fn get(&self, name: &str) -> Vec<Instance> {
        let ids = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut shown: Vec<&Entry> =
            ids.iter().filter_map(|id| self.entries.get(id)).filter(|e| e.is_shown()).collect();
        shown.sort_by_key(|entry| std::cmp::Reverse(entry.verified_at));
        shown.into_iter().map(|entry| entry.instance.clone()).collect()
    }

    /// Every instance, ordered by name.
    pub fn all(&self) -> Vec<Instance> {
        self.select(&Filter::everything())
    }

    /// The instances of a group: those whose name begins with `group` and `separator`, except the `exclude`d names.
    pub fn group(&self, group: &str, separator: &str, exclude: &[ServiceName]) -> Vec<Instance> {
        self.select(&Filter::group(group, separator, exclude.to_vec()))
    }

    /// The instances that somebody is interested in, ordered by name.
    pub fn select(&self, filter: &Filter) -> Vec<Instance> {
        let prefix = filter.prefix();
        self.names
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(name, _)| filter.includes(name))
            .flat_map(|(_, ids)| ids)
            .filter_map(|id| self.entries.get(id))
            .filter(|entry| entry.is_shown())
            .map(|entry| entry.instance.clone())
            .collect()
    }

    /// Where to ask for one name, best hope first: also instances that were found dead a while ago, and addresses that
    /// were only claimed.
    pub fn candidates(&self, name: &str) -> Vec<Instance> {
        let mut candidates = self.get(name);
        let ids = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let doubted = ids.iter().filter_map(|id| self.entries.get(id)).filter(|entry| !entry.is_shown());
        candidates.extend(doubted.map(|entry| entry.instance.clone()));
        for candidate in &mut candidates {
            self.extend_with_claims(candidate);
        }
        candidates
    }

    /// One instance, with the addresses that were only claimed last.
    pub fn candidate(&self, id: InstanceId) -> Option<Instance> {
        let mut candidate = self.entries.get(&id)?.instance.clone();
        self.extend_with_claims(&mut candidate);
        Some(candidate)
    }

    /// The instances of one node.
    pub fn of_node(&self, node: NodeId) -> Vec<Instance> {
        let ids = self.nodes.get(&node).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.candidate(*id)).collect()
    }

    /// The nodes that offer something, except this one.
    pub fn nodes(&self) -> Vec<NodeId> {
        let shown = |ids: &[InstanceId]| ids.iter().any(|id| self.is_shown(*id));
        self.nodes
            .iter()
            .filter(|(node, ids)| **node != self.node && shown(ids))
            .map(|(node, _)| *node)
            .collect()
    }

    /// How many nodes are known, this one included.
    pub fn nodes_known(&self) -> usize {
        self.nodes.len()
    }

    /// Whether anything is known of a node, be it that its services are gone.
    pub fn knows_node(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// Whether an instance is shown to those who look.
    pub fn is_shown(&self, id: InstanceId) -> bool {
        self.entries.get(&id).is_some_and(Entry::is_shown)
    }

    /// Whether the node of an instance proved it, or gave a sign of life for it just now.
    pub fn is_fresh(&self, id: InstanceId, now: Instant) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.is_fresh(now))
    }

    /// Whether an instance was proved by its own node, by a handshake or over a link.
    pub fn is_verified(&self, id: InstanceId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.standing == Standing::Verified)
    }

    /// Whether mDNS carries an instance; what it does not is worth handing on to others.
    pub fn is_heard_by_mdns(&self, id: InstanceId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.by_mdns)
    }

    /// Whether the link to `node` told of an instance.
    pub fn is_told_by(&self, id: InstanceId, node: NodeId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.told_by.contains(&node))
    }

    /// Shown instances that nothing has proved for `patience` since they were first heard of.
    pub fn unproved(&self, patience: Duration, now: Instant) -> Vec<Instance> {
        let unproved = |entry: &&Entry| {
            entry.standing == Standing::Heard
                && !entry.instance.local
                && now.saturating_duration_since(entry.since) >= patience
        };
        self.entries.values().filter(unproved).map(|entry| entry.instance.clone()).collect()
    }

    /// Instances that did not answer although their own node, as far as it is heard, still offers them; at most once a
    /// second each.
    pub fn worth_asking(&mut self, now: Instant) -> Vec<InstanceId> {
        let mut worth = Vec::new();
        for (id, entry) in &mut self.entries {
            if let Standing::Doubted { asked } = &mut entry.standing
                && entry.told_by.contains(&entry.instance.node)
                && now.saturating_duration_since(*asked) >= ASK_AGAIN
            {
                *asked = now;
                worth.push(*id);
            }
        }
        worth
    }

    /// The names of services that are known, ordered.
    pub fn service_names(&self) -> Vec<ServiceName> {
        let shown = |ids: &[InstanceId]| ids.iter().any(|id| self.is_shown(*id));
        self.names.iter().filter(|(_, ids)| shown(ids)).map(|(name, _)| name.clone()).collect()
    }

    /// Other meshes that were heard on the same network, at most 16.
    pub fn other_meshes(&self) -> &[MeshName] {
        &self.other_meshes
    }

    fn extend_with_claims(&self, candidate: &mut Instance) {
        if let Some(entry) = self.entries.get(&candidate.id) {
            candidate.addresses.extend_from_slice(&entry.claimed);
        }
    }
}

/// Room for what is new.
impl Directory {
    /// Makes room for an instance of `node`, at the cost of the oldest instance that was found dead or is unproved.
    fn make_room(&mut self, node: NodeId, changes: &mut Changes) -> bool {
        let of_node = self.nodes.get(&node).map_or(0, Vec::len);
        if of_node >= self.per_node {
            let victim = self.weakest(self.nodes.get(&node).into_iter().flatten());
            return self.displace(victim, changes);
        }
        if self.entries.len() >= self.capacity {
            let victim = self.weakest(self.entries.keys());
            return self.displace(victim, changes);
        }
        true
    }

    fn weakest<'a>(&self, ids: impl Iterator<Item = &'a InstanceId>) -> Option<InstanceId> {
        ids.filter_map(|id| self.entries.get(id))
            .filter(|entry| entry.standing != Standing::Verified && !entry.instance.local)
            .min_by_key(|entry| (entry.is_shown(), entry.heard_at))
            .map(|entry| entry.instance.id)
    }

    fn displace(&mut self, victim: Option<InstanceId>, changes: &mut Changes) -> bool {
        let Some(entry) = victim.and_then(|id| self.remove(id)) else { return false };
        if entry.is_shown() {
            changes.events.push(DirectoryEvent::Down { instance: entry.instance, why: Why::Displaced });
        }
        true
    }

    fn insert(&mut self, entry: Entry) {
        let Instance { id, node, service, .. } = &entry.instance;
        self.names.entry(service.clone()).or_default().push(*id);
        self.nodes.entry(*node).or_default().push(*id);
        self.entries.insert(*id, entry);
    }

    fn remove(&mut self, id: InstanceId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(ids) = self.names.get_mut(&entry.instance.service) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.names.remove(&entry.instance.service);
            }
        }
        if let Some(ids) = self.nodes.get_mut(&entry.instance.node) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.nodes.remove(&entry.instance.node);
            }
        }
        Some(entry)
    }
}
