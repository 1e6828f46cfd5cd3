//! One instance in the directory: its verification state, and the effects of an advert or a proof on it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use super::eviction::{Claim, ClaimOrigin};
use super::{AdvertSource, Changes, DirectoryEvent, FRESH, Instance, MIN_PROBE_INTERVAL};
use crate::discovery::addresses::{OwnAddress, are_nearer, arrange, is_here, needs_zone, sort, usable};
use crate::discovery::advert::{Advert, MAX_ADDRESSES};
use crate::id::NodeId;

/// The maximum number of claimed addresses that are stored for a verified instance until they are tried.
const MAX_CLAIMED_ADDRESSES: usize = 8;
/// The maximum numbers of stored addresses that answered, and of those that might. The latter are dropped first.
const MAX_ANSWERED_ADDRESSES: usize = 4;
const MAX_GUESSED_ADDRESSES: usize = 4;
/// The maximum number of peers that are recorded as sources of one instance.
const MAX_SOURCES: usize = 16;

/// The verification state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryState {
    /// The instance was reported, not verified. It is shown.
    Unverified,
    /// The instance was proved by its own node. It is shown.
    Verified,
    /// The instance was found dead. It is not shown until it is proved.
    Doubted {
        /// The time at which its endpoint was last asked.
        probed_at: Instant,
    },
}

#[derive(Debug)]
pub(super) struct DirectoryEntry {
    pub(super) instance: Instance,
    pub(super) state: EntryState,
    /// The first source that reported it.
    pub(super) origin: ClaimOrigin,
    /// The addresses at which it proved itself to this node, the latest first.
    pub(super) answered: Vec<SocketAddr>,
    /// The addresses that its node advertised, or that others reported.
    reported: Vec<SocketAddr>,
    /// Set if its own node sent those over a connection that this node made.
    is_reported_by_node: bool,
    /// The addresses that were not advertised and may be its own.
    guessed: Vec<SocketAddr>,
    /// The addresses that a hint named for a verified instance, and that have not been tried yet.
    pub(super) claimed: Vec<SocketAddr>,
    pub(super) by_mdns: bool,
    /// The peers whose links reported it.
    pub(super) reported_by: Vec<NodeId>,
    /// The time at which it was first reported.
    pub(super) first_reported_at: Instant,
    pub(super) reported_at: Instant,
    pub(super) verified_at: Option<Instant>,
    pub(super) replied_at: Option<Instant>,
}

impl DirectoryEntry {
    pub(super) fn new(advert: Advert, source: AdvertSource, own: &[OwnAddress], now: Instant) -> Self {
        let is_local = source == AdvertSource::Local;
        let proved = is_local || source == AdvertSource::Peer(advert.node);
        let mut reported = if is_local { advert.addresses } else { usable(&advert.addresses, own) };
        if !is_local {
            sort(&mut reported, own);
            reported.truncate(MAX_ADDRESSES);
        }
        let mut entry = Self {
            instance: Instance {
                id: advert.instance,
                node: advert.node,
                service: advert.service,
                addresses: reported.clone(),
                local: is_local,
            },
            state: if proved { EntryState::Verified } else { EntryState::Unverified },
            origin: ClaimOrigin::from(source),
            answered: Vec::new(),
            reported,
            is_reported_by_node: proved,
            guessed: Vec::new(),
            claimed: Vec::new(),
            by_mdns: false,
            reported_by: Vec::new(),
            first_reported_at: now,
            reported_at: now,
            verified_at: proved.then_some(now),
            replied_at: None,
        };
        entry.record_source(source, now);
        entry
    }

    pub(super) fn is_shown(&self) -> bool {
        !matches!(self.state, EntryState::Doubted { .. })
    }

