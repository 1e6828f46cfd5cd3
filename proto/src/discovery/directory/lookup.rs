//! Read access to the directory.

use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::entry::{DirectoryEntry, EntryState};
use super::{Directory, Filter, Instance, MIN_PROBE_INTERVAL};
use crate::discovery::addresses::{OwnAddress, is_here};
use crate::id::{InstanceId, NodeId};
use crate::name::{MeshName, ServiceName};

/// Lookups.
impl Directory {
    /// Returns the instances with a name, the most recently proved first.
    pub fn get(&self, name: &str) -> Vec<Instance> {
        let ids = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut shown: Vec<&DirectoryEntry> =
            ids.iter().filter_map(|id| self.entries.get(id)).filter(|e| e.is_shown()).collect();
        shown.sort_by_key(|entry| std::cmp::Reverse(entry.verified_at));
        shown.into_iter().map(|entry| entry.instance.clone()).collect()
    }

    /// Returns all instances, ordered by name.
    pub fn all(&self) -> Vec<Instance> {
        self.select(&Filter::everything())
    }

    /// Returns the instances of a group: those whose name begins with `group` and `separator`, except the `exclude`d names.
    pub fn group(&self, group: &str, separator: &str, exclude: &[ServiceName]) -> Vec<Instance> {
        self.select(&Filter::group(group, separator, exclude.to_vec()))
    }

    /// Returns the instances that `filter` selects, ordered by name.
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

    /// Returns the instances to try for one name, the most promising first. They include instances that were found dead a while
    /// ago, and addresses that were only claimed.
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

    /// Returns one instance, with the addresses that were only claimed last.
    pub fn candidate(&self, id: InstanceId) -> Option<Instance> {
        let mut candidate = self.entries.get(&id)?.instance.clone();
        self.extend_with_claims(&mut candidate);
        Some(candidate)
    }

    /// Returns the address of an instance that answered this node last.
    pub fn answered(&self, id: InstanceId) -> Option<SocketAddr> {
        self.entries.get(&id)?.answered.first().copied()
    }

    /// Returns the instances of one node.
    pub fn of_node(&self, node: NodeId) -> Vec<Instance> {
        let ids = self.nodes.get(&node).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.candidate(*id)).collect()
    }

    /// Returns the nodes that offer a service, except this one.
    pub fn nodes(&self) -> Vec<NodeId> {
        let shown = |ids: &[InstanceId]| ids.iter().any(|id| self.is_shown(*id));
        self.nodes
            .iter()
            .filter(|(node, ids)| **node != self.node && shown(ids))
            .map(|(node, _)| *node)
            .collect()
    }

    /// Returns the number of known nodes, this one included.
    pub fn nodes_known(&self) -> usize {
        self.nodes.len()
    }

    /// Returns true if a node is known, even if all its services are gone.
    pub fn knows_node(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// Returns true if an instance is shown in lookups.
    pub fn is_shown(&self, id: InstanceId) -> bool {
        self.entries.get(&id).is_some_and(DirectoryEntry::is_shown)
    }

    /// Returns true if the node of an instance proved it, or has just replied for it.
    pub fn is_fresh(&self, id: InstanceId, now: Instant) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.is_fresh(now))
    }

    /// Returns true if an instance is shown and was first reported within this time.
    pub fn is_new(&self, id: InstanceId, max_age: Duration, now: Instant) -> bool {
        let is_new = |entry: &DirectoryEntry| {
            entry.is_shown() && now.saturating_duration_since(entry.first_reported_at) < max_age
        };
        self.entries.get(&id).is_some_and(is_new)
    }

    /// Returns true if the endpoint of an instance, or its node, has proved it within the last `max_age`.
    pub fn is_proved(&self, id: InstanceId, max_age: Duration, now: Instant) -> bool {
        let proved = self.entries.get(&id).and_then(|entry| entry.verified_at);
        proved.is_some_and(|at| now.saturating_duration_since(at) <= max_age)
    }

    /// Returns the time since the process of an instance itself last replied to a question.
    pub fn replied_ago(&self, id: InstanceId, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.entries.get(&id)?.replied_at?))
    }

    /// Returns true if mDNS carries an instance. Only instances that it does not carry are worth forwarding to others.
    pub fn is_carried_by_mdns(&self, id: InstanceId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.by_mdns)
    }

    /// Returns true if the link to `node` reported an instance.
    pub fn is_reported_by(&self, id: InstanceId, node: NodeId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.reported_by.contains(&node))
    }

    /// Returns the shown instances that have not been proved for `time` since they were first reported.
    pub fn unproved(&self, time: Duration, now: Instant) -> Vec<Instance> {
        let unproved = |entry: &&DirectoryEntry| {
            entry.state == EntryState::Unverified
                && !entry.instance.local
                && now.saturating_duration_since(entry.first_reported_at) >= time
        };
        self.entries.values().filter(unproved).map(|entry| entry.instance.clone()).collect()
    }

    /// Returns instances that did not answer although their own node, by its latest report, still offers them; at most once a
    /// second each.
    pub fn due_for_asking(&mut self, now: Instant) -> Vec<InstanceId> {
        let mut due = Vec::new();
        for (id, entry) in &mut self.entries {
            if let EntryState::Doubted { probed_at } = &mut entry.state
                && entry.reported_by.contains(&entry.instance.node)
                && now.saturating_duration_since(*probed_at) >= MIN_PROBE_INTERVAL
            {
                *probed_at = now;
                due.push(*id);
            }
        }
        due
    }

    /// Returns the number of shown instances.
    pub fn shown(&self) -> usize {
        self.entries.keys().filter(|id| self.is_shown(**id)).count()
    }

    /// Returns the names of the known services, ordered.
    pub fn service_names(&self) -> Vec<ServiceName> {
        let shown = |ids: &[InstanceId]| ids.iter().any(|id| self.is_shown(*id));
        self.names.iter().filter(|(_, ids)| shown(ids)).map(|(name, _)| name.clone()).collect()
    }

    /// Returns the names that are known on this host only, which has the addresses `own`.
    pub fn names_here(&self, own: &[OwnAddress]) -> Vec<ServiceName> {
        let is_here =
            |entry: &DirectoryEntry| entry.instance.local || is_here(&entry.instance.addresses, own);
        let shown = |ids: &[InstanceId]| -> Vec<&DirectoryEntry> {
            ids.iter().filter_map(|id| self.entries.get(id)).filter(|entry| entry.is_shown()).collect()
        };
        let names = self.names.iter().map(|(name, ids)| (name, shown(ids)));
        let local_names =
            names.filter(|(_, shown)| !shown.is_empty() && shown.iter().all(|entry| is_here(entry)));
        local_names.map(|(name, _)| name.clone()).collect()
    }

    /// Returns two totals: instances evicted for lack of room, and instances rejected because nothing could be evicted for them.
    pub fn evicted_and_rejected(&self) -> (u64, u64) {
        (self.evicted, self.refused)
    }

    /// Returns other meshes that were received on the same network, at most 16.
    pub fn other_meshes(&self) -> &[MeshName] {
        &self.other_meshes
    }

    fn extend_with_claims(&self, candidate: &mut Instance) {
        if let Some(entry) = self.entries.get(&candidate.id) {
            candidate.addresses.extend_from_slice(&entry.claimed);
        }
    }
}
