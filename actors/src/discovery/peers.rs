//! Links to other nodes: which are wanted, and what is told over them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use actix::prelude::*;
use meshzero_proto::addresses::{Ends, to_tell};
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{Changes, DirectoryEvent, Filter, Instance, Source, Why};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::peer::Told;
use tokio::sync::mpsc;

use super::Discovery;
use super::link::{Admitted, Heard, LinkEnded, LinkId, Linked, Way, carry, ends};
use crate::clock;
use crate::connection::Connection;
use crate::zone;

/// A connection that another node opened to tell this one about the mesh.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PeerArrived {
    /// The connection, after the handshake.
    pub connection: Connection,
    /// The peer's first message.
    pub hello: Hello,
}

/// How many links a node keeps, with how many to one node: two nodes may dial each other at the same moment.
const MAX_LINKS: usize = 1_024;
const MAX_LINKS_PER_NODE: usize = 4;
/// How many tellings wait for a peer before it is given up; it dials again and is told all there is.
const TELLINGS: usize = 64;

/// An address of an instance that its node did not advertise.
enum Seen {
    /// A link stands that leads there.
    Proved(SocketAddr),
    /// Another endpoint of its node answered at this IP address.
    Likely(SocketAddr),
}

/// The links that stand.
pub(super) struct Links {
    links: BTreeMap<LinkId, Link>,
    next: u64,
    /// Instances that a link which hands on told of: links that hand on nothing else are told of these.
    handed_on: HashSet<InstanceId>,
    guard: mpsc::Sender<()>,
    guarded: Option<mpsc::Receiver<()>>,
}

struct Link {
    node: NodeId,
    ends: Ends,
    way: Way,
    hand_on: bool,
    since: Instant,
    out: Option<mpsc::Sender<Vec<u8>>>,
}

impl Default for Links {
    fn default() -> Self {
        let (guard, guarded) = mpsc::channel(1);
        Self { links: BTreeMap::new(), next: 0, handed_on: HashSet::new(), guard, guarded: Some(guarded) }
    }
}

impl Links {
    /// Whether a link to `node` stands.
    pub(super) fn reach(&self, node: NodeId) -> bool {
        self.links.values().any(|link| link.node == node)
    }

    /// Whether a link to `node` stands that this node has made, so that the other can be reached.
    pub(super) fn have_dialled(&self, node: NodeId) -> bool {
        self.links.values().any(|link| link.node == node && matches!(link.way, Way::Dialled { .. }))
    }

    /// The hosts of the nodes that are connected, without repetition.
    pub(super) fn hosts(&self) -> Vec<IpAddr> {
        let hosts: BTreeSet<IpAddr> = self.links.values().map(|link| link.ends.other).collect();
        hosts.into_iter().collect()
    }

    /// Lets every link send what waits and end; the future is ready when all have.
    pub(super) fn close(&mut self) -> impl Future<Output = ()> + 'static {
        self.links.clear();
        let (guard, _) = mpsc::channel(1);
        self.guard = guard;
        let guarded = self.guarded.take();
        async move {
            if let Some(mut guarded) = guarded {
                // Nothing is ever sent: this waits until the last task has let go.
                guarded.recv().await;
            }
        }
    }

    fn is_welcome(&self, node: NodeId) -> bool {
        let of_node = self.links.values().filter(|link| link.node == node).count();
        self.guarded.is_some() && self.links.len() < MAX_LINKS && of_node < MAX_LINKS_PER_NODE
    }

    /// Every link with its ends.
    pub(super) fn ends(&self) -> Vec<(LinkId, Ends)> {
        self.links.iter().map(|(id, link)| (*id, link.ends)).collect()
    }

    pub(super) fn tell(&mut self, id: LinkId, told: &Told) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let frames = told.to_frames();
        if let Some(out) = &link.out
            && !frames.is_empty()
            && out.try_send(frames).is_err()
        {
            tracing::debug!(node = %link.node, "a peer does not keep up and is dropped");
            link.out = None;
        }
    }
}

impl Discovery {
    /// Passes on what changed to the peers that do not know it from elsewhere.
    pub(super) fn tell_peers(&mut self, changes: &Changes, origin: Option<LinkId>, ctx: &mut Context<Self>) {
        for event in &changes.events {
            if matches!(event, DirectoryEvent::Down { .. }) && !event.instance().local {
                self.links.handed_on.remove(&event.instance().id);
                self.handing_on.forget(event.instance().id);
            }
        }
        if self.links.links.is_empty() {
            return;
        }
        let events = changes.events.iter().filter(|event| !matches!(event, DirectoryEvent::Down { .. }));
        let shown = events.map(DirectoryEvent::instance);
        let links = self.links.ends();
        for instance in changes.grown.iter().chain(shown) {
            self.try_for_peers(instance, &links, ctx);
        }
        let ids: Vec<LinkId> = self.links.links.keys().copied().filter(|id| Some(*id) != origin).collect();
        for id in ids {
            let mut told = Told::default();
            for instance in &changes.grown {
                if self.concerns(id, instance) {
                    told.known.extend(self.advert(id, instance));
                }
            }
            for event in &changes.events {
                match event {
                    DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => {
                        if self.concerns(id, instance) {
                            told.known.extend(self.advert(id, instance));
                        }
                    }
                    DirectoryEvent::Down { instance, .. } => {
                        if self.concerns(id, instance) {
                            told.gone.push(instance.id);
                        }
                    }
                }
            }
            self.links.tell(id, &told);
        }
    }

    /// Whether a peer is to be told of an instance.
    pub(super) fn concerns(&self, id: LinkId, instance: &Instance) -> bool {
        let Some(link) = self.links.links.get(&id) else { return false };
        let foreign = instance.node != link.node
            && (link.hand_on || self.links.handed_on.contains(&instance.id))
            && !self.directory.is_told_by(instance.id, link.node);
        instance.local || foreign
    }

