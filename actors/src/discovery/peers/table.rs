//! The open links to other nodes, and the updates that are sent and received over them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use actix::Message;
use meshzero_proto::discovery::addresses::{LinkEnds, OwnAddress};
use meshzero_proto::discovery::directory::{AdvertSource, Changes, Directory, DownReason, Instance};
use meshzero_proto::discovery::peer::PeerUpdate;
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::wire::hello::Hello;
use tokio::sync::mpsc;

use crate::discovery::peers::link::{
    PeerAccepted, PeerConnected, PeerLinkId, PeerLinkOrigin, PeerUpdateReceived,
};
use crate::discovery::peers::updates::{Peer, PeerView};
use crate::net::connection::Connection;
use crate::net::zone;

/// A connection that another node opened to exchange updates about the mesh.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PeerConnection {
    /// The connection, after the handshake.
    pub connection: Connection,
    /// The peer's first message.
    pub hello: Hello,
}

/// The most links of a node, and the most to one node: two nodes may dial each other at the same moment.
const MAX_LINKS: usize = 1_024;
const MAX_LINKS_PER_NODE: usize = 4;
/// The most updates that wait for a peer before it is dropped. It will dial again and receive everything.
const MAX_PENDING_UPDATES: usize = 64;

/// An address of an instance that its node did not advertise.
enum ObservedAddress {
    /// The address of an open link.
    Proved(SocketAddr),
    /// Another endpoint of its node answered at this IP address.
    Likely(SocketAddr),
}

/// The open links.
pub(crate) struct PeerLinks {
    links: BTreeMap<PeerLinkId, PeerLink>,
    next: u64,
    /// The instances that came over a link that forwards: they are sent over the other links as well.
    forwarded: HashSet<InstanceId>,
    max_forwarded: usize,
    guard: mpsc::Sender<()>,
    ended: Option<mpsc::Receiver<()>>,
}

struct PeerLink {
    node: NodeId,
    ends: LinkEnds,
    origin: PeerLinkOrigin,
    forwards: bool,
    since: Instant,
    out: Option<mpsc::Sender<Vec<u8>>>,
}

/// A link that ended.
pub(crate) struct Ended {
    pub(crate) node: NodeId,
    /// The address of the other end.
    pub(crate) other: IpAddr,
    pub(crate) since: Instant,
}

impl PeerLink {
    fn peer(&self) -> Peer {
        Peer { node: self.node, ends: self.ends, forwards: self.forwards }
    }
}

impl PeerLinks {
    /// Creates an empty table. At most `max_forwarded` instances of others are forwarded.
    pub(crate) fn new(max_forwarded: usize) -> Self {
        let (guard, ended) = mpsc::channel(1);
        Self {
            links: BTreeMap::new(),
            next: 0,
            forwarded: HashSet::new(),
            max_forwarded,
            guard,
            ended: Some(ended),
        }
    }

    /// Adds a link that has completed the handshake, unless there are too many.
    pub(crate) fn admit(
        &mut self,
        connected: &PeerConnected,
        keep_alive: Duration,
        now: Instant,
    ) -> Option<PeerAccepted> {
        let PeerConnected { node, ends, origin, forwards } = *connected;
        if !self.has_room(node) {
            return None;
        }
        let id = PeerLinkId(self.next);
        self.next += 1;
        let (sender, out) = mpsc::channel(MAX_PENDING_UPDATES);
        self.links.insert(id, PeerLink { node, ends, origin, forwards, since: now, out: Some(sender) });
        Some(PeerAccepted { link: id, keep_alive, out, guard: self.guard.clone() })
    }

    /// Removes a link that ended.
    pub(crate) fn remove(&mut self, id: PeerLinkId) -> Option<Ended> {
        let PeerLink { node, ends, since, .. } = self.links.remove(&id)?;
        Some(Ended { node, other: ends.other, since })
    }

    /// Returns whether there are no links.
    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Returns whether there is a link to `node`.
    pub(crate) fn reach(&self, node: NodeId) -> bool {
        self.links.values().any(|link| link.node == node)
    }

    /// Returns whether there is a link to `node` that this node has dialled, so that the other can be reached.
    pub(crate) fn have_dialled(&self, node: NodeId) -> bool {
        self.links
            .values()
            .any(|link| link.node == node && matches!(link.origin, PeerLinkOrigin::Dialled { .. }))
    }

