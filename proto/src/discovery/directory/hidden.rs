//! Instances hidden by the limit per node: their number and, as far as there is room, their adverts, in case one is requested by
//! its name.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::eviction::Credibility;
use super::{AdvertSource, Filter, REMEMBER_DEAD};
use crate::discovery::advert::Advert;
use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

/// The maximum number of hidden instances that are stored for all nodes together; each costs about 1 KiB.
const MAX_HIDDEN: usize = 1_024;

/// The maximum number of hidden instances that are stored for one node, so that one node does not occupy the room of all others.
const MAX_HIDDEN_PER_NODE: usize = MAX_HIDDEN / 4;

/// The maximum number of exactly requested names that are stored.
const MAX_REQUESTED_NAMES: usize = 1_024;

/// Hidden instances, and the exactly requested names, whose instances are not hidden.
#[derive(Debug, Default)]
pub(super) struct HiddenInstances {
    instances: BTreeMap<InstanceId, HiddenInstance>,
    /// The nodes with stored hidden instances that have been reported to the caller.
    nodes: BTreeSet<NodeId>,
    requested: BTreeMap<ServiceName, Instant>,
}

/// A hidden instance, as it was received.
#[derive(Debug, Clone)]
pub(super) struct HiddenInstance {
    pub(super) advert: Advert,
    pub(super) source: AdvertSource,
    pub(super) reported_at: Instant,
    /// Set if another source has reported it gone.
    pub(super) is_doubted: bool,
}

impl HiddenInstance {
    pub(super) fn credibility(&self) -> Credibility {
        Credibility::of(self.source, self.advert.node)
    }

    /// Returns true if no source has reported it for a long time. Peers report an instance once, and again when it is gone.
    fn is_old(&self, now: Instant) -> bool {
        self.credibility() == Credibility::Hint
            && now.saturating_duration_since(self.reported_at) >= REMEMBER_DEAD
    }

    /// Returns true if a report by `source`, for which it is an instance of `node`, may replace this one: a report yields to a
    /// more credible one, a hint to another hint, and a report by a peer or its node to a later report of the same sender.
    fn yields_to(&self, source: AdvertSource, node: NodeId) -> bool {
        match Credibility::of(source, node).cmp(&self.credibility()) {
            Ordering::Less => false,
            Ordering::Equal => {
                node == self.advert.node && reporting_peer(source) == reporting_peer(self.source)
            }
            Ordering::Greater => true,
        }
    }
}

/// Returns the peer that reported it, if a peer did.
fn reporting_peer(source: AdvertSource) -> Option<NodeId> {
    match source {
        AdvertSource::Peer(peer) | AdvertSource::Caller(peer) => Some(peer),
        AdvertSource::Local | AdvertSource::Mdns | AdvertSource::Reply(_) => None,
    }
}

impl HiddenInstances {
    /// Returns the number of stored hidden instances.
    pub(super) fn count(&self) -> usize {
        self.instances.len()
    }

    /// Returns the number of stored hidden instances that `filter` selects.
    pub(super) fn count_of(&self, filter: &Filter) -> usize {
        self.instances.values().filter(|hidden| filter.includes(&hidden.advert.service)).count()
    }

    pub(super) fn get(&self, instance: InstanceId) -> Option<&HiddenInstance> {
        self.instances.get(&instance)
    }

    /// Records an instance that is not stored in the directory. Returns true for the first of its node.
    pub(super) fn hide(&mut self, advert: Advert, source: AdvertSource, reported_at: Instant) -> bool {
        let (instance, node) = (advert.instance, advert.node);
        if self.has_more_credible(&advert, source) {
            return false;
        }
        self.instances.remove(&instance);
        let credibility = Credibility::of(source, node);
        if !self.make_room(credibility, node) {
            return false;
        }
        self.instances.insert(instance, HiddenInstance { advert, source, reported_at, is_doubted: false });
        // Forged nodes do not displace proved ones, whose number is limited by that of the stored instances.
        (credibility == Credibility::Proof || self.nodes.len() < MAX_HIDDEN) && self.nodes.insert(node)
    }

    /// Returns true if a more credible or contradictory report of an instance is stored than the one by `source`.
    pub(super) fn has_more_credible(&self, advert: &Advert, source: AdvertSource) -> bool {
        self.get(advert.instance).is_some_and(|known| !known.yields_to(source, advert.node))
    }

