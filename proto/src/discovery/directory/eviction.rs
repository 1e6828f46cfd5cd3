//! The order in which instances are evicted from the directory, and the source that each of them counts against.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use super::AdvertSource;
use crate::id::{InstanceId, NodeId};

/// The first source of an instance, as far as senders can be distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClaimOrigin {
    /// This node.
    Own,
    /// Any sender by multicast.
    Multicast,
    /// A host that replied to a question. Its address cannot be chosen freely if it has to receive replies.
    Host(IpAddr),
    /// A peer.
    Peer(NodeId),
}

impl From<AdvertSource> for ClaimOrigin {
    fn from(source: AdvertSource) -> Self {
        match source {
            AdvertSource::Local => Self::Own,
            AdvertSource::Mdns => Self::Multicast,
            AdvertSource::Reply(host) => Self::Host(host),
            AdvertSource::Peer(peer) | AdvertSource::Caller(peer) => Self::Peer(peer),
        }
    }
}

/// The credibility of a report that an instance exists, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Credibility {
    /// A report from anywhere on the network.
    Hint,
    /// A report from a peer. A peer reports an instance once, and again when it is gone.
    Report,
    /// A report from the node that offers it, which has proved its identity.
    Proof,
}

impl Credibility {
    /// Returns the credibility of `source` for an instance of `node`.
    pub(super) fn of(source: AdvertSource, node: NodeId) -> Self {
        match source {
            AdvertSource::Local => Self::Proof,
            AdvertSource::Peer(peer) if peer == node => Self::Proof,
            AdvertSource::Peer(_) | AdvertSource::Caller(_) => Self::Report,
            AdvertSource::Mdns | AdvertSource::Reply(_) => Self::Hint,
        }
    }
}

/// The position of an unverified instance in the eviction order; the lowest is evicted first. Dead instances come first, then
/// those whose last report is the oldest.
pub(super) type Claim = (bool, Instant, InstanceId);

/// The unverified remote instances in eviction order. A flood of them must be cheap, so no operation is linear.
#[derive(Debug, Default)]
pub(super) struct EvictionOrder {
    all: BTreeSet<Claim>,
    by_origin: HashMap<ClaimOrigin, BTreeSet<Claim>>,
}

impl EvictionOrder {
    /// Returns the number of instances first reported by `origin`.
    pub(super) fn of(&self, origin: ClaimOrigin) -> usize {
        self.by_origin.get(&origin).map_or(0, BTreeSet::len)
    }

    /// Returns the first instance to evict of those reported by `origin`.
    pub(super) fn first_of(&self, origin: ClaimOrigin) -> Option<Claim> {
        self.by_origin.get(&origin)?.first().copied()
    }

    /// Returns the first instance to evict of all.
    pub(super) fn first(&self) -> Option<Claim> {
        self.all.first().copied()
    }

    /// Moves an instance of `origin` to another position, or removes it.
    pub(super) fn change(&mut self, origin: ClaimOrigin, before: Option<Claim>, after: Option<Claim>) {
        if before == after {
            return;
        }
        let of_origin = self.by_origin.entry(origin).or_default();
        if let Some(before) = before {
            self.all.remove(&before);
            of_origin.remove(&before);
        }
        if let Some(after) = after {
            self.all.insert(after);
            of_origin.insert(after);
        }
        if of_origin.is_empty() {
            self.by_origin.remove(&origin);
        }
    }
}
