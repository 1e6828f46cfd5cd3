//! The discovery actor: owns a node's knowledge of its mesh, and everything that keeps it true.
//!
//! ```text
//! announcements ┐                          ┌── watchers (merged, bounded)
//! replies ──────┼──▶ Directory (pure) ─────┼── links to peers (own services, or all that is known)
//! links ────────┘         │                └── lists that wait until nothing new comes
//!                         └─ doubts ─▶ the endpoint is asked: its handshake settles them
//! ```
//!
//! Each part of it (queries, searches, lists, presence, verification, links …) is a type of its own, which takes the time and whatever
//! it needs as arguments, and returns effects. `actor` dispatches each message to a part and carries the effects out, and
//! nothing else does. Sockets are held by plain tasks, each with at most one message to the actor under way, so that its
//! mailbox is bounded by their number.

pub mod mdns;
pub mod report;

mod actor;
mod announce;
mod dial_history;
mod effect;
mod interest;
mod liveness;
mod multicast;
mod peers;
mod probe;
mod search;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use meshzero_proto::discovery::addresses::OwnAddress;
use meshzero_proto::discovery::directory::Directory;
use meshzero_proto::id::NodeId;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::discovery::mdns::Mdns;
use crate::discovery::mdns::interface_table::Nics;
use crate::link::config;
use crate::net::host::changes::HostChanges;
use crate::runtime::control_actor;
pub use announce::interfaces::FollowAddresses;
pub use announce::services::{Announce, Leave, Relocated, Withdraw};
pub use liveness::listed::{Prove, Proving};
pub use liveness::verification::{Failed, Proved};
pub use peers::table::PeerArrived;
pub use probe::Verdict;
pub use search::lists::List;
pub use search::searches::{AskAgain, Seek};
pub use search::watch::{Addresses, Watch, Watcher};
pub use status::{Ask, AskDiscoveryStats, AskHidden, AskReplied};

use announce::interfaces::OwnInterfaces;
use announce::services::Offering;
use dial_history::Dialling;
use liveness::nodes::Presence;
use liveness::verification::Probes;
use multicast::Multicast;
use peers::address_verification::HandingOn;
use peers::static_peers::StaticPeers;
use peers::table::Links;
use probe::slots;
use search::lists::Lists;
use search::query::Asking;
use search::searches::Finding;
use search::watch::Watchers;

/// Messages that may wait without the sender waiting. Peers that arrive while it is full are turned away.
const MAILBOX: usize = 256;

/// The discovery actor of one node.
pub struct Discovery {
    config: Arc<Config>,
    node: NodeId,
    directory: Directory,
    own_interfaces: OwnInterfaces,
    /// All addresses of this host.
    host_addresses: Vec<OwnAddress>,
    offering: Offering,
    watchers: Watchers,
    finding: Finding,
    lists: Lists,
    asking: Asking,
    /// The timer for the next question.
    question_timer: Option<SpawnHandle>,
    multicast: Multicast,
    presence: Presence,
    probes: Probes,
    dialling: Dialling,
    /// The slots that all attempts to connect share.
    slots: Rc<Semaphore>,
    links: Links,
    handing_on: HandingOn,
    static_peers: StaticPeers,
}

impl Discovery {
    /// Starts the actor of `node` on the current arbiter, and with it mDNS and the links to static peers. It runs until
    /// [`Leave`].
    ///
    /// # Errors
    /// The system's error if it gives no thread.
    ///
    /// # Panics
    /// Outside of an actix `System` or a `LocalSet`.
    pub fn start_for(config: &Arc<Config>, node: NodeId) -> io::Result<Addr<Self>> {
        let mdns = match config.network.has_multicast() {
            true => Some(Mdns::start(config.interfaces.clone(), &nics(config))?),
            false => None,
        };
        let config = Arc::clone(config);
        Ok(control_actor::start(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let is_system = config.network.has_multicast();
            let changes = if is_system { HostChanges::watch() } else { HostChanges::none() };
            let keep = config::resume_window(&config.limits);
            let own_interfaces = OwnInterfaces::new(config.interfaces.clone(), keep, changes);
            let mut discovery = Self {
                directory: Directory::new(config.mesh.clone(), node, &config.limits),
                own_interfaces,
                host_addresses: Vec::new(),
                offering: Offering::new(mdns),
                watchers: Watchers::default(),
                finding: Finding::default(),
                lists: Lists::default(),
                asking: Asking::default(),
                question_timer: None,
                multicast: Multicast::default(),
                presence: Presence::default(),
                probes: Probes::default(),
                dialling: Dialling::default(),
                slots: slots(),
                links: Links::new(config.limits.instances),
                handing_on: HandingOn::default(),
                static_peers: StaticPeers::default(),
                config,
                node,
            };
            discovery.read_host_addresses();
            discovery.hear_on_interfaces(ctx);
            discovery.connect_static_peers(ctx);
            discovery
        }))
    }
}

/// The interfaces that multicast uses now; none where they cannot be read.
fn nics(config: &Config) -> Nics {
    config.interfaces.list().map(|list| Nics::of(&list)).unwrap_or_default()
}
