//! Room in the directory: its bounds, and who makes way for whom.

use super::entry::{Entry, Standing};
use super::{Changes, Directory, DirectoryEvent, Instance, Why};
use crate::id::{InstanceId, NodeId};

/// Room for what is new.
impl Directory {
    /// Makes room for an instance of `node`, at the cost of the oldest instance that was found dead or is unproved.
    pub(super) fn make_room(&mut self, node: NodeId, changes: &mut Changes) -> bool {
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

    pub(super) fn insert(&mut self, entry: Entry) {
        let Instance { id, node, service, .. } = &entry.instance;
        self.names.entry(service.clone()).or_default().push(*id);
        self.nodes.entry(*node).or_default().push(*id);
        self.entries.insert(*id, entry);
    }

    pub(super) fn remove(&mut self, id: InstanceId) -> Option<Entry> {
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
