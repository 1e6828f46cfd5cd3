//! The discovery actor: owns what a node knows of its mesh, and everything that keeps that knowledge true.
//!
//! ```text
//! mDNS thread ──┐                          ┌── watchers (merged, bounded)
//! replies ──────┼──▶ Directory (pure) ─────┼── links to peers (own services, or all that is known)
//! links ────────┘         │                └── lists that wait until nothing new comes
//!                         └─ doubts ─▶ the endpoint is asked: its handshake settles them
//! ```
//!
//! The actor only decides. Sockets are held by plain tasks, each with at most one message to the actor under way, so
//! that its mailbox is bounded by their number.

mod asking;
mod finding;
mod link;
mod offering;
mod peers;
mod presence;
mod reaching;
mod static_peers;
#[cfg(test)]
mod tests;
mod watching;

use std::io;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::addresses::{OwnAddress, order};
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{Changes, Directory, DirectoryEvent, Instance, Source};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::limits::Limits;
use meshzero_proto::name::ServiceName;
use tokio::sync::mpsc;

use crate::clock;
use crate::config::Config;
use crate::enduring;
use crate::interfaces::Interfaces;
use crate::mdns::{Heard, Mdns};
use crate::stats::DiscoveryStats;
pub use finding::{Ask, List, Report, Seek};
pub use offering::{Announce, Leave, Withdraw};
pub use presence::{Failed, Proved};
pub use reaching::Verdict;
pub use watching::{Watch, Watcher};

use asking::Asking;
use finding::Finding;
use link::LinkId;
use offering::Offering;
use peers::Links;
use presence::Presence;
use static_peers::StaticPeers;
use watching::Watchers;

/// How often the actor looks after what no event would bring up.
const TICK: Duration = Duration::from_millis(250);
/// How much mDNS news may wait for the actor before the listening thread does.
const NEWS: usize = 1_024;
/// How much of it is handled at once.
const NEWS_AT_ONCE: usize = 256;
/// Messages that may wait without the sender waiting. Peers that arrive while it is full are turned away.
const MAILBOX: usize = 256;
/// How often the addresses of this host are read again.
const READ_ADDRESSES: Duration = Duration::from_secs(5);

