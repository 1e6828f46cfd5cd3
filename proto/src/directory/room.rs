//! Room in the directory: its bounds, and who makes way for whom.

use std::time::Instant;

use super::claims::{Claim, Origin};
use super::entry::Entry;
use super::{Changes, Directory, DirectoryEvent, Instance, Source, Why};
use crate::advert::Advert;
use crate::id::{InstanceId, NodeId};

/// Room for what is new.
impl Directory {
    /// Makes room for an instance that `source` tells of. Of a node that has as many as are kept of one, only an instance that was
    /// found dead makes way; otherwise the new one is hidden, also if it is proved, because services that take turns would be up
    /// and down without anything having happened to them. Elsewhere the oldest instance that was found dead or is unproved makes
    /// way: of the same origin, if that has as many as it may have, else of all. A name that was asked for exactly may have as
    /// many of a node as other names together.
    pub(super) fn make_room(
        &mut self,
        advert: &Advert,
        source: Source,
        now: Instant,
        changes: &mut Changes,
    ) -> bool {
        let origin = Origin::from(source);
        let is_sought = self.hidden.is_sought(&advert.service);
        let of_node = self.nodes.get(&advert.node).into_iter().flatten();
        let of_node = of_node.filter_map(|id| self.entries.get(id));
        // Each name that was asked for is counted by itself, and the others together.
        let beside = of_node.filter(|entry| match is_sought {
            true => entry.instance.service == advert.service,
            false => !self.hidden.is_sought(&entry.instance.service),
        });
        let beside: Vec<_> = beside.map(Entry::claim).collect();
        if beside.len() >= self.per_node {
            let dead = beside.into_iter().flatten().filter(|(is_shown, ..)| !is_shown).min();
            if dead.is_none() && self.hidden.hide(advert.clone(), source, now) {
                changes.hides = Some(advert.node);
            }
            return self.displace(dead, changes);
        }
        let most = match origin {
            Origin::Multicast => self.capacity / 2,
            Origin::Own | Origin::Host(_) | Origin::Peer(_) => self.per_source,
        };
        if self.claims.of(origin) >= most {
            return self.displace(self.claims.first_of(origin), changes);
        }
        if self.entries.len() >= self.capacity {
            return self.displace(self.claims.first(), changes);
        }
        true
    }

    /// Takes in hidden instances of connected nodes that had room since the last call, because other instances of theirs are gone.
    pub fn fill(&mut self, is_connected: impl Fn(NodeId) -> bool, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for node in self.hidden.with_room(is_connected) {
            let of_node = self.nodes.get(&node).into_iter().flatten();
            let of_node = of_node.filter_map(|id| self.entries.get(id));
            let kept =
                of_node.filter(|entry| entry.is_shown() && !self.hidden.is_sought(&entry.instance.service));
            let room = self.per_node.saturating_sub(kept.count());
            for (advert, source) in self.hidden.take(node, room) {
                let instance = advert.instance;
                changes.append(self.hear(advert.clone(), source, now));
                if !self.entries.contains_key(&instance) {
                    // Other bounds leave no room for it.
                    self.hidden.hide(advert, source, now);
                }
            }
        }
        changes
    }

    fn displace(&mut self, victim: Option<Claim>, changes: &mut Changes) -> bool {
        let Some(entry) = victim.and_then(|(_, _, id)| self.remove(id)) else { return false };
        self.displaced += 1;
        if entry.is_shown() {
            changes.events.push(DirectoryEvent::Down { instance: entry.instance, why: Why::Displaced });
        }
        true
    }

    /// Lets `change` change an instance, and gives what comes of it; `None` if it is not known.
    pub(super) fn change<T>(&mut self, id: InstanceId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.entries.get_mut(&id)?;
        let before = entry.claim();
        let changed = change(entry);
        self.claims.change(entry.origin, before, entry.claim());
        Some(changed)
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let Instance { id, node, service, .. } = &entry.instance;
        self.names.entry(service.clone()).or_default().push(*id);
        self.nodes.entry(*node).or_default().push(*id);
        self.claims.change(entry.origin, None, entry.claim());
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
        self.claims.change(entry.origin, entry.claim(), None);
        Some(entry)
    }
}
