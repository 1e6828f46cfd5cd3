//! Instances that the bound on those of one node hides: their number and, as far as there is room, their adverts, in case one is
//! asked for by its name.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::eviction::Credibility;
use super::{AdvertSource, Filter, REMEMBER_DEAD};
use crate::discovery::advert::Advert;
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
pub(super) struct HiddenInstances {
    remembered: BTreeMap<InstanceId, HiddenInstance>,
    /// The nodes of which some were remembered, which has been told.
    nodes: BTreeSet<NodeId>,
    sought: BTreeMap<ServiceName, Instant>,
}

/// A hidden instance, as it was heard of.
#[derive(Debug, Clone)]
pub(super) struct HiddenInstance {
    pub(super) advert: Advert,
    pub(super) source: AdvertSource,
    pub(super) heard_at: Instant,
    /// Somebody else has said that it is gone.
    pub(super) is_doubted: bool,
}

impl HiddenInstance {
    pub(super) fn word(&self) -> Credibility {
        Credibility::of(self.source, self.advert.node)
    }

    /// Returns whether nobody has told of it for long. Peers tell once, and say so when it is gone.
    fn is_old(&self, now: Instant) -> bool {
        self.word() == Credibility::Hint && now.saturating_duration_since(self.heard_at) >= REMEMBER_DEAD
    }

    /// Returns whether `source`, for which it is an instance of `node`, has a say in it: a word gives way to a stronger one, a hint
    /// to another, and what a peer or its node told to what they say later.
    fn yields_to(&self, source: AdvertSource, node: NodeId) -> bool {
        match Credibility::of(source, node).cmp(&self.word()) {
            Ordering::Less => false,
            Ordering::Equal => node == self.advert.node && teller(source) == teller(self.source),
            Ordering::Greater => true,
        }
    }
}

/// The peer that told, if it was one.
fn teller(source: AdvertSource) -> Option<NodeId> {
    match source {
        AdvertSource::Peer(peer) | AdvertSource::Caller(peer) => Some(peer),
        AdvertSource::Local | AdvertSource::Mdns | AdvertSource::Reply(_) => None,
    }
}

impl HiddenInstances {
    /// Returns the number of hidden instances, of those that are remembered.
    pub(super) fn count(&self) -> usize {
        self.remembered.len()
    }

    /// Returns the number of those of `filter`.
    pub(super) fn count_of(&self, filter: &Filter) -> usize {
        self.remembered.values().filter(|hidden| filter.includes(&hidden.advert.service)).count()
    }

    pub(super) fn get(&self, instance: InstanceId) -> Option<&HiddenInstance> {
        self.remembered.get(&instance)
    }

    /// Notes an instance that is not kept. Returns whether it is the first of its node.
    pub(super) fn hide(&mut self, advert: Advert, source: AdvertSource, heard_at: Instant) -> bool {
        let (instance, node) = (advert.instance, advert.node);
        if self.knows_better(&advert, source) {
            return false;
        }
        self.remembered.remove(&instance);
        let word = Credibility::of(source, node);
        if !self.make_room(word, node) {
            return false;
        }
        self.remembered.insert(instance, HiddenInstance { advert, source, heard_at, is_doubted: false });
        // Invented nodes do not shut out those that prove themselves, which are no more than what is remembered.
        (word == Credibility::Proof || self.nodes.len() < REMEMBERED) && self.nodes.insert(node)
    }

    /// Returns whether a stronger word, or another story, is remembered of an instance than what `source` tells of it.
    pub(super) fn knows_better(&self, advert: &Advert, source: AdvertSource) -> bool {
        self.get(advert.instance).is_some_and(|known| !known.yields_to(source, advert.node))
    }

    /// Makes room to remember an instance of `node`: only for what that proves, at the cost of the weakest word of the same node,
    /// or else of any.
    fn make_room(&mut self, word: Credibility, node: NodeId) -> bool {
        let of_node = self.remembered.values().filter(|hidden| hidden.advert.node == node).count();
        let node_is_full = of_node >= REMEMBERED_OF_NODE;
        if !node_is_full && self.remembered.len() < REMEMBERED {
            return true;
        }
        if word != Credibility::Proof {
            return false;
        }
        let weaker = self
            .remembered
            .iter()
            .filter(|(_, hidden)| hidden.word() < word && (hidden.advert.node == node || !node_is_full));
        let weakest =
            weaker.min_by_key(|(_, known)| (known.advert.node != node, known.word(), known.heard_at));
        let weakest = weakest.map(|(id, _)| *id);
        weakest.and_then(|id| self.remembered.remove(&id)).is_some()
    }

