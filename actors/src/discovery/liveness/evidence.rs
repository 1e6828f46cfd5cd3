//! Evidence that instances and nodes are alive: links, updates over them, and responses.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use meshzero_proto::discovery::directory::{Directory, Instance};
use meshzero_proto::id::{InstanceId, NodeId};

use crate::discovery::dial_history::DialHistory;
use crate::discovery::liveness::verification::NEW_AGE;
use crate::discovery::peers::table::PeerLinks;

/// The time for which an answer of the endpoint makes a probe unnecessary.
const RECENT: Duration = Duration::from_secs(5);

/// The evidence at one time.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) links: &'a PeerLinks,
    pub(crate) now: Instant,
}

impl Evidence<'_> {
    /// Returns whether an instance is known to be alive: its node is connected and lists it, or it just responded.
    pub(crate) fn is_alive(self, instance: &Instance) -> bool {
        instance.local || self.vouches(instance) || self.directory.is_fresh(instance.id, self.now)
    }

    /// Returns whether an instance has answered this node lately, or its node vouches for it over a link that this node
    /// dialled.
    pub(crate) fn has_answered(self, instance: &Instance) -> bool {
        let linked = self.links.have_dialled(instance.node)
            && self.directory.is_reported_by(instance.id, instance.node);
        instance.local || linked || self.directory.is_proved(instance.id, RECENT, self.now)
    }

    /// Returns whether the node of an instance is connected and lists it.
    pub(crate) fn is_vouched_for(self, id: InstanceId) -> bool {
        self.directory.candidate(id).is_some_and(|instance| self.vouches(&instance))
    }

    fn vouches(self, instance: &Instance) -> bool {
        self.links.reach(instance.node) && self.directory.is_reported_by(instance.id, instance.node)
    }

    /// Returns whether the node of an instance is connected.
    pub(crate) fn is_linked(self, id: InstanceId) -> bool {
        self.directory.candidate(id).is_some_and(|instance| self.links.reach(instance.node))
    }

    /// Returns whether an instance has proved itself since `then`: it was verified, or its node listed it.
    pub(crate) fn is_proved_since(self, id: InstanceId, then: Instant) -> bool {
        self.directory.is_proved(id, self.now.saturating_duration_since(then), self.now)
    }

    /// Returns whether a node is connected, or one of its instances has proved itself since `then`.
    pub(crate) fn is_node_proved_since(self, node: NodeId, then: Instant) -> bool {
        let is_proved = |instance: &Instance| self.is_proved_since(instance.id, then);
        self.links.reach(node) || self.directory.of_node(node).iter().any(is_proved)
    }

    /// Returns whether an instance that was found dead may be about to withdraw. One whose node is connected would have
    /// withdrawn over the link.
    pub(crate) fn may_withdraw(self, instance: &Instance, history: &DialHistory) -> bool {
        self.directory.is_new(instance.id, NEW_AGE, self.now)
            && !history.has_left(instance.id)
            && !self.directory.is_reported_by(instance.id, instance.node)
    }

    /// Returns whether `node` has answered at another address than `at` within the time `silence`, so that silence there does
    /// not count.
    pub(crate) fn has_left_address(self, node: NodeId, at: IpAddr, silence: Duration) -> bool {
        self.directory.of_node(node).iter().any(|Instance { id, .. }| {
            let elsewhere = self.directory.answered(*id).is_some_and(|address| address.ip() != at);
            elsewhere && self.directory.is_proved(*id, silence, self.now)
        })
    }
}
