//! The content of an update to a peer: services of this node, and of others where the peer does not know them from elsewhere.

use std::collections::HashSet;
use std::net::SocketAddr;

use meshzero_proto::discovery::addresses::{LinkEnds, OwnAddress, select_for_peer};
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::directory::{Changes, Directory, DirectoryEvent, Filter, Instance};
use meshzero_proto::discovery::peer::PeerUpdate;
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::MeshName;

use crate::discovery::peers::address_verification::{AddressVerification, candidates_for};

/// The other end of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) ends: LinkEnds,
    /// Set if one end has the other as a static peer: services of other nodes are forwarded.
    pub(crate) forwards: bool,
}

impl Peer {
    /// Returns whether the peer receives an instance. Those in `forwarded` came over a link that forwards, and are sent
    /// over all links.
    pub(crate) fn receives(
        self,
        instance: &Instance,
        directory: &Directory,
        forwarded: &HashSet<InstanceId>,
    ) -> bool {
        let is_foreign_to_peer = instance.node != self.node
            && (self.forwards || forwarded.contains(&instance.id))
            && !directory.is_reported_by(instance.id, self.node);
        instance.local || is_foreign_to_peer
    }
}

/// The knowledge that peers receive.
#[derive(Clone, Copy)]
pub(crate) struct PeerView<'a> {
    pub(crate) mesh: &'a MeshName,
    pub(crate) directory: &'a Directory,
    pub(crate) verification: &'a AddressVerification,
    /// All addresses of this host.
    pub(crate) own: &'a [OwnAddress],
}

impl PeerView<'_> {
    /// Returns the first update to a new peer: everything that it may know.
    pub(crate) fn all(self, peer: Peer, forwarded: &HashSet<InstanceId>) -> PeerUpdate {
        let mut all = self.directory.select(&Filter::everything());
        all.retain(|instance| peer.receives(instance, self.directory, forwarded));
        let known = all.iter().filter_map(|instance| self.advert(peer, instance)).collect();
        PeerUpdate { known, gone: Vec::new() }
    }

    /// Returns the update about these changes.
    pub(crate) fn changes(
        self,
        peer: Peer,
        changes: &Changes,
        forwarded: &HashSet<InstanceId>,
    ) -> PeerUpdate {
        let mut update = PeerUpdate::default();
        for instance in &changes.grown {
            if peer.receives(instance, self.directory, forwarded) {
                update.known.extend(self.advert(peer, instance));
            }
        }
        for event in &changes.events {
            if !peer.receives(event.instance(), self.directory, forwarded) {
                continue;
            }
            match event {
                DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => {
                    update.known.extend(self.advert(peer, instance));
                }
                DirectoryEvent::Down { instance, .. } => update.gone.push(instance.id),
            }
        }
        update
    }

    /// Returns the update about an instance that has answered at an address; `None` if the peer does not reach this host there.
    pub(crate) fn address(
        self,
        peer: Peer,
        instance: &Instance,
        address: SocketAddr,
        forwarded: &HashSet<InstanceId>,
    ) -> Option<PeerUpdate> {
        let is_concerned = candidates_for(instance, peer.ends, self.own).contains(&address)
            && peer.receives(instance, self.directory, forwarded);
        is_concerned.then(|| PeerUpdate {
            known: self.advert(peer, instance).into_iter().collect(),
            gone: Vec::new(),
        })
    }

    /// Returns the advert of an instance as it is sent to a peer; `None` if the peer cannot reach it.
    fn advert(self, peer: Peer, instance: &Instance) -> Option<Advert> {
        let addresses = self.verification.addresses_for(instance, peer.ends, self.own);
        let addresses = select_for_peer(&addresses, peer.ends, self.own);
        (!addresses.is_empty()).then(|| Advert {
            instance: instance.id,
            node: instance.node,
            mesh: self.mesh.clone(),
            service: instance.service.clone(),
            addresses,
            leaving: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use meshzero_proto::discovery::directory::AdvertSource;
    use meshzero_proto::limits::Limits;
    use meshzero_proto::name::ServiceName;

    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_random([n; 16])
    }

    fn instance(n: u8) -> InstanceId {
        InstanceId::from_random([n; 16])
    }

    /// Returns the service of a node, with the same number, on a host of its own.
    fn advert(n: u8) -> Advert {
        Advert {
            instance: instance(n),
            node: node(n),
            mesh: MeshName::default(),
            service: ServiceName::new(format!("service/{n}")).expect("a name"),
            addresses: vec![([10, 0, 0, n], 9_000).into()],
            leaving: false,
        }
    }

    /// Returns what node 1 sends to node 2 about itself, node 2 and node 3, over a link that forwards or not.
    fn sent(forwards: bool, forwarded: &[InstanceId], reported_by: Option<NodeId>) -> Vec<InstanceId> {
        let (mesh, now) = (MeshName::default(), Instant::now());
        let mut directory = Directory::new(mesh.clone(), node(1), &Limits::default());
        directory.add_advert(advert(1), AdvertSource::Local, now);
        directory.add_advert(advert(2), AdvertSource::Mdns, now);
        directory.add_advert(advert(3), reported_by.map_or(AdvertSource::Mdns, AdvertSource::Peer), now);
        let own = [OwnAddress { ip: [10, 0, 0, 1].into(), prefix: 24 }];
        let ends = LinkEnds { own: Some([10, 0, 0, 1].into()), other: [10, 0, 0, 2].into(), zone: 0 };
        let verification = AddressVerification::default();
        let view = PeerView { mesh: &mesh, directory: &directory, verification: &verification, own: &own };
        let peer = Peer { node: node(2), ends, forwards };
        let update = view.all(peer, &forwarded.iter().copied().collect());
        let mut known: Vec<InstanceId> = update.known.iter().map(|advert| advert.instance).collect();
        known.sort();
        known
    }

    #[test]
    fn a_peer_receives_services_of_others_only_if_it_does_not_know_them_from_elsewhere() {
        let mut both = [instance(1), instance(3)];
        both.sort();
        assert_eq!(sent(false, &[], None), [instance(1)], "it receives the others by multicast");
        assert_eq!(sent(true, &[], None), both, "one of the two is a static peer");
        assert_eq!(sent(false, &[instance(3)], None), both, "it came from a static peer");
        assert_eq!(sent(true, &[], Some(node(2))), [instance(1)], "the peer already knows it");
    }
}
