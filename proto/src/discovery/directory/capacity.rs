//! The capacity of the directory: its limits, and the rules by which an instance is evicted for another.

use std::time::{Duration, Instant};

use super::entry::DirectoryEntry;
use super::eviction::{Claim, ClaimOrigin, Credibility};
use super::hidden::HiddenInstance;
use super::{AdvertSource, Changes, Directory, DirectoryEvent, DownReason, Instance};
use crate::discovery::advert::Advert;
use crate::id::{InstanceId, NodeId};

/// The time within which a connected node sends all its services. An instance that it has not confirmed by then counts as a
/// claim of another.
const REPORT_WINDOW: Duration = Duration::from_secs(1);

/// The decision about a slot for a new instance.
#[derive(Debug, Clone, Copy)]
enum CapacityDecision {
    Free,
    /// The slot of an instance that was found dead, or is unproved.
    Replaces(Claim),
    None,
}

impl From<Option<Claim>> for CapacityDecision {
    fn from(claim: Option<Claim>) -> Self {
        claim.map_or(Self::None, Self::Replaces)
    }
}

/// Allocation of slots to new instances.
///
/// `per_node` instances are stored for one node, and as many again for each of its names that was requested exactly: its
/// shares.
/// Instances beyond these are hidden, even if they are proved, because otherwise services would replace each other and go up and
/// down although nothing happened to them. The slots of a share are allocated as follows:
///
/// | the slot | an instance reported by its own node | an instance reported by others |
/// |---|---|---|
/// | is free, or holds a dead one | at once | at once, unless instances reported by the node itself are hidden |
/// | holds an unproved one | after its node has reported all (`REPORT_WINDOW`) | never |
/// | holds a proved one | never | never |
///
/// If the limit of a source or of the directory is reached, the oldest instance that was found dead or is unproved is evicted, of
/// the same origin or of all; but an instance that was hidden and reported by others does not evict an unproved one.
impl Directory {
    /// Makes room for an instance that `source` reports, or hides it.
    pub(super) fn make_room(
        &mut self,
        advert: &Advert,
        source: AdvertSource,
        now: Instant,
        changes: &mut Changes,
    ) -> bool {
        match self.slot_in_share(advert, source) {
            CapacityDecision::Free => match self.slot_in_all(source) {
                CapacityDecision::Free => true,
                CapacityDecision::Replaces(claim) => self.evict(claim, changes),
                CapacityDecision::None => false,
            },
            CapacityDecision::Replaces(dead @ (false, ..)) => self.evict(dead, changes),
            CapacityDecision::Replaces(_) | CapacityDecision::None => {
                if self.hidden.hide(advert.clone(), source, now) {
                    changes.hides = Some(advert.node);
                }
                false
            }
        }
    }

    /// Restores hidden instances of connected nodes for which there are slots now.
    pub fn restore_hidden(&mut self, is_connected: impl Fn(NodeId) -> bool, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for share in self.hidden.of_connected(is_connected) {
            for id in share {
                let Some(hidden) = self.hidden.get(id) else { continue };
                let is_proved = hidden.credibility() == Credibility::Proof;
                let has_reported_all = now.saturating_duration_since(hidden.reported_at) >= REPORT_WINDOW;
                match self.slot_in_share(&hidden.advert, hidden.source) {
                    CapacityDecision::Free => match self.slot_in_all(hidden.source) {
                        CapacityDecision::Replaces((is_shown, ..)) if is_shown && !is_proved => continue,
                        CapacityDecision::None => continue,
                        CapacityDecision::Free | CapacityDecision::Replaces(_) => {}
                    },
                    CapacityDecision::Replaces((false, ..)) => {}
                    CapacityDecision::Replaces(unproved) if has_reported_all => {
                        self.evict(unproved, &mut changes);
                    }
                    CapacityDecision::Replaces(_) => continue,
                    // There is no slot for a less credible one either.
                    CapacityDecision::None => break,
                }
                changes.append(self.restore(id));
            }
        }
        changes
    }

    /// Restores a hidden instance as it was received, if there is a slot.
    pub(super) fn restore(&mut self, id: InstanceId) -> Changes {
        let Some(HiddenInstance { advert, source, reported_at, is_doubted }) = self.hidden.get(id).cloned()
        else {
            return Changes::default();
        };
        let mut changes = self.add_advert(advert, source, reported_at);
        if is_doubted && self.is_shown(id) {
            changes.doubts.push(id);
        }
        changes
    }

    /// Returns the slot for an instance within the share of its node.
    fn slot_in_share(&self, advert: &Advert, source: AdvertSource) -> CapacityDecision {
        let Advert { node, service, .. } = advert;
        let share = self.hidden.share(service);
        let of_node = self.nodes.get(node).into_iter().flatten().filter_map(|id| self.entries.get(id));
        let in_share = of_node.filter(|entry| self.hidden.share(&entry.instance.service) == share);
        let in_share: Vec<_> = in_share.map(DirectoryEntry::claim).collect();
        let decision = match in_share.len() < self.per_node {
            true => CapacityDecision::Free,
            false => CapacityDecision::from(in_share.into_iter().flatten().min()),
        };
        match decision {
            _ if Credibility::of(source, *node) == Credibility::Proof => decision,
            CapacityDecision::Replaces((true, ..)) | CapacityDecision::None => CapacityDecision::None,
            CapacityDecision::Free | CapacityDecision::Replaces(_)
                if self.hidden.has_proved(*node, service) =>
            {
                CapacityDecision::None
            }
            CapacityDecision::Free | CapacityDecision::Replaces(_) => decision,
        }
    }

    /// Returns the slot for an instance that `source` reports, under the limits other than those of its node.
    fn slot_in_all(&self, source: AdvertSource) -> CapacityDecision {
        let origin = ClaimOrigin::from(source);
        let limit = match origin {
            ClaimOrigin::Multicast => self.capacity / 2,
            ClaimOrigin::Own | ClaimOrigin::Host(_) | ClaimOrigin::Peer(_) => self.per_source,
        };
        if self.claims.of(origin) >= limit {
            CapacityDecision::from(self.claims.first_of(origin))
        } else if self.entries.len() >= self.capacity {
            CapacityDecision::from(self.claims.first())
        } else {
            CapacityDecision::Free
        }
    }

    fn evict(&mut self, (_, _, id): Claim, changes: &mut Changes) -> bool {
        let Some(entry) = self.remove(id) else { return false };
        self.evicted += 1;
        if entry.is_shown() {
            changes
                .events
                .push(DirectoryEvent::Down { instance: entry.instance, reason: DownReason::Evicted });
        }
        true
    }

    /// Changes an instance with `change`, and returns the result; `None` if the instance is not known.
    pub(super) fn change<T>(
        &mut self,
        id: InstanceId,
        change: impl FnOnce(&mut DirectoryEntry) -> T,
    ) -> Option<T> {
        let entry = self.entries.get_mut(&id)?;
        let previous_claim = entry.claim();
        let result = change(entry);
        self.claims.change(entry.origin, previous_claim, entry.claim());
        Some(result)
    }

    pub(super) fn insert(&mut self, entry: DirectoryEntry) {
        let Instance { id, node, service, .. } = &entry.instance;
        self.names.entry(service.clone()).or_default().push(*id);
        self.nodes.entry(*node).or_default().push(*id);
        self.claims.change(entry.origin, None, entry.claim());
        self.entries.insert(*id, entry);
    }

    pub(super) fn remove(&mut self, id: InstanceId) -> Option<DirectoryEntry> {
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