    /// An instance is kept now.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.remembered.remove(&instance);
    }

    /// `source` says that an instance is gone.
    pub(super) fn hear_goodbye(&mut self, instance: InstanceId, source: AdvertSource) {
        let Some(known) = self.remembered.get_mut(&instance) else { return };
        if known.yields_to(source, known.advert.node) {
            self.remembered.remove(&instance);
        } else {
            known.is_doubted = true;
        }
    }

    /// A node is gone.
    pub(super) fn forget_node(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.remembered.retain(|_, hidden| hidden.advert.node != node);
    }

    /// A peer is gone, and with it what only it had told.
    pub(super) fn forget_told_by(&mut self, peer: NodeId) {
        self.remembered.retain(|_, hidden| teller(hidden.source) != Some(peer));
    }

    /// Returns whether there are hidden instances of `node`, in the share of `service`, of which it has told itself.
    pub(super) fn has_proved(&self, node: NodeId, service: &ServiceName) -> bool {
        let share = self.share(service);
        let is_one = |hidden: &HiddenInstance| {
            hidden.advert.node == node
                && hidden.word() == Credibility::Proof
                && self.share(&hidden.advert.service) == share
        };
        self.nodes.contains(&node) && self.remembered.values().any(is_one)
    }

    /// Returns the hidden instances of connected nodes, those of one node and share together, with the strongest words first.
    pub(super) fn of_connected(&self, is_connected: impl Fn(NodeId) -> bool) -> Vec<Vec<InstanceId>> {
        let nodes: BTreeSet<_> = self.remembered.values().map(|hidden| hidden.advert.node).collect();
        let connected: BTreeSet<_> = nodes.into_iter().filter(|node| is_connected(*node)).collect();
        let mut shares = BTreeMap::<_, Vec<_>>::new();
        for (id, hidden) in &self.remembered {
            let Advert { node, service, .. } = &hidden.advert;
            if connected.contains(node) {
                shares.entry((*node, self.share(service))).or_default().push((Reverse(hidden.word()), *id));
            }
        }
        shares.into_values().map(in_order).collect()
    }

    /// A name is asked for exactly. Returns the hidden instances of it, with the strongest words first.
    pub(super) fn seek(&mut self, name: &ServiceName, now: Instant) -> Vec<InstanceId> {
        if self.sought.len() >= SOUGHT
            && !self.sought.contains_key(name)
            && let Some(oldest) =
                self.sought.iter().min_by_key(|(_, since)| **since).map(|(name, _)| name.clone())
        {
            self.sought.remove(&oldest);
        }
        self.sought.insert(name.clone(), now);
        let of_name = self.remembered.iter().filter(|(_, hidden)| hidden.advert.service == *name);
        in_order(of_name.map(|(id, hidden)| (Reverse(hidden.word()), *id)).collect())
    }

    /// The share of the places of its node that a service has: that of its name, if it was asked for exactly a short while ago, or
    /// that of all others.
    pub(super) fn share<'a>(&self, service: &'a ServiceName) -> Option<&'a ServiceName> {
        self.sought.contains_key(service).then_some(service)
    }

    /// Forgets names that were asked for, and instances that were told of, a long time ago.
    pub(super) fn expire(&mut self, now: Instant) {
        self.sought.retain(|_, since| now.saturating_duration_since(*since) < REMEMBER_DEAD);
        self.remembered.retain(|_, hidden| !hidden.is_old(now));
        let left: BTreeSet<_> = self.remembered.values().map(|hidden| hidden.advert.node).collect();
        self.nodes.retain(|node| left.contains(node));
    }
}

fn in_order(mut hidden: Vec<(Reverse<Credibility>, InstanceId)>) -> Vec<InstanceId> {
    hidden.sort_unstable();
    hidden.into_iter().map(|(_, id)| id).collect()
}
