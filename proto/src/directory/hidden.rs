//! What the bound on the instances of one node hides: how many, and, as far as there is room, which, in case one is asked for by its
//! name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Source;
use crate::advert::Advert;
use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

/// How many hidden instances are remembered, of all nodes together; each costs about 1 KiB.
const REMEMBERED: usize = 1_024;

/// How many names that were asked for exactly are kept in mind.
const SOUGHT: usize = 1_024;

/// Hidden instances, and the names that are asked for exactly, whose instances are not hidden.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    remembered: BTreeMap<InstanceId, (Advert, Source)>,
    /// The nodes of which some were remembered.
    nodes: BTreeSet<NodeId>,
    sought: BTreeMap<ServiceName, Instant>,
}

impl Hidden {
    /// How many instances are hidden, of those that are remembered.
    pub(super) fn count(&self) -> usize {
        self.remembered.len()
    }

    /// An instance is not kept. Says whether it is the first of its node.
    pub(super) fn hide(&mut self, advert: Advert, source: Source) -> bool {
        if self.remembered.len() >= REMEMBERED && !self.remembered.contains_key(&advert.instance) {
            return false;
        }
        let is_first = self.nodes.len() < REMEMBERED && self.nodes.insert(advert.node);
        self.remembered.insert(advert.instance, (advert, source));
        is_first
    }

    /// An instance is gone, or is kept now.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.remembered.remove(&instance);
    }

    /// A node is gone.
    pub(super) fn forget_node(&mut self, node: NodeId) {
        if self.nodes.remove(&node) {
            self.remembered.retain(|_, (advert, _)| advert.node != node);
        }
    }

    /// A peer is gone, and with it what only it had told.
    pub(super) fn forget_told_by(&mut self, peer: NodeId) {
        self.remembered
            .retain(|_, (_, source)| !matches!(source, Source::Peer(p) | Source::Caller(p) if *p == peer));
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
        let of_name = self.remembered.iter().filter(|(_, (advert, _))| advert.service == *name);
        let of_name: Vec<_> = of_name.map(|(id, _)| *id).collect();
        of_name.iter().filter_map(|id| self.remembered.remove(id)).collect()
    }

    /// Whether a name was asked for exactly a short while ago.
    pub(super) fn is_sought(&self, name: &ServiceName) -> bool {
        self.sought.contains_key(name)
    }

    /// Lets go of names that were asked for before `before`.
    pub(super) fn expire(&mut self, before: Instant) {
        self.sought.retain(|_, since| *since > before);
    }
}
