//! The discovery actor: owns what a node knows of its mesh, and everything that keeps that knowledge true.
//!
//! ```text
//! announcements ┐                          ┌── watchers (merged, bounded)
//! replies ──────┼──▶ Directory (pure) ─────┼── links to peers (own services, or all that is known)
//! links ────────┘         │                └── lists that wait until nothing new comes
//!                         └─ doubts ─▶ the endpoint is asked: its handshake settles them
//! ```
//!
//! The actor only decides. Sockets are held by plain tasks, each with at most one message to the actor under way, so
//! that its mailbox is bounded by their number.

mod asking;
mod dialling;
mod finding;
mod handing_on;
mod link;
mod multicast;
mod offering;
mod own_interfaces;
mod peers;
mod presence;
mod proving;
mod reaching;
mod static_peers;
#[cfg(test)]
mod tests;
mod watching;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::addresses::OwnAddress;
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{Changes, Directory, DirectoryEvent, Instance, Source};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::ServiceName;

use crate::clock;
use crate::config::Config;
use crate::enduring;
use crate::host_changes::HostChanges;
use crate::mdns::Mdns;
use crate::mdns::nics::Nics;
use crate::stats::DiscoveryStats;
use crate::traffic;
pub use finding::{Ask, AskAgain, AskReplied, List, Seek};
pub use offering::{Announce, Leave, Relocated, Withdraw};
pub use own_interfaces::FollowAddresses;
pub use peers::PeerArrived;
pub use presence::{Failed, Proved};
pub use proving::{AskHidden, Prove, Proving};
pub use reaching::Verdict;
pub use watching::{Addresses, Watch, Watcher};

use asking::Asking;
use dialling::Dialling;
use finding::Finding;
use handing_on::HandingOn;
use link::LinkId;
use multicast::Multicast;
use offering::Offering;
use own_interfaces::{Change, OwnInterfaces};
use peers::Links;
use presence::Presence;
use static_peers::StaticPeers;
use watching::Watchers;

/// How often the actor looks after what no event would bring up.
const TICK: Duration = Duration::from_millis(250);
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
    mdns: Option<Mdns>,
    offering: Offering,
    watchers: Watchers,
    finding: Finding,
    asking: Asking,
    multicast: Multicast,
    presence: Presence,
    dialling: Dialling,
    links: Links,
    handing_on: HandingOn,
    static_peers: StaticPeers,
}

