//! The discovery actor's report, which an error contains.

use std::net::IpAddr;
use std::time::Duration;

use actix::dev::MessageResponse;
use meshzero_proto::diagnosis::{Attempt, MulticastObservations};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;

/// A report of the announcements that discovery has received, and of its obstacles.
#[derive(Debug, Clone, Default, PartialEq, Eq, MessageResponse)]
pub struct DiscoveryReport {
    /// The names of known services, ordered.
    pub service_names: Vec<String>,
    /// Those of them that are on this host only.
    pub local_service_names: Vec<String>,
    /// The number of instances that are known and not stored, because their nodes have reached the limit.
    pub hidden: usize,
    /// The most instances that are stored of one node.
    pub instances_per_node: usize,
    /// Other meshes on the same network.
    pub other_meshes: Vec<String>,
    /// The interfaces on which questions were sent, each with its address.
    pub interfaces: Vec<String>,
    /// The static peers that are not connected, each with the reason.
    pub peers: Vec<String>,
    /// The same, with the addresses that were tried.
    pub static_peers: Vec<UnconnectedPeer>,
    /// The hosts of the nodes that are connected.
    pub connected: Vec<IpAddr>,
    /// The instances that were announced and do not answer.
    pub unanswered: Vec<UnansweredInstance>,
    /// The observations of this node's multicast.
    pub multicast: MulticastObservations,
}

/// An instance that was announced and does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnansweredInstance {
    /// The instance.
    pub instance: InstanceId,
    /// Its name.
    pub service: ServiceName,
    /// The time since its own process replied to a question.
    pub replied_ago: Option<Duration>,
    /// The addresses that were tried.
    pub attempts: Vec<Attempt>,
}

/// A static peer that is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconnectedPeer {
    /// The peer as it was given.
    pub peer: String,
    /// The obstacle.
    pub trouble: String,
    /// The addresses that were tried last.
    pub attempts: Vec<Attempt>,
}
