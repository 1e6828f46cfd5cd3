//! The discovery actor: a node's knowledge of its mesh, and everything that keeps it up to date.
//!
//! ```text
//! announcements ┐                          ┌── watchers (merged, bounded)
//! replies ──────┼──▶ Directory (pure) ─────┼── links to peers (own services, or all that is known)
//! links ────────┘         │                └── lists, answered once nothing new arrives
//!                         └─ doubts ─▶ the endpoint is probed: its handshake settles them
//! ```
//!
//! Each part (queries, searches, lists, liveness, verification, links …) is a type of its own, which takes the time and
//! whatever it needs as arguments, and returns effects. `actor` dispatches each message to a part and executes the effects, and
//! nothing else does. Sockets are owned by plain tasks, each with at most one message to the actor under way, so their number
//! bounds the mailbox.

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
use crate::discovery::mdns::interface_table::InterfaceTable;
use crate::link::config;
use crate::net::host::changes::HostChanges;
use crate::runtime::control_actor;
pub use announce::interfaces::FollowAddresses;
pub use announce::services::{Announce, EndpointMoved, Leave, Withdraw};
pub use liveness::listed_services::{VerifyInstances, VerifyProgress};
pub use liveness::verification::{InstanceUnreachable, InstanceVerified};
pub use peers::table::PeerConnection;
pub use probe::Verdict;
pub use search::lists::ListInstances;
pub use search::searches::{RepeatQueries, Search};
pub use search::watch::{AddressChanges, Watch, Watcher};
pub use status::{CountHidden, GetDiscoveryStats, GetReplyAges, GetReport};

use announce::interfaces::OwnInterfaces;
use announce::services::AnnouncedServices;
use dial_history::DialHistory;
use liveness::nodes::Liveness;
use liveness::verification::Probes;
use multicast::MulticastState;
use peers::address_verification::AddressVerification;
use peers::static_peers::StaticPeers;
use peers::table::PeerLinks;
use probe::slots;
use search::lists::Lists;
use search::query::QueryRounds;
use search::searches::Searches;
use search::watch::Watchers;

/// The mailbox's capacity: a full one makes senders wait. Peers that arrive while it is full are rejected.
const MAILBOX_CAPACITY: usize = 256;

/// The discovery actor of one node.
pub struct Discovery {
    config: Arc<Config>,
    node: NodeId,
    directory: Directory,
    own_interfaces: OwnInterfaces,
    /// All addresses of this host.
    host_addresses: Vec<OwnAddress>,
    announced_services: AnnouncedServices,
    watchers: Watchers,
    searches: Searches,
    lists: Lists,
    query_rounds: QueryRounds,
    /// The timer for the next question.
    question_timer: Option<SpawnHandle>,
    multicast: MulticastState,
    liveness: Liveness,
    probes: Probes,
    dial_history: DialHistory,
    /// The slots that all attempts to connect share.
    slots: Rc<Semaphore>,
    links: PeerLinks,
    address_verification: AddressVerification,
    static_peers: StaticPeers,
}

impl Discovery {
    /// Starts the actor of `node` on the current arbiter, and with it mDNS and the links to static peers. It runs until
    /// [`Leave`].
    ///
    /// # Errors
    /// The system's error if it cannot start a thread.
    ///
    /// # Panics
    /// Outside of an actix `System` or a `LocalSet`.
    pub(crate) fn start_for(config: &Arc<Config>, node: NodeId) -> io::Result<Addr<Self>> {
        let mdns = match config.network.has_multicast() {
            true => Some(Mdns::start(config.interfaces.clone(), &nics(config))?),
            false => None,
        };
        let config = Arc::clone(config);
        Ok(control_actor::spawn_control_actor(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
            let has_multicast = config.network.has_multicast();
            let changes = if has_multicast { HostChanges::watch() } else { HostChanges::none() };
            let grace = config::resume_window(&config.limits);
            let own_interfaces = OwnInterfaces::new(config.interfaces.clone(), grace, changes);
            let mut discovery = Self {
                directory: Directory::new(config.mesh.clone(), node, &config.limits),
                own_interfaces,
                host_addresses: Vec::new(),
                announced_services: AnnouncedServices::new(mdns),
                watchers: Watchers::default(),
                searches: Searches::default(),
                lists: Lists::default(),
                query_rounds: QueryRounds::default(),
                question_timer: None,
                multicast: MulticastState::default(),
                liveness: Liveness::default(),
                probes: Probes::default(),
                dial_history: DialHistory::default(),
                slots: slots(),
                links: PeerLinks::new(config.limits.instances),
                address_verification: AddressVerification::default(),
                static_peers: StaticPeers::default(),
                config,
                node,
            };
            discovery.read_host_addresses();
            discovery.use_interfaces(ctx);
            discovery.connect_static_peers(ctx);
            discovery
        }))
    }
}

/// Returns the interfaces that multicast uses now; none if they cannot be read.
fn nics(config: &Config) -> InterfaceTable {
    config.interfaces.list().map(|list| InterfaceTable::of(&list)).unwrap_or_default()
}