impl Discovery {
    /// Starts the actor of `node` on the current arbiter, and with it mDNS and the links to static peers. It runs until
    /// [`Leave`].
    ///
    /// # Errors
    /// What the system says when it gives no thread.
    ///
    /// # Panics
    /// Outside of an actix `System` or a `LocalSet`.
    pub fn start_for(config: &Arc<Config>, node: NodeId) -> io::Result<Addr<Self>> {
        let mdns = match config.network.has_multicast() {
            true => Some(Mdns::start(config.interfaces.clone(), &nics(config))?),
            false => None,
        };
        let config = Arc::clone(config);
        Ok(enduring::start(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let is_system = config.network.has_multicast();
            let changes = if is_system { HostChanges::watch() } else { HostChanges::none() };
            let keep = traffic::resume_window(&config.limits);
            let own_interfaces = OwnInterfaces::new(config.interfaces.clone(), keep, changes);
            let mut discovery = Self {
                directory: Directory::new(config.mesh.clone(), node, &config.limits),
                own_interfaces,
                host_addresses: Vec::new(),
                mdns,
                offering: Offering::default(),
                watchers: Watchers::default(),
                finding: Finding::default(),
                asking: Asking::default(),
                multicast: Multicast::default(),
                presence: Presence::default(),
                dialling: Dialling::default(),
                links: Links::default(),
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

    /// Takes in what another node, or somebody in its name, says of a service.
    fn hear(&mut self, advert: Advert, source: Source, now: Instant) -> Changes {
        self.directory.hear(advert, source, now)
    }

    /// Reads all addresses of this host, also those of interfaces that are not used: which addresses are this host's own, and
    /// which are near, does not depend on the choice. Returns whether they have changed.
    fn read_host_addresses(&mut self) -> bool {
        let own = self.config.network.own_addresses();
        // There are none where they cannot be read.
        if own.is_empty() || own == self.host_addresses {
            return false;
        }
        self.directory.set_own_addresses(own.clone());
        self.handing_on.keep_to(&own);
        self.host_addresses = own;
        true
    }

    /// Tells everybody who is concerned what changed. `origin` is the link that brought the news, if one did.
    fn apply(&mut self, changes: Changes, origin: Option<LinkId>, ctx: &mut Context<Self>) {
        if !changes.events.is_empty() {
            self.finding.changed(clock::now());
        }
        if let Some(node) = changes.hides {
            tracing::warn!(
                %node,
                limit = "instances_per_node",
                kept = self.config.limits.instances_per_node,
                "a program offers more services than are kept of one: those beyond are found by their exact names only"
            );
        }
        if !changes.events.is_empty() || !changes.grown.is_empty() {
            self.tell_peers(&changes, origin, ctx);
        }
        for instance in changes.grown {
            self.tell_dialling(instance.id);
            self.watchers.push_growth(instance);
        }
        for event in changes.events {
            match &event {
                DirectoryEvent::Up(instance) => {
                    self.found(&instance.service);
                    self.tend(instance.node, ctx);
                }
                DirectoryEvent::Down { instance, .. } => self.lost_again(&instance.service, ctx),
                DirectoryEvent::Moved(_) => {}
            }
            self.tell_dialling(event.instance().id);
            self.watchers.push(event);
        }
        for claimed in changes.claimed {
            self.tell_dialling(claimed);
        }
        for doubted in changes.doubts {
            self.tell_dialling(doubted);
            if self.cares_about(doubted) {
                self.settle(doubted, ctx);
            }
        }
        self.answer_lists(ctx);
    }

    /// Whether anybody here would notice if an instance came or went.
    fn cares_about(&self, id: InstanceId) -> bool {
        self.directory.candidate(id).is_some_and(|instance| self.cares_about_name(&instance.service))
    }

    fn cares_about_name(&self, name: &ServiceName) -> bool {
        self.presence.is_looking() || self.watchers.want(name) || self.finding.seeks(name)
    }

    fn hello(&self, instance: Option<InstanceId>, purpose: Purpose) -> Hello {
        Hello { instance, purpose, ..self.config.hello(self.node) }
    }

    /// Whether an instance is known to live: its node is connected and told of it, or it just gave a sign of life.
    fn is_alive(&self, instance: &Instance, now: Instant) -> bool {
        let linked = self.links.reach(instance.node) && self.directory.is_told_by(instance.id, instance.node);
        instance.local || linked || self.directory.is_fresh(instance.id, now)
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        self.directory.expire(now);
        let links = &self.links;
        let filled = self.directory.fill(|node| links.reach(node), now);
        self.apply(filled, None, ctx);
        self.watchers.prune();
        self.look_after_nodes(ctx);
        self.look_around(ctx);
        self.try_again_for_peers(ctx);
        self.multicast.close_idle(now);
        if let Some(change) = self.own_interfaces.read(now) {
            if self.read_host_addresses() {
                // Links outlive an address that goes and comes back.
                self.try_all_for_peers(&self.links.ends(), ctx);
            }
            if change == Change::Some {
                self.offer_again(ctx);
                if let Some(mdns) = &self.mdns {
                    mdns.repeat();
                }
            }
            self.hear_on_interfaces(ctx);
        }
    }

    /// Announces, listens and asks on the interfaces that there are now.
    fn hear_on_interfaces(&mut self, ctx: &mut Context<Self>) {
        if !self.config.network.has_multicast() {
            return;
        }
        let nics = Nics::of(self.own_interfaces.connected());
        if let Some(mdns) = &self.mdns {
            mdns.use_nics(&nics);
        }
        if self.open_multicast(nics, ctx) {
            self.ask_what_was_missed(ctx);
        }
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::tick);
        self.ask_due(ctx);
    }
}

impl Supervised for Discovery {
    fn restarting(&mut self, _: &mut Self::Context) {
        // The timers that were to do this are gone.
        self.finding.check_again();
        self.asking.forget_plan();
    }
}

/// Asks for what is known of the mesh, in numbers.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "DiscoveryStats")]
pub struct AskDiscoveryStats;

impl Handler<AskDiscoveryStats> for Discovery {
    type Result = MessageResult<AskDiscoveryStats>;

    fn handle(&mut self, _: AskDiscoveryStats, _: &mut Self::Context) -> Self::Result {
        let (displaced, refused) = self.directory.crowded_out();
        let multicast = self.multicast.observations(clock::now());
        MessageResult(DiscoveryStats {
            instances: self.directory.shown() as u64,
            displaced,
            refused,
            mdns_restarts: self.mdns.as_ref().map_or(0, Mdns::replaced),
            one_shot_questions: multicast.oneshot_questions,
            ordinary_questions: multicast.ordinary_questions,
            replies: multicast.replies_by_unicast,
            announcements: multicast.heard_by_multicast,
        })
    }
}

/// The interfaces that multicast uses now; none where the system does not tell.
fn nics(config: &Config) -> Nics {
    config.interfaces.list().map(|list| Nics::of(&list)).unwrap_or_default()
}
