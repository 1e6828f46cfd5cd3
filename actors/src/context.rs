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

/// The membership of a node in its mesh, as it is held by what needs the node to stay joined: the node leaves when the last is dropped.
pub(crate) trait Membership: Send + Sync {
    /// Returns why nobody can be called any more, in words.
    fn why_it_ended(&self) -> String;
}

/// The context of a node: one for the node, its router and all its routes.
pub struct NodeContext {
    /// The configuration.
    pub config: Arc<Config>,
    /// The hello that others are made of: without an instance and a purpose.
    pub hello: Hello,
    /// The thread that it lives on.
    pub home: Executor,
    /// The timers.
    pub alarms: Arc<Timers>,
    /// The settings and resources that its message connections share.
    pub carrying: LinkConfig,
    /// The limits of decoding a message of a Rust type.
    pub decode_limits: DecodeLimits,
    /// The discovery actor.
    pub(crate) discovery: Addr<Discovery>,
    /// The services that it offers.
    pub(crate) own: Arc<ServiceRegistry>,
    /// The subscriptions.
    pub(crate) subscriptions: Arc<SubscriptionRegistry>,
    /// Its gateways, which shut down before it leaves.
    pub(crate) gateways: ShutdownHandles,
    /// The permit to examine this host for a diagnosis: one at a time.
    pub looking: Arc<Semaphore>,
    /// The signal that it leaves: all routes end with it.
    pub ending: Arc<ShutdownSignal>,
}

impl NodeContext {
    /// The environment of a service of this node. The statistics of the whole node come from `node_stats`.
    pub(crate) fn environment(&self, node_stats: WeakRecipient<GetStats>) -> Environment {
        Environment {
            mesh: self.hello.mesh.clone(),
            node: self.hello.node,
            home: self.home.clone(),
            alarms: Arc::clone(&self.alarms),
            carrying: self.carrying.clone(),
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
        // The same as in the configuration, and nearer: calls look here.
        &self.carrying.limits
    }

    /// Returns the hello of a connection for `purpose`, to a certain instance or to any.
    pub(crate) fn hello_for(&self, instance: Option<InstanceId>, purpose: Purpose) -> Hello {
        Hello { instance, purpose, ..self.hello.clone() }
    }

    /// Asks the discovery actor.
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
        self.home.hear(self.discovery.send(message)).await?.map_err(|_| MeshClosed)
    }
}