    /// Returns the hosts of the nodes that are connected, without repetition.
    pub(crate) fn hosts(&self) -> Vec<IpAddr> {
        let hosts: BTreeSet<IpAddr> = self.links.values().map(|link| link.ends.other).collect();
        hosts.into_iter().collect()
    }

    /// Makes every link send its pending updates and end. The future completes when all have ended.
    pub(crate) fn close(&mut self) -> impl Future<Output = ()> + 'static {
        self.links.clear();
        let (guard, _) = mpsc::channel(1);
        self.guard = guard;
        let ended = self.ended.take();
        async move {
            if let Some(mut ended) = ended {
                // Nothing is ever sent: this waits until the last task has ended.
                ended.recv().await;
            }
        }
    }

    fn has_room(&self, node: NodeId) -> bool {
        let of_node = self.links.values().filter(|link| link.node == node).count();
        self.ended.is_some() && self.links.len() < MAX_LINKS && of_node < MAX_LINKS_PER_NODE
    }

    /// Returns whether all links, or this one, are to other programs of the same host.
    pub(crate) fn are_on_one_host(&self, only: Option<PeerLinkId>, own: &[OwnAddress]) -> bool {
        self.selected(only).all(|(_, link)| link.ends.is_same_host(own))
    }

    /// Returns the ends of all links, or of this one, over which an instance is sent.
    pub(crate) fn concerned(
        &self,
        instance: &Instance,
        only: Option<PeerLinkId>,
        directory: &Directory,
    ) -> impl Iterator<Item = LinkEnds> {
        let peers = self.selected(only).map(|(_, link)| link.peer());
        peers.filter(|peer| peer.receives(instance, directory, &self.forwarded)).map(|peer| peer.ends)
    }

    fn selected(&self, only: Option<PeerLinkId>) -> impl Iterator<Item = (&PeerLinkId, &PeerLink)> {
        self.links.iter().filter(move |(id, _)| only.is_none_or(|only| only == **id))
    }

    /// Sends a new peer everything that it may know.
    pub(crate) fn send_all(&mut self, id: PeerLinkId, view: PeerView<'_>) {
        let Some(link) = self.links.get(&id) else { return };
        let update = view.all(link.peer(), &self.forwarded);
        self.send_update(id, &update);
    }

    /// Sends an instance to the peers that reach it at this address, where it has answered.
    pub(crate) fn send_address(&mut self, instance: &Instance, address: SocketAddr, view: PeerView<'_>) {
        let update = self.links.iter().filter_map(|(id, link)| {
            Some((*id, view.address(link.peer(), instance, address, &self.forwarded)?))
        });
        for (id, update) in update.collect::<Vec<_>>() {
            self.send_update(id, &update);
        }
    }

    /// Sends changes to the peers that do not know them from elsewhere. `origin` is the link that brought them, if one did.
    pub(crate) fn send_changes(&mut self, changes: &Changes, origin: Option<PeerLinkId>, view: PeerView<'_>) {
        let ids: Vec<PeerLinkId> = self.links.keys().copied().filter(|id| Some(*id) != origin).collect();
        for id in ids {
            if let Some(link) = self.links.get(&id) {
                let update = view.changes(link.peer(), changes, &self.forwarded);
                self.send_update(id, &update);
            }
        }
    }

    /// Forgets an instance that is gone.
    pub(crate) fn forget(&mut self, instance: InstanceId) {
        self.forwarded.remove(&instance);
    }

    /// Sends an update to a peer. One that does not keep up is dropped.
    fn send_update(&mut self, id: PeerLinkId, update: &PeerUpdate) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let frames = update.to_frames();
        if let Some(out) = &link.out
            && !frames.is_empty()
            && out.try_send(frames).is_err()
        {
            tracing::debug!(node = %link.node, "a peer does not keep up and is dropped");
            link.out = None;
        }
    }

    /// Enters an update from a peer in the directory, on a host with the addresses `own`. `is_interesting` returns whether an
    /// instance matters here.
    pub(crate) fn receive_update(
        &mut self,
        PeerUpdateReceived { link: id, update }: PeerUpdateReceived,
        directory: &mut Directory,
        own: &[OwnAddress],
        is_interesting: impl Fn(&Directory, InstanceId) -> bool,
        now: Instant,
    ) -> Changes {
        let mut changes = Changes::default();
        let Some(link) = self.links.get(&id) else { return changes };
        let PeerLink { node, forwards, ends, origin, .. } = *link;
        let source = match origin {
            PeerLinkOrigin::Dialled { .. } => AdvertSource::Peer(node),
            PeerLinkOrigin::Accepted => AdvertSource::Caller(node),
        };
        let is_same_host = ends.is_same_host(own);
        for mut advert in update.known {
            advert.addresses = advert
                .addresses
                .into_iter()
                .filter_map(|address| zone::with_zone_of_link(ends.zone, address))
                .collect();
            if !is_same_host {
                // Loopback of the other host is not that of this one.
                advert.addresses.retain(|address| !address.ip().is_loopback());
            }
            let (id, port) = (advert.instance, advert.addresses.first().map(SocketAddr::port));
            // There may be a router between the two that translates addresses.
            let observed = match origin {
                PeerLinkOrigin::Dialled { instance, address } if instance == id => {
                    Some(ObservedAddress::Proved(address))
                }
                PeerLinkOrigin::Dialled { .. } if advert.node == node => {
                    let at = port.map(|port| SocketAddr::new(ends.other, port));
                    at.and_then(|at| zone::with_zone_of_link(ends.zone, at)).map(ObservedAddress::Likely)
                }
                PeerLinkOrigin::Dialled { .. } | PeerLinkOrigin::Accepted => None,
            };
            if forwards && !directory.is_carried_by_mdns(id) && self.forwarded.len() < self.max_forwarded {
                self.forwarded.insert(id);
            }
            changes.append(directory.add_advert(advert, source, now));
            match observed {
                // The link was made to this address, so it is valid, whatever the node knows of itself.
                Some(ObservedAddress::Proved(address)) => {
                    changes.append(directory.record_proof(id, address, now))
                }
                Some(ObservedAddress::Likely(address)) => changes.append(directory.add_guess(id, address)),
                None => {}
            }
        }
        for gone in update.gone {
            let changed = directory.withdraw_report(gone, source, now);
            let is_unimportant = !changed.doubts.is_empty() && !is_interesting(directory, gone);
            changes.append(if is_unimportant {
                directory.remove_instance(gone, DownReason::Withdrawn, now)
            } else {
                changed
            });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(n: u8) -> PeerConnected {
        let ends = LinkEnds { own: None, other: [10, 0, 0, n].into(), zone: 0 };
        PeerConnected {
            node: NodeId::from_random([n; 16]),
            ends,
            origin: PeerLinkOrigin::Accepted,
            forwards: false,
        }
    }

    fn admit(links: &mut PeerLinks, n: u8) -> Option<PeerAccepted> {
        links.admit(&accepted(n), Duration::from_secs(10), Instant::now())
    }

    #[test]
    fn a_node_has_few_links_and_none_once_this_one_leaves() {
        let mut links = PeerLinks::new(10);
        let (node, started) = (accepted(1).node, Instant::now());
        let admitted: Vec<_> = std::iter::from_fn(|| admit(&mut links, 1)).collect();
        assert_eq!(admitted.len(), MAX_LINKS_PER_NODE);
        assert!(admit(&mut links, 2).is_some(), "another node");
        assert!(links.reach(node) && !links.have_dialled(node));
        let ended = links.remove(admitted[0].link).expect("it is open");
        assert!(ended.node == node && ended.since >= started && links.remove(admitted[0].link).is_none());
        assert!(admit(&mut links, 1).is_some(), "there is room again");
        drop(links.close());
        assert!(links.is_empty() && admit(&mut links, 3).is_none());
    }

    #[test]
    fn a_peer_that_does_not_keep_up_is_dropped_after_its_pending_updates() {
        let mut links = PeerLinks::new(10);
        let PeerAccepted { link, mut out, .. } = admit(&mut links, 1).expect("it is the first");
        let update = PeerUpdate { known: Vec::new(), gone: vec![InstanceId::from_random([1; 16])] };
        for _ in 0..MAX_PENDING_UPDATES + 5 {
            links.send_update(link, &update);
        }
        let sent = std::iter::from_fn(|| out.try_recv().ok()).count();
        assert_eq!((sent, out.is_closed()), (MAX_PENDING_UPDATES, true));
    }
}
