//! The configuration of a node: plain data.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use meshzero_proto::id::NodeId;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::MeshName;
use meshzero_proto::wire::hello::{Hello, Purpose};

use crate::net::interfaces::Interfaces;
use crate::net::network::Network;

/// The configuration of a node.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The mesh to join.
    pub mesh: MeshName,
    /// The interfaces to use.
    pub interfaces: Interfaces,
    /// Static peers: endpoints of the mesh, as `host:port`, with which nodes exchange updates where multicast does not pass.
    pub peers: Vec<String>,
    /// The ports that endpoints may have; the system chooses where this is `None`.
    pub ports: Option<RangeInclusive<u16>>,
    /// The limits, shared by all parts of the node.
    pub limits: Arc<Limits>,
    /// The time for which a connection polls for bytes before its thread may sleep.
    pub spin: Duration,
    /// The network that its connections come from.
    pub network: Network,
}

impl Config {
    /// Returns the hello of a node with this configuration, for a probe of any instance; callers fill in the rest.
    pub(crate) fn hello(&self, node: NodeId) -> Hello {
        Hello {
            mesh: self.mesh.clone(),
            node,
            instance: None,
            purpose: Purpose::Probe,
            message_bytes: u32::try_from(self.limits.message_bytes).unwrap_or(u32::MAX),
            resume: None,
            pieces: true,
            standby: None,
        }
    }
}