    /// Makes room to store an instance of `node`: only for a proved one, at the cost of the least credible report of the same
    /// node, or else of any.
    fn make_room(&mut self, credibility: Credibility, node: NodeId) -> bool {
        let of_node = self.instances.values().filter(|hidden| hidden.advert.node == node).count();
        let node_is_full = of_node >= MAX_HIDDEN_PER_NODE;
        if !node_is_full && self.instances.len() < MAX_HIDDEN {
            return true;
        }
        if credibility != Credibility::Proof {
            return false;
        }
        let less_credible = self.instances.iter().filter(|(_, hidden)| {
            hidden.credibility() < credibility && (hidden.advert.node == node || !node_is_full)
        });
        let least_credible = less_credible
            .min_by_key(|(_, known)| (known.advert.node != node, known.credibility(), known.reported_at));
        let least_credible = least_credible.map(|(id, _)| *id);
        least_credible.and_then(|id| self.instances.remove(&id)).is_some()
    }

    /// Forgets an instance that the directory stores now.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.instances.remove(&instance);
    }

    /// Records that `source` reported an instance gone.
    pub(super) fn handle_withdrawal(&mut self, instance: InstanceId, source: AdvertSource) {
        let Some(known) = self.instances.get_mut(&instance) else { return };
        if known.yields_to(source, known.advert.node) {
            self.instances.remove(&instance);
        } else {
            known.is_doubted = true;
        }
    }

    /// Forgets the instances of a node that is gone.
    pub(super) fn forget_node(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.instances.retain(|_, hidden| hidden.advert.node != node);
    }

    /// Forgets the instances that only this peer, which is gone, had reported.
    pub(super) fn forget_reported_by(&mut self, peer: NodeId) {
        self.instances.retain(|_, hidden| reporting_peer(hidden.source) != Some(peer));
    }

    /// Returns true if there are hidden instances of `node`, in the share of `service`, that it has reported itself.
    pub(super) fn has_proved(&self, node: NodeId, service: &ServiceName) -> bool {
        let share = self.share(service);
        let is_match = |hidden: &HiddenInstance| {
            hidden.advert.node == node
                && hidden.credibility() == Credibility::Proof
                && self.share(&hidden.advert.service) == share
        };
        self.nodes.contains(&node) && self.instances.values().any(is_match)
    }

    /// Returns the hidden instances of connected nodes, grouped by node and share, the most credible reports first.
    pub(super) fn of_connected(&self, is_connected: impl Fn(NodeId) -> bool) -> Vec<Vec<InstanceId>> {
        let nodes: BTreeSet<_> = self.instances.values().map(|hidden| hidden.advert.node).collect();
        let connected: BTreeSet<_> = nodes.into_iter().filter(|node| is_connected(*node)).collect();
        let mut shares = BTreeMap::<_, Vec<_>>::new();
        for (id, hidden) in &self.instances {
            let Advert { node, service, .. } = &hidden.advert;
            if connected.contains(node) {
                shares
                    .entry((*node, self.share(service)))
                    .or_default()
                    .push((Reverse(hidden.credibility()), *id));
            }
        }
        shares.into_values().map(sorted_ids).collect()
    }

    /// Records that a name is requested exactly. Returns its hidden instances, the most credible reports first.
    pub(super) fn request_name(&mut self, name: &ServiceName, now: Instant) -> Vec<InstanceId> {
        if self.requested.len() >= MAX_REQUESTED_NAMES
            && !self.requested.contains_key(name)
            && let Some(oldest) =
                self.requested.iter().min_by_key(|(_, since)| **since).map(|(name, _)| name.clone())
        {
            self.requested.remove(&oldest);
        }
        self.requested.insert(name.clone(), now);
        let of_name = self.instances.iter().filter(|(_, hidden)| hidden.advert.service == *name);
        sorted_ids(of_name.map(|(id, hidden)| (Reverse(hidden.credibility()), *id)).collect())
    }

    /// Returns the share of its node that a service belongs to: that of its name, if it was requested exactly a short while ago,
    /// or the common one.
    pub(super) fn share<'a>(&self, service: &'a ServiceName) -> Option<&'a ServiceName> {
        self.requested.contains_key(service).then_some(service)
    }

    /// Forgets names that were requested, and instances that were reported, a long time ago.
    pub(super) fn expire(&mut self, now: Instant) {
        self.requested.retain(|_, since| now.saturating_duration_since(*since) < REMEMBER_DEAD);
        self.instances.retain(|_, hidden| !hidden.is_old(now));
        let remaining_nodes: BTreeSet<_> = self.instances.values().map(|hidden| hidden.advert.node).collect();
        self.nodes.retain(|node| remaining_nodes.contains(node));
    }
}

fn sorted_ids(mut hidden: Vec<(Reverse<Credibility>, InstanceId)>) -> Vec<InstanceId> {
    hidden.sort_unstable();
    hidden.into_iter().map(|(_, id)| id).collect()
}
