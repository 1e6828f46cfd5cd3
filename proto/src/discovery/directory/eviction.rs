//! Who makes way for whom in the directory, and whose fault it is that there are so many.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use super::AdvertSource;
use crate::id::{InstanceId, NodeId};

/// Who was the first to tell of an instance, as far as senders can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClaimOrigin {
    /// This node.
    Own,
    /// Somebody by multicast.
    Multicast,
    /// A host that replied to a question. Its address cannot be chosen freely where replies come back to it.
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

/// Whose word it is that an instance is there, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Credibility {
    /// Anybody's on the network.
    Hint,
    /// A peer's. It tells once, and says so when the instance is gone.
    Told,
    /// The node's that offers it, which has proved who it is.
    Proof,
}

impl Credibility {
    /// The word of `source` on an instance of `node`.
    pub(super) fn of(source: AdvertSource, node: NodeId) -> Self {
        match source {
            AdvertSource::Local => Self::Proof,
            AdvertSource::Peer(peer) if peer == node => Self::Proof,
            AdvertSource::Peer(_) | AdvertSource::Caller(_) => Self::Told,
            AdvertSource::Mdns | AdvertSource::Reply(_) => Self::Hint,
        }
    }
}

/// The place of an instance among those that only others speak for: the first is the first to make way. Those that were
/// found dead come first, and then those that were not heard of for longest.
pub(super) type Claim = (bool, Instant, InstanceId);

/// The instances that only others speak for. A flood of them has to be cheap, so nothing is searched.
#[derive(Debug, Default)]
pub(super) struct EvictionOrder {
    all: BTreeSet<Claim>,
    by_origin: HashMap<ClaimOrigin, BTreeSet<Claim>>,
}

impl EvictionOrder {
    /// How many of them `origin` told of first.
    pub(super) fn of(&self, origin: ClaimOrigin) -> usize {
        self.by_origin.get(&origin).map_or(0, BTreeSet::len)
    }

    /// The first to make way of those that `origin` told of.
    pub(super) fn first_of(&self, origin: ClaimOrigin) -> Option<Claim> {
        self.by_origin.get(&origin)?.first().copied()
    }

    /// The first to make way of all.
    pub(super) fn first(&self) -> Option<Claim> {
        self.all.first().copied()
    }

    /// An instance of `origin` has another place than before, or none.
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
