//! What the parts of one node have in common: who it is, where it lives, its bounds, its clock and its tables.

use std::sync::Arc;

use actix::Addr;
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::hello::Hello;
use tokio::sync::Semaphore;

use crate::alarms::Alarms;
use crate::discovery::Discovery;
use crate::ending::Ending;
use crate::home::Home;
use crate::networkzero::Gateways;
use crate::own::Own;
use crate::subscriptions::Subscriptions;
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
    /// Its gateways, which end before it leaves.
    pub gateways: Gateways,
    /// The permit to examine this host for a diagnosis: one at a time.
    pub looking: Arc<Semaphore>,
    /// The moment in which it leaves: all routes end with it.
    pub ending: Arc<Ending>,
}
