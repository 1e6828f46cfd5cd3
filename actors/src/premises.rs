//! What the parts of one node have in common: who it is, where it lives, its bounds, its clock and its tables.

use std::sync::Arc;

use actix::{Addr, WeakRecipient};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::hello::Hello;
use tokio::sync::Semaphore;

use crate::alarms::Alarms;
use crate::discovery::Discovery;
use crate::ending::{Ending, ShutdownHandles};
use crate::environment::Environment;
use crate::home::Home;
use crate::own::Own;
use crate::stats::AskStats;
use crate::subscribed::Subscriptions;
use crate::traffic::Carrying;

/// The same for the node, its router and all its routes.
pub struct Premises {
    /// What the node says first on a connection, but for its purpose.
    pub hello: Hello,
    /// Where it lives.
    pub home: Home,
    /// Its alarm clock.
    pub alarms: Arc<Alarms>,
    /// What its message connections have in common, its bounds among it.
    pub carrying: Carrying,
    /// What decoding a message of a Rust type may cost.
    pub decode_limits: DecodeLimits,
    /// The discovery actor.
    pub discovery: Addr<Discovery>,
    /// The services that it offers.
    pub own: Arc<Own>,
    /// What it listens to.
    pub subscriptions: Arc<Subscriptions>,
    /// Its gateways, which shut down before it leaves.
    pub(crate) gateways: ShutdownHandles,
    /// The permit to examine this host for a diagnosis: one at a time.
    pub looking: Arc<Semaphore>,
    /// The moment in which it leaves: all routes end with it.
    pub ending: Arc<Ending>,
}

impl Premises {
    /// The environment of a service of this node. The statistics of the whole node come from `node_stats`.
    pub(crate) fn environment(&self, node_stats: WeakRecipient<AskStats>) -> Environment {
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
}