    /// The advert of an instance as it is sent to a peer; `None` if the peer cannot reach it.
    pub(super) fn advert(&self, id: LinkId, instance: &Instance) -> Option<Advert> {
        let ends = self.links.links.get(&id)?.ends;
        let addresses = to_tell(&self.addresses_for(instance, ends), ends, &self.host_addresses);
        (!addresses.is_empty()).then(|| Advert {
            instance: instance.id,
            node: instance.node,
            mesh: self.config.mesh.clone(),
            service: instance.service.clone(),
            addresses,
            leaving: false,
        })
    }

    fn hear_told(&mut self, id: LinkId, told: Told) -> Changes {
        let mut changes = Changes::default();
        let Some(link) = self.links.links.get(&id) else { return changes };
        let Link { node, hand_on, ends, way, .. } = *link;
        let source = match way {
            Way::Dialled { .. } => Source::Peer(node),
            Way::Accepted => Source::Caller(node),
        };
        let same_host = ends.are_on_one_host(&self.host_addresses);
        let now = clock::now();
        for mut advert in told.known {
            advert.addresses = advert
                .addresses
                .into_iter()
                .filter_map(|address| zone::heard_on(ends.zone, address))
                .collect();
            if !same_host {
                // Its loopback is not this one.
                advert.addresses.retain(|address| !address.ip().is_loopback());
            }
            let (id, port) = (advert.instance, advert.addresses.first().map(SocketAddr::port));
            // Between the two may be a router that translates addresses.
            let seen = match way {
                Way::Dialled { instance, address } if instance == id => Some(Seen::Proved(address)),
                Way::Dialled { .. } if advert.node == node => {
                    let at = port.map(|port| SocketAddr::new(ends.other, port));
                    at.and_then(|at| zone::heard_on(ends.zone, at)).map(Seen::Likely)
                }
                Way::Dialled { .. } | Way::Accepted => None,
            };
            if hand_on
                && !self.directory.is_heard_by_mdns(id)
                && self.links.handed_on.len() < self.config.limits.instances
            {
                self.links.handed_on.insert(id);
            }
            changes.append(self.hear(advert, source, now));
            match seen {
                // The link leads there: that is an address, whatever the node knows of itself.
                Some(Seen::Proved(address)) => changes.append(self.directory.verified(id, address, now)),
                Some(Seen::Likely(address)) => changes.append(self.directory.guess(id, address)),
                None => {}
            }
        }
        for gone in told.gone {
            let heard = self.directory.unheard(gone, source, now);
            let idle = !heard.doubts.is_empty() && !self.cares_about(gone);
            changes.append(if idle { self.directory.gone(gone, Why::Withdrawn, now) } else { heard });
        }
        changes
    }

    /// All that a new peer is to be told.
    fn first_telling(&self, id: LinkId) -> Told {
        let all = self.directory.select(&Filter::everything());
        let known = all.iter().filter(|i| self.concerns(id, i)).filter_map(|i| self.advert(id, i)).collect();
        Told { known, gone: Vec::new() }
    }
}

impl Handler<PeerArrived> for Discovery {
    type Result = ();

    fn handle(&mut self, PeerArrived { connection, hello }: PeerArrived, ctx: &mut Self::Context) {
        let Purpose::Peer { hand_on } = hello.purpose else { return };
        let Ok(from) = connection.peer_addr() else {
            return tracing::debug!("a peer left before it was received");
        };
        let ends = ends(&connection, from);
        let discovery = ctx.address();
        actix_rt::spawn(async move {
            carry(&discovery, connection, Linked { node: hello.node, ends, way: Way::Accepted, hand_on })
                .await;
        });
    }
}

impl Handler<Linked> for Discovery {
    type Result = MessageResult<Linked>;

    fn handle(&mut self, linked: Linked, ctx: &mut Self::Context) -> Self::Result {
        let Linked { node, ends, way, hand_on } = linked;
        if node == self.node || !self.links.is_welcome(node) {
            return MessageResult(None);
        }
        let id = LinkId(self.links.next);
        self.links.next += 1;
        let (sender, out) = mpsc::channel(TELLINGS);
        self.links
            .links
            .insert(id, Link { node, ends, way, hand_on, since: clock::now(), out: Some(sender) });
        self.presence.linked(node);
        let told = self.first_telling(id);
        self.links.tell(id, &told);
        self.try_all_for_peers(&[(id, ends)], ctx);
        if hand_on && matches!(way, Way::Accepted) {
            self.ask_for_peers(ctx);
        }
        if let Way::Dialled { instance, address } = way {
            let changes = self.directory.verified(instance, address, clock::now());
            self.apply(changes, Some(id), ctx);
        }
        let keep_alive = self.config.limits.keep_alive;
        MessageResult(Some(Admitted { link: id, keep_alive, out, guard: self.links.guard.clone() }))
    }
}

impl Handler<Heard> for Discovery {
    type Result = ();

    fn handle(&mut self, Heard { link, told }: Heard, ctx: &mut Self::Context) {
        let changes = self.hear_told(link, told);
        self.apply(changes, Some(link), ctx);
    }
}

impl Handler<LinkEnded> for Discovery {
    type Result = ();

    fn handle(&mut self, LinkEnded { link, ending }: LinkEnded, ctx: &mut Self::Context) {
        let Some(Link { node, ends, since, .. }) = self.links.links.remove(&link) else { return };
        if !self.links.reach(node) {
            self.presence.unlinked(node, clock::now() - since);
            self.lost(node, ends.other, ending, ctx);
        }
    }
}
