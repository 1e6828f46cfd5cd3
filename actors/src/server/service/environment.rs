//! The settings and resources with which every service of a node is created.

use std::sync::Arc;

use actix::WeakRecipient;
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::id::NodeId;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::MeshName;

use crate::link::config::LinkConfig;
use crate::runtime::executor::Executor;
use crate::runtime::timer::Timers;
use crate::server::publisher::Publisher;
use crate::telemetry::stats::GetStats;

/// The settings and resources with which every service of a node is created.
#[derive(Clone)]
pub(crate) struct Environment {
    /// The mesh that the node belongs to.
    pub(crate) mesh: MeshName,
    /// The node.
    pub(crate) node: NodeId,
    /// The thread of the service's actor and connections.
    pub(crate) executor: Executor,
    /// The node's timers.
    pub(crate) timers: Arc<Timers>,
    /// The settings of connections, the limits among them.
    pub(crate) link_config: LinkConfig,
    /// The limits of decoding a message of a Rust type.
    pub(crate) decode_limits: DecodeLimits,
    /// The source of the node's statistics; its services do not keep it alive.
    pub(crate) node_stats: WeakRecipient<GetStats>,
}

impl Environment {
    /// The limits.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.link_config.limits
    }

    /// A publisher without topics and subscribers.
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(self.limits(), &self.timers)
    }
}
