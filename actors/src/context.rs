//! The context of a node, shared by its parts: identity, configuration, thread, timers, limits and tables.

use std::sync::Arc;

use actix::{Addr, Handler, Message, WeakRecipient};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::limits::Limits;
use meshzero_proto::wire::hello::{Hello, Purpose};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::discovery::Discovery;
use crate::link::config::LinkConfig;
use crate::runtime::executor::{Executor, MeshClosed};
use crate::runtime::shutdown::{ShutdownHandles, ShutdownSignal};
use crate::runtime::timer::Timers;
use crate::server::registry::ServiceRegistry;
use crate::server::service::environment::Environment;
use crate::telemetry::stats::GetStats;
use crate::telemetry::subscriptions::SubscriptionRegistry;

/// The membership of a node in its mesh, held by everything that needs the node to stay joined: the node leaves when
/// the last holder drops it.
pub(crate) trait Membership: Send + Sync {
    /// Returns the reason why no calls are possible any more, in words.
    fn end_reason(&self) -> String;
}

/// The context of a node: one for the node, its router and all its routes.
pub struct NodeContext {
    /// The configuration.
    pub config: Arc<Config>,
    /// The hello on which all others are based: without an instance and a purpose.
    pub hello: Hello,
    /// The thread that the node runs on.
    pub executor: Executor,
    /// The timers.
    pub timers: Arc<Timers>,
    /// The settings and resources shared by the node's connections.
    pub link_config: LinkConfig,
    /// The limits of decoding a message of a Rust type.
    pub decode_limits: DecodeLimits,
    /// The discovery actor.
    pub(crate) discovery: Addr<Discovery>,
    /// The services that the node offers.
    pub(crate) services: Arc<ServiceRegistry>,
    /// The subscriptions.
    pub(crate) subscriptions: Arc<SubscriptionRegistry>,
    /// The gateways of the node, which shut down before it leaves.
    pub(crate) gateways: ShutdownHandles,
    /// The permit to examine this host for a diagnosis: one at a time.
    pub diagnosis_permit: Arc<Semaphore>,
    /// The signal that the node leaves: all routes end with it.
    pub shutdown: Arc<ShutdownSignal>,
}

impl NodeContext {
    /// The environment of a service of this node. The statistics of the whole node come from `node_stats`.
    pub(crate) fn environment(&self, node_stats: WeakRecipient<GetStats>) -> Environment {
        Environment {
            mesh: self.hello.mesh.clone(),
            node: self.hello.node,
            executor: self.executor.clone(),
            timers: Arc::clone(&self.timers),
            link_config: self.link_config.clone(),
            decode_limits: self.decode_limits,
            node_stats,
        }
    }

    /// The node's identity.
    pub(crate) fn id(&self) -> NodeId {
        self.hello.node
    }

    /// The limits.
    pub fn limits(&self) -> &Arc<Limits> {
        // The same limits as in the configuration, with one indirection less: every call reads them.
        &self.link_config.limits
    }

    /// Returns the hello of a connection for `purpose`, to a certain instance or to any.
    pub(crate) fn hello_for(&self, instance: Option<InstanceId>, purpose: Purpose) -> Hello {
        Hello { instance, purpose, ..self.hello.clone() }
    }

    /// Sends a request to the discovery actor, and waits for its reply.
    ///
    /// # Errors
    /// [`MeshClosed`]: the node has left, or its thread has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future stops waiting.
    pub(crate) async fn ask_discovery<M>(&self, message: M) -> Result<M::Result, MeshClosed>
    where
        M: Message<Result: Send> + Send + 'static,
        Discovery: Handler<M>,
    {
        self.executor.wait_for(self.discovery.send(message)).await?.map_err(|_| MeshClosed)
    }
}
