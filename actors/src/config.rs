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
    /// Endpoints of the mesh, as `host:port`, that are asked and told what is known where multicast does not pass.
    pub peers: Vec<String>,
    /// The ports that endpoints may have; the system chooses where this is `None`.
    pub ports: Option<RangeInclusive<u16>>,
    /// The limits, shared by all parts of the node.
    pub limits: Arc<Limits>,
    /// For how long a connection looks for bytes again and again before its thread may sleep.
    pub spin: Duration,
    /// The network that its connections come from.
    pub network: Network,
}

impl Config {
    /// Returns the hello of a node with this configuration: of a probe that expects no certain instance, for others to fill in.
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
