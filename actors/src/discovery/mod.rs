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
mod asking;
mod dialling;
mod effect;
mod evidence;
mod finding;
mod handing_on;
mod interest;
mod link;
mod lists;
mod multicast;
mod offering;
mod own_interfaces;
mod peer_dial;
mod peers;
mod presence;
mod proving;
mod reaching;
mod static_peers;
mod status;
mod telling;
#[cfg(test)]
mod tests;
mod verification;
mod watching;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use meshzero_proto::addresses::OwnAddress;
use meshzero_proto::directory::Directory;
use meshzero_proto::id::NodeId;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::discovery::mdns::Mdns;
use crate::discovery::mdns::nics::Nics;
use crate::link::config;
use crate::net::host::changes::HostChanges;
use crate::runtime::control_actor;
pub use finding::{AskAgain, Seek};
pub use lists::List;
pub use offering::{Announce, Leave, Relocated, Withdraw};
pub use own_interfaces::FollowAddresses;
pub use peers::PeerArrived;
pub use proving::{Prove, Proving};
pub use reaching::Verdict;
pub use status::{Ask, AskDiscoveryStats, AskHidden, AskReplied};
pub use verification::{Failed, Proved};
pub use watching::{Addresses, Watch, Watcher};

use asking::Asking;
use dialling::Dialling;
use finding::Finding;
use handing_on::HandingOn;
use lists::Lists;
use multicast::Multicast;
use offering::Offering;
use own_interfaces::OwnInterfaces;
use peers::Links;
use presence::Presence;
use reaching::slots;
use static_peers::StaticPeers;
use verification::Probes;
use watching::Watchers;

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
