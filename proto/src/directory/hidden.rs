//! Instances that the bound on those of one node hides: their number and, as far as there is room, their adverts, in case one is
//! asked for by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{Filter, REMEMBER_DEAD, Source};
use crate::advert::Advert;
use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

/// Hidden instances that are remembered, of all nodes together; each costs about 1 KiB.
const REMEMBERED: usize = 1_024;

/// Hidden instances that are remembered of one node, so that one does not take the room of all others.
const REMEMBERED_OF_NODE: usize = REMEMBERED / 4;

/// Names that were asked for exactly and are remembered.
const SOUGHT: usize = 1_024;

/// Hidden instances, and the names that are asked for exactly, whose instances are not hidden.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    remembered: BTreeMap<InstanceId, Remembered>,
    /// The nodes of which some were remembered, which has been told.
    nodes: BTreeSet<NodeId>,
    /// The nodes of which some were remembered when an instance of theirs that was kept had gone.
    with_room: BTreeSet<NodeId>,
    sought: BTreeMap<ServiceName, Instant>,
}

/// A hidden instance.
#[derive(Debug)]
struct Remembered {
    advert: Advert,
    source: Source,
    heard_at: Instant,
}

impl Remembered {
    /// Returns whether a peer told of it.
    fn is_told(&self) -> bool {
        is_told(self.source)
    }

    /// Returns whether nobody has told of it for long. Peers tell once, and say so when it is gone.
    fn is_old(&self, now: Instant) -> bool {
        !self.is_told() && now.saturating_duration_since(self.heard_at) >= REMEMBER_DEAD
    }
}

fn is_told(source: Source) -> bool {
    matches!(source, Source::Peer(_) | Source::Caller(_))
}

impl Hidden {
    /// Returns the number of hidden instances, of those that are remembered.
    pub(super) fn count(&self) -> usize {
        self.remembered.len()
    }

    /// Returns the number of those of `filter`.
    pub(super) fn count_of(&self, filter: &Filter) -> usize {
        self.remembered.values().filter(|hidden| filter.includes(&hidden.advert.service)).count()
    }

    /// Notes an instance that is not kept. Returns whether it is the first of its node.
    pub(super) fn hide(&mut self, advert: Advert, source: Source, now: Instant) -> bool {
        let node = advert.node;
        if !self.remembered.contains_key(&advert.instance) {
            let of_node = self.remembered.values().filter(|hidden| hidden.advert.node == node).count();
            if of_node >= REMEMBERED_OF_NODE || self.remembered.len() >= REMEMBERED {
                return false;
            }
        }
        match self.remembered.get_mut(&advert.instance) {
            // A peer says so when it is gone; what others repeat is no reason to forget it when they do not.
            Some(known) if known.is_told() && !is_told(source) => known.heard_at = now,
            _ => {
                self.remembered.insert(advert.instance, Remembered { advert, source, heard_at: now });
            }
        }
        self.nodes.len() < REMEMBERED && self.nodes.insert(node)
    }

    /// An instance is gone, or is kept now.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.remembered.remove(&instance);
    }

    /// A node is gone.
    pub(super) fn forget_node(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.with_room.remove(&node);
        self.remembered.retain(|_, hidden| hidden.advert.node != node);
    }

    /// A peer is gone, and with it what only it had told.
    pub(super) fn forget_told_by(&mut self, peer: NodeId) {
        self.remembered
            .retain(|_, hidden| !matches!(hidden.source, Source::Peer(p) | Source::Caller(p) if p == peer));
    }

    /// An instance of `node` that was kept is gone.
    pub(super) fn note_room(&mut self, node: NodeId) {
        if self.nodes.contains(&node) {
            self.with_room.insert(node);
        }
    }

    /// Returns the nodes of which some may be kept now, once, of those that are connected.
    pub(super) fn with_room(&mut self, is_connected: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let with_room: Vec<_> = self.with_room.iter().copied().filter(|node| is_connected(*node)).collect();
        self.with_room.retain(|node| !with_room.contains(node));
        with_room
    }

    /// Takes at most `most` of the hidden instances of `node`, those that it told of itself first.
    pub(super) fn take(&mut self, node: NodeId, most: usize) -> Vec<(Advert, Source)> {
        let of_node = self.remembered.iter().filter(|(_, hidden)| hidden.advert.node == node);
        let mut of_node: Vec<_> =
            of_node.map(|(id, hidden)| (hidden.source != Source::Peer(node), *id)).collect();
        of_node.sort_unstable();
        let taken = of_node.iter().take(most).filter_map(|(_, id)| self.remembered.remove(id));
        taken.map(|hidden| (hidden.advert, hidden.source)).collect()
    }

    /// A name is asked for exactly. Returns the hidden instances of it.
    pub(super) fn seek(&mut self, name: &ServiceName, now: Instant) -> Vec<(Advert, Source)> {
        if self.sought.len() >= SOUGHT
            && !self.sought.contains_key(name)
            && let Some(oldest) =
                self.sought.iter().min_by_key(|(_, since)| **since).map(|(name, _)| name.clone())
        {
            self.sought.remove(&oldest);
        }
        self.sought.insert(name.clone(), now);
        let of_name = self.remembered.iter().filter(|(_, hidden)| hidden.advert.service == *name);
        let of_name: Vec<_> = of_name.map(|(id, _)| *id).collect();
        let taken = of_name.iter().filter_map(|id| self.remembered.remove(id));
        taken.map(|hidden| (hidden.advert, hidden.source)).collect()
    }

    /// Returns whether a name was asked for exactly a short while ago.
    pub(super) fn is_sought(&self, name: &ServiceName) -> bool {
        self.sought.contains_key(name)
    }

    /// Forgets names that were asked for, and instances that were told of, a long time ago.
    pub(super) fn expire(&mut self, now: Instant) {
        self.sought.retain(|_, since| now.saturating_duration_since(*since) < REMEMBER_DEAD);
        self.remembered.retain(|_, hidden| !hidden.is_old(now));
        let left: BTreeSet<_> = self.remembered.values().map(|hidden| hidden.advert.node).collect();
        self.nodes.retain(|node| left.contains(node));
        self.with_room.retain(|node| left.contains(node));
    }
}
