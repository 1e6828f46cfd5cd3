//! One instance in the directory: how far it is to be believed, and what an advert or a proof changes about it.

use std::net::SocketAddr;
use std::time::Instant;

use super::claims::{Claim, Origin};
use super::{ASK_AGAIN, Changes, DirectoryEvent, FRESH, Instance, Source};
use crate::advert::{Advert, MAX_ADDRESSES};
use crate::id::NodeId;

/// How many addresses that were claimed for a verified instance are kept until they are tried.
const MAX_CLAIMED: usize = 8;
/// How many peers are remembered as having told of one instance.
const MAX_TELLERS: usize = 16;

/// How far an instance is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Somebody said so. It is shown.
    Heard,
    /// Its own node proved it. It is shown.
    Verified,
    /// It was found dead. It is not shown until it proves itself.
    Doubted {
        /// When its endpoint was last asked.
        asked: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) instance: Instance,
    pub(super) standing: Standing,
    /// Who told of it first.
    pub(super) origin: Origin,
    /// Addresses that a hint named for a verified instance, not tried yet.
    pub(super) claimed: Vec<SocketAddr>,
    pub(super) by_mdns: bool,
    /// The peers whose links told of it.
    pub(super) told_by: Vec<NodeId>,
    /// When it was first heard of.
    pub(super) since: Instant,
    pub(super) heard_at: Instant,
    pub(super) verified_at: Option<Instant>,
    pub(super) replied_at: Option<Instant>,
}

impl Entry {
    pub(super) fn new(advert: Advert, source: Source, now: Instant) -> Self {
        let proved = source == Source::Local || source == Source::Peer(advert.node);
        let mut entry = Self {
            instance: Instance {
                id: advert.instance,
                node: advert.node,
                service: advert.service,
                addresses: advert.addresses,
                local: source == Source::Local,
            },
            standing: if proved { Standing::Verified } else { Standing::Heard },
            origin: Origin::from(source),
            claimed: Vec::new(),
            by_mdns: false,
            told_by: Vec::new(),
            since: now,
            heard_at: now,
            verified_at: proved.then_some(now),
            replied_at: None,
        };
        entry.note(source, now);
        entry
    }

    pub(super) fn is_shown(&self) -> bool {
        !matches!(self.standing, Standing::Doubted { .. })
    }

    /// Its place among those that only others speak for, if it is one of them.
    pub(super) fn claim(&self) -> Option<Claim> {
        let is_claim = self.standing != Standing::Verified && !self.instance.local;
        is_claim.then_some((self.is_shown(), self.heard_at, self.instance.id))
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) <= FRESH);
        self.is_shown() && (self.instance.local || recent(self.verified_at) || recent(self.replied_at))
    }

    pub(super) fn hear(&mut self, advert: Advert, source: Source, now: Instant) -> Changes {
        let mut changes = Changes::default();
        if advert.node != self.instance.node || advert.service != self.instance.service {
            // Two stories about one identity: at most one is true, and the endpoint knows which.
            if self.standing == Standing::Heard {
                changes.doubts.push(self.instance.id);
            }
            return changes;
        }
        self.note(source, now);
        if source == Source::Local || source == Source::Peer(advert.node) {
            self.prove(advert.addresses, now, &mut changes);
            return changes;
        }
        let unknown: Vec<SocketAddr> =
            advert.addresses.into_iter().filter(|a| !self.instance.addresses.contains(a)).collect();
        match self.standing {
            Standing::Heard if unknown.is_empty() => {}
            // Addresses are only ever added here: two nodes that tell each other come to an end.
            Standing::Heard if self.instance.addresses.len() < MAX_ADDRESSES => {
                // The first record of an instance may carry only some of its addresses.
                self.instance.addresses.extend(unknown);
                self.instance.addresses.truncate(MAX_ADDRESSES);
                changes.events.push(DirectoryEvent::Moved(self.instance.clone()));
            }
            Standing::Heard => changes.doubts.push(self.instance.id),
            Standing::Verified => {
                let claims: Vec<_> = unknown.into_iter().filter(|a| !self.claimed.contains(a)).collect();
                if !claims.is_empty() {
                    self.claimed.extend(claims);
                    let surplus = self.claimed.len().saturating_sub(MAX_CLAIMED);
                    self.claimed.drain(..surplus);
                    changes.doubts.push(self.instance.id);
                }
            }
            Standing::Doubted { asked } => {
                if now.saturating_duration_since(asked) >= ASK_AGAIN {
                    self.standing = Standing::Doubted { asked: now };
                    // What was known led nowhere.
                    self.instance.addresses.retain(|a| !unknown.contains(a));
                    self.instance.addresses.splice(0..0, unknown);
                    self.instance.addresses.truncate(MAX_ADDRESSES);
                    changes.doubts.push(self.instance.id);
                }
            }
        }
        changes
    }

    /// The endpoint at `address` proved to be this instance.
    pub(super) fn verified(&mut self, address: SocketAddr, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let moved = !self.instance.addresses.contains(&address);
        let mut addresses = vec![address];
        addresses.extend(self.instance.addresses.iter().filter(|a| **a != address));
        addresses.truncate(MAX_ADDRESSES);
        self.instance.addresses = addresses;
        if moved {
            self.claimed.clear();
        }
        self.show(moved, now, &mut changes);
        changes
    }

    /// Its own node told where it listens: that replaces what was known.
    fn prove(&mut self, addresses: Vec<SocketAddr>, now: Instant, changes: &mut Changes) {
        let mut moved = false;
        if !addresses.is_empty() {
            // Learning more addresses of an instance is no move: it is still where it was.
            moved = self.instance.addresses.iter().any(|known| !addresses.contains(known));
            self.instance.addresses = addresses;
        }
        self.claimed.clear();
        self.show(moved, now, changes);
    }

    fn show(&mut self, moved: bool, now: Instant, changes: &mut Changes) {
        let was_shown = self.is_shown();
        self.standing = Standing::Verified;
        self.verified_at = Some(now);
        if !was_shown {
            changes.events.push(DirectoryEvent::Up(self.instance.clone()));
        } else if moved {
            changes.events.push(DirectoryEvent::Moved(self.instance.clone()));
        }
    }

    fn note(&mut self, source: Source, now: Instant) {
        self.heard_at = now;
        match source {
            Source::Local => {}
            Source::Mdns => self.by_mdns = true,
            Source::Reply(_) => {
                self.by_mdns = true;
                self.replied_at = Some(now);
            }
            Source::Peer(peer) | Source::Caller(peer) => {
                if !self.told_by.contains(&peer) && self.told_by.len() < MAX_TELLERS {
                    self.told_by.push(peer);
                }
            }
        }
    }
}