/// The discovery actor of one node.
pub struct Discovery {
    config: Config,
    node: NodeId,
    directory: Directory,
    own_addresses: Vec<OwnAddress>,
    addresses_read: Instant,
    mdns: Option<Mdns>,
    offering: Offering,
    watchers: Watchers,
    finding: Finding,
    asking: Asking,
    presence: Presence,
    links: Links,
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
    pub fn start_for(config: &Config, node: NodeId) -> io::Result<Addr<Self>> {
        let (heard, news) = mpsc::channel(NEWS);
        let mdns = match config.network.has_multicast() {
            true => Some(Mdns::start(config.interfaces.clone(), most_records(&config.limits), heard)?),
            false => None,
        };
        let config = config.clone();
        Ok(enduring::start(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            actix_rt::spawn(pass_on(news, ctx.address()));
            let mut discovery = Self {
                directory: Directory::new(config.mesh.clone(), node, &config.limits),
                own_addresses: own_addresses(&config.interfaces),
                addresses_read: clock::now(),
                mdns,
                offering: Offering::default(),
                watchers: Watchers::default(),
                finding: Finding::default(),
                asking: Asking::default(),
                presence: Presence::default(),
                links: Links::default(),
                static_peers: StaticPeers::default(),
                config,
                node,
            };
            discovery.connect_static_peers(ctx);
            discovery
        }))
    }

    /// Takes in what another node, or somebody in its name, says of a service: of its addresses those that can be meant
    /// for this host, best first.
    fn hear(&mut self, advert: Advert, source: Source, now: Instant) -> Changes {
        let addresses = order(&advert.addresses, &self.own_addresses);
        self.directory.hear(Advert { addresses, ..advert }, source, now)
    }

    /// Tells everybody who is concerned what changed. `origin` is the link that brought the news, if one did.
    fn apply(&mut self, changes: Changes, origin: Option<LinkId>, ctx: &mut Context<Self>) {
        if !changes.events.is_empty() {
            self.finding.changed(clock::now());
            self.tell_peers(&changes.events, origin);
        }
        for event in changes.events {
            if let DirectoryEvent::Up(instance) = &event {
                self.finding.found(&instance.service);
                self.tend(instance.node, ctx);
            }
            self.watchers.push(event);
        }
        for doubted in changes.doubts {
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
        let message_bytes = u32::try_from(self.config.limits.message_bytes).unwrap_or(u32::MAX);
        Hello {
            mesh: self.config.mesh.clone(),
            node: self.node,
            instance,
            purpose,
            message_bytes,
            resume: None,
            pieces: true,
            standby: None,
        }
    }

    /// Whether an instance is known to live: its node is connected and told of it, or it just gave a sign of life.
    fn is_alive(&self, instance: &Instance, now: Instant) -> bool {
        let linked = self.links.reach(instance.node) && self.directory.is_told_by(instance.id, instance.node);
        instance.local || linked || self.directory.is_fresh(instance.id, now)
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        self.directory.expire(now);
        self.watchers.prune();
        self.look_after_nodes(ctx);
        self.look_around(ctx);
        if now.duration_since(self.addresses_read) >= READ_ADDRESSES {
            self.addresses_read = now;
            let own_addresses = own_addresses(&self.config.interfaces);
            if own_addresses != self.own_addresses {
                self.own_addresses = own_addresses;
                self.offer_again(ctx);
            }
        }
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Supervised for Discovery {
    fn restarting(&mut self, _: &mut Self::Context) {
        // The timer that was to check them is gone.
        self.finding.check_again();
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
        MessageResult(DiscoveryStats {
            instances: self.directory.shown() as u64,
            displaced,
            refused,
            mdns_restarts: self.mdns.as_ref().map_or(0, Mdns::replaced),
        })
    }
}

/// News from the mDNS thread.
#[derive(Message)]
#[rtype(result = "()")]
struct Batch(Vec<Heard>);

impl Handler<Batch> for Discovery {
    type Result = ();

    fn handle(&mut self, Batch(batch): Batch, ctx: &mut Self::Context) {
        let mut changes = Changes::default();
        for heard in batch {
            changes.append(match heard {
                Heard::Up(advert) if advert.leaving => self.hear_goodbye(advert.instance),
                Heard::Up(advert) => self.hear_from_mdns(advert),
                Heard::Down(instance) => self.hear_goodbye(instance),
                Heard::Missed => {
                    self.ask_what_was_missed(ctx);
                    Changes::default()
                }
            });
        }
        self.apply(changes, None, ctx);
    }
}

/// How many DNS records the mDNS daemon may remember: four times as many as the directory's instances have, because some
/// are of other meshes, and a host may have several addresses.
fn most_records(limits: &Limits) -> usize {
    limits.instances.saturating_mul(16)
}

async fn pass_on(mut news: mpsc::Receiver<Heard>, discovery: Addr<Discovery>) {
    let mut batch = Vec::new();
    while news.recv_many(&mut batch, NEWS_AT_ONCE).await > 0 {
        let passed = discovery.send(Batch(std::mem::take(&mut batch))).await;
        // It fails as well when handling it panicked, and then the next may do better.
        if passed.is_err() && !discovery.connected() {
            return;
        }
    }
}

fn own_addresses(interfaces: &Interfaces) -> Vec<OwnAddress> {
    match interfaces.list() {
        Ok(list) => list.into_iter().map(|interface| interface.address).collect(),
        Err(error) => {
            tracing::warn!(%error, "the addresses of this host are unknown");
            Vec::new()
        }
    }
}