    /// Returns its position in the eviction order if it is unverified and remote.
    pub(super) fn claim(&self) -> Option<Claim> {
        let is_claim = self.state != EntryState::Verified && !self.instance.local;
        is_claim.then_some((self.is_shown(), self.reported_at, self.instance.id))
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) <= FRESH);
        self.is_shown() && (self.instance.local || recent(self.verified_at) || recent(self.replied_at))
    }

    /// Sorts its addresses again: first those that answered, which are never dropped, then the others by their usefulness for
    /// this host.
    pub(super) fn arrange(&mut self, own: &[OwnAddress]) {
        let mut others: Vec<SocketAddr> = self.reported.iter().chain(&self.guessed).copied().collect();
        if !self.instance.local {
            sort(&mut others, own);
        }
        others.retain(|address| !self.answered.contains(address));
        let mut unique = HashSet::new();
        others.retain(|address| unique.insert(*address));
        if !self.instance.local {
            others.truncate(MAX_ADDRESSES - self.answered.len());
        }
        let mut addresses = self.answered.clone();
        addresses.append(&mut others);
        // On this host all of them are valid.
        if !self.instance.local && is_here(&addresses, own) {
            arrange(&mut addresses, own);
        }
        self.instance.addresses = addresses;
    }

    pub(super) fn apply_advert(
        &mut self,
        advert: Advert,
        source: AdvertSource,
        own: &[OwnAddress],
        now: Instant,
    ) -> Changes {
        let mut changes = Changes::default();
        if advert.node != self.instance.node || advert.service != self.instance.service {
            // Two contradictory reports about one identity: at most one is true, and only the endpoint can tell which.
            if self.state == EntryState::Unverified {
                changes.doubts.push(self.instance.id);
            }
            return changes;
        }
        self.record_source(source, now);
        if source == AdvertSource::Local || source == AdvertSource::Peer(advert.node) {
            self.apply_proof(&advert.addresses, own, now, &mut changes);
            return changes;
        }
        let mut unknown = usable(&advert.addresses, own);
        unknown.retain(|address| !self.instance.addresses.contains(address));
        match self.state {
            EntryState::Unverified if unknown.is_empty() => {}
            // Addresses are only ever added here, or replaced by better ones, so that an exchange of updates between two nodes
            // ends.
            EntryState::Unverified => {
                let previous = self.instance.addresses.clone();
                // The first record of an instance may carry only some of its addresses.
                self.add_reported(unknown, own);
                if self.instance.addresses == previous {
                    changes.doubts.push(self.instance.id);
                } else if previous.iter().all(|known| self.instance.addresses.contains(known)) {
                    // It is announced in each family separately, and has not moved.
                    self.record_growth(&previous, &mut changes);
                } else {
                    changes.events.push(DirectoryEvent::Moved(self.instance.clone()));
                }
            }
            EntryState::Verified => self.claim_addresses(unknown, own, &mut changes),
            EntryState::Doubted { probed_at } => {
                // The known addresses did not answer. An instance with very many addresses may send the reachable one in the
                // second datagram, after the first ones have already failed: then it is tried at once.
                let is_due = now.saturating_duration_since(probed_at) >= MIN_PROBE_INTERVAL
                    || are_nearer(&unknown, &self.instance.addresses, own);
                self.reported.retain(|address| !unknown.contains(address));
                self.reported.splice(0..0, unknown);
                sort(&mut self.reported, own);
                self.reported.truncate(MAX_ADDRESSES);
                self.arrange(own);
                if is_due {
                    self.state = EntryState::Doubted { probed_at: now };
                    changes.doubts.push(self.instance.id);
                }
            }
        }
        changes
    }

    /// Records that the endpoint at `address` proved to be this instance.
    pub(super) fn verified(&mut self, address: SocketAddr, own: &[OwnAddress], now: Instant) -> Changes {
        let mut changes = Changes::default();
        let moved = !self.instance.addresses.contains(&address);
        self.answered.retain(|answered| *answered != address);
        self.answered.insert(0, address);
        self.answered.truncate(MAX_ANSWERED_ADDRESSES);
        if moved {
            self.claimed.clear();
        }
        self.arrange(own);
        self.show(moved, now, &mut changes);
        changes
    }

    /// Records that its endpoint may be at `address` as well.
    pub(super) fn guess(&mut self, address: SocketAddr, own: &[OwnAddress]) -> Changes {
        let mut changes = Changes::default();
        let previous = self.instance.addresses.clone();
        if !self.guessed.contains(&address) && !self.reported.contains(&address) {
            self.guessed.insert(0, address);
            self.guessed.truncate(MAX_GUESSED_ADDRESSES);
            self.arrange(own);
        }
        self.record_growth(&previous, &mut changes);
        changes
    }

    /// Applies the addresses that its own node sent. They replace earlier reports, but not an address that answered and was
    /// never among those the node sent: it belongs to network address translation, and the node does not know it.
    fn apply_proof(
        &mut self,
        addresses: &[SocketAddr],
        own: &[OwnAddress],
        now: Instant,
        changes: &mut Changes,
    ) {
        let previous = self.instance.addresses.clone();
        // A full list has been truncated: an address that it lacks may be valid nevertheless.
        let is_complete = self.instance.local || addresses.len() < MAX_ADDRESSES;
        let received = if self.instance.local { addresses.to_vec() } else { usable(addresses, own) };
        if !received.is_empty() && is_complete {
            if self.is_reported_by_node {
                let dropped: Vec<_> =
                    self.reported.iter().filter(|known| !received.contains(known)).collect();
                self.answered.retain(|answered| !dropped.contains(&answered));
            }
            self.reported = received;
            self.arrange(own);
        } else {
            self.add_reported(received, own);
        }
        self.is_reported_by_node = true;
        self.claimed.clear();
        // New addresses of an instance are not a move: it can still be reached as before. Nor is the absence of link-local
        // addresses beside others, because a node sends them only over links on which they are valid.
        let has_other = self.instance.addresses.iter().any(|address| !needs_zone(address.ip()));
        let is_covered = |known: &SocketAddr| {
            self.instance.addresses.contains(known) || has_other && needs_zone(known.ip())
        };
        let moved = is_complete && !previous.iter().all(is_covered);
        self.show(moved, now, changes);
        if changes.events.is_empty() {
            self.record_growth(&previous, changes);
        }
    }

    /// Adds reported addresses, and keeps the best.
    fn add_reported(&mut self, addresses: Vec<SocketAddr>, own: &[OwnAddress]) {
        for address in addresses {
            if !self.reported.contains(&address) {
                self.reported.push(address);
            }
        }
        sort(&mut self.reported, own);
        self.reported.truncate(MAX_ADDRESSES);
        self.arrange(own);
    }

    /// Records the best of the addresses that only others claim for it. If any of them are new, its endpoint is asked.
    fn claim_addresses(&mut self, mut addresses: Vec<SocketAddr>, own: &[OwnAddress], changes: &mut Changes) {
        // Select the same addresses in any order: a host may have more than are stored.
        addresses.sort_unstable();
        sort(&mut addresses, own);
        addresses.truncate(MAX_CLAIMED_ADDRESSES);
        if addresses.iter().all(|address| self.claimed.contains(address)) {
            return;
        }
        self.claimed.retain(|claimed| !addresses.contains(claimed));
        self.claimed.splice(0..0, addresses);
        self.claimed.truncate(MAX_CLAIMED_ADDRESSES);
        // A node sends link-local addresses over a link only if they are valid there, so new ones do not mean that it has moved.
        let is_linked = self.reported_by.contains(&self.instance.node);
        match is_linked && self.claimed.iter().all(|address| needs_zone(address.ip())) {
            true => changes.claimed.push(self.instance.id),
            false => changes.doubts.push(self.instance.id),
        }
    }

    fn record_growth(&self, previous: &[SocketAddr], changes: &mut Changes) {
        if self.is_shown() && self.instance.addresses.iter().any(|address| !previous.contains(address)) {
            changes.grown.push(self.instance.clone());
        }
    }

    fn show(&mut self, moved: bool, now: Instant, changes: &mut Changes) {
        let was_shown = self.is_shown();
        self.state = EntryState::Verified;
        self.verified_at = Some(now);
        if !was_shown {
            changes.events.push(DirectoryEvent::Up(self.instance.clone()));
        } else if moved {
            changes.events.push(DirectoryEvent::Moved(self.instance.clone()));
        }
    }

    fn record_source(&mut self, source: AdvertSource, now: Instant) {
        self.reported_at = now;
        match source {
            AdvertSource::Local => {}
            // Caches do not answer by multicast: the reply comes from the process itself, or from an impostor.
            AdvertSource::Mdns | AdvertSource::Reply(_) => {
                self.by_mdns = true;
                self.replied_at = Some(now);
            }
            AdvertSource::Peer(peer) | AdvertSource::Caller(peer) => {
                if !self.reported_by.contains(&peer) && self.reported_by.len() < MAX_SOURCES {
                    self.reported_by.push(peer);
                }
            }
        }
    }
}
