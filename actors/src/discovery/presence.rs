//! Presence: a node that looks stays connected to every other node, and asks endpoints about what it doubts.
//!
//! A killed process cannot say goodbye, and mDNS keeps its records for two minutes. So once somebody here looks, one
//! idle connection to each node stands for all of its services: when it breaks, the node's endpoints are asked, and if
//! all refuse, its services are gone. A broken connection alone proves little: its endpoint may just have been closed.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::directory::{Instance, Why};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::query::Question;
use tokio::sync::Semaphore;
use tokio::time;

use super::Discovery;
use super::link::{Ending, Linked, Way, carry, ends};
use super::reaching::{Sought, Verdict, reach, slots, with_slot};
use crate::backoff::{Backoff, Jitter};
use crate::clock;
use crate::connection::Connection;
use crate::dial::Dialled;
use crate::network::Network;
use crate::socket::PROBES;
use crate::trail::Record;

/// First connections are spread over this time, so that nodes that started together do not storm each other, and
/// that of two nodes which want each other one finds the connection made.
const SPREAD_FEW: Duration = Duration::from_millis(100);
const SPREAD_EACH: Duration = Duration::from_millis(15);
const SPREAD_MOST: Duration = Duration::from_secs(1);
/// How long a goodbye is left alone when a link to its node stands: the link itself is about to tell more.
const LINK_TELLS: Duration = Duration::from_millis(30);
/// An instance that is found dead within this time after it was first heard of may have left again: its goodbye, which is sent about
/// when its listener is closed, is given so long to arrive.
const NEW: Duration = Duration::from_secs(1);
const GOODBYE_ARRIVES: Duration = Duration::from_millis(50);
/// How many nodes are being dialled, or wait for that, at a time: a flood of invented ones must not pile up tasks. The others
/// have their turn when the actor looks after its nodes again.
const MOST_DIALS: usize = 256;
/// How many endpoints of one node are asked before it is given up.
const ENDPOINTS: usize = 4;
/// The pause before a node is dialled again that did not answer, or whose connections do not last.
const RETRY: Backoff =
    Backoff::new(Duration::from_millis(250), Duration::from_secs(15)).with_jitter(Jitter::Around);
const LASTING: Duration = Duration::from_secs(1);
/// How long something may be shown that its own connected node does not confirm.
const CONFIRMED: Duration = Duration::from_millis(500);

/// Who is being connected to and asked.
pub(super) struct Presence {
    looking: Option<Instant>,
    nodes: BTreeMap<NodeId, Tended>,
    asked: HashSet<InstanceId>,
    slots: Rc<Semaphore>,
    /// Cloned for each node that is being dialled.
    dials: Rc<()>,
}

struct Tended {
    /// Set while a dial is under way; cleared inside when the node connects by itself meanwhile.
    dialling: Option<Rc<Cell<Need>>>,
    pauses: Backoff,
    not_before: Option<Instant>,
    /// It did not answer, which may pass.
    unreachable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Wanted,
    Met,
}

/// A link to an instance shook hands: the instance is what it says it is, and lives.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Proved {
    /// Which one.
    pub instance: InstanceId,
    /// The address that answered.
    pub address: SocketAddr,
}

/// A link to an instance could not be made.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Failed {
    /// Which one.
    pub instance: InstanceId,
    /// What that says, see [`Verdict::of`].
    pub verdict: Verdict,
}

/// An endpoint that was doubted has been asked.
#[derive(Message)]
#[rtype(result = "()")]
struct Asked {
    instance: InstanceId,
    outcome: Result<SocketAddr, Verdict>,
}

/// A node could not be connected to, or needs not be.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Undialled {
    pub(super) node: NodeId,
    pub(super) verdict: Option<Verdict>,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            looking: None,
            nodes: BTreeMap::new(),
            asked: HashSet::new(),
            slots: slots(),
            dials: Rc::default(),
        }
    }
}

impl Presence {
    pub(super) fn is_looking(&self) -> bool {
        self.looking.is_some()
    }

    pub(super) fn looking_since(&self) -> Option<Instant> {
        self.looking
    }

    /// The slots that all attempts of this node share.
    pub(super) fn slots(&self) -> Rc<Semaphore> {
        Rc::clone(&self.slots)
    }

    /// Whether the endpoint of an instance is being asked.
    pub(super) fn is_asked(&self, instance: InstanceId) -> bool {
        self.asked.contains(&instance)
    }

    /// A link to `node` stands.
    pub(super) fn linked(&mut self, node: NodeId) {
        let tended = self.nodes.entry(node).or_default();
        tended.unreachable = false;
        if let Some(need) = tended.dialling.take() {
            need.set(Need::Met);
        }
    }

    /// A link to `node` ended. The next is made at once, unless links to it keep ending.
    pub(super) fn unlinked(&mut self, node: NodeId, lasted: Duration) {
        let tended = self.nodes.entry(node).or_default();
        if lasted >= LASTING {
            tended.pauses.reset();
        }
        if tended.pauses.is_reset() {
            tended.pauses.skip();
            tended.not_before = None;
        } else {
            tended.wait();
        }
    }
}

impl Default for Tended {
    fn default() -> Self {
        Self { dialling: None, pauses: RETRY, not_before: None, unreachable: false }
    }
}

impl Tended {
    fn wait(&mut self) {
        self.not_before = Some(clock::now() + self.pauses.pause());
    }
}

impl Discovery {
    /// Begins to look, for as long as the node lives: asks around, and connects to every node there is.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        if self.presence.is_looking() {
            return;
        }
        self.presence.looking = Some(clock::now());
        self.ask_network(Question::All, ctx);
        self.ask_now_and_then(Question::All, ctx);
        for node in self.directory.nodes() {
            self.tend(node, ctx);
        }
    }

    /// Sees to it that `node` is connected, if somebody looks and it offers something.
    pub(super) fn tend(&mut self, node: NodeId, ctx: &mut Context<Self>) {
        let nodes = u32::try_from(self.directory.nodes_known()).unwrap_or(u32::MAX);
        let spread = SPREAD_EACH.saturating_mul(nodes).clamp(SPREAD_FEW, SPREAD_MOST);
        self.connect(node, spread.mul_f32(fastrand::f32()), ctx);
    }

    /// What has to be done from time to time.
    pub(super) fn look_after_nodes(&mut self, ctx: &mut Context<Self>) {
        if !self.presence.is_looking() {
            return;
        }
        let mut nodes = self.directory.nodes();
        nodes.extend(
            self.presence.nodes.iter().filter(|(_, tended)| tended.unreachable).map(|(node, _)| *node),
        );
        for node in nodes {
            self.tend(node, ctx);
        }
        for instance in self.directory.unproved(CONFIRMED, clock::now()) {
            let unconfirmed = !self.directory.is_told_by(instance.id, instance.node);
            if unconfirmed && self.links.reach(instance.node) {
                self.ask(instance.id, ctx);
            }
        }
        for instance in self.directory.worth_asking(clock::now()) {
            self.ask(instance, ctx);
        }
        let directory = &self.directory;
        self.presence.nodes.retain(|node, tended| tended.dialling.is_some() || directory.knows_node(*node));
    }

    /// The last link to `node`, at the address `at`, ended.
    pub(super) fn lost(&mut self, node: NodeId, at: IpAddr, ending: Ending, ctx: &mut Context<Self>) {
        if ending == Ending::HostSilent && !self.has_left_address(node, at) {
            // The system has asked for ten seconds: no need to wait for another attempt.
            self.give_up(node, Verdict::Unreachable, ctx);
        }
        if self.presence.is_looking() && self.directory.knows_node(node) {
            self.connect(node, Duration::ZERO, ctx);
        } else {
            let changes = self.directory.peer_lost(node, clock::now());
            self.apply(changes, None, ctx);
        }
    }

    /// Returns whether `node` has answered at another address while the system asked for it at `at`, so that silence there says
    /// nothing about it.
    fn has_left_address(&self, node: NodeId, at: IpAddr) -> bool {
        let silence = self.config.limits.keep_alive.saturating_mul(PROBES + 1);
        self.directory.of_node(node).iter().any(|Instance { id, .. }| {
            let elsewhere = self.directory.answered(*id).is_some_and(|address| address.ip() != at);
            elsewhere && self.directory.is_proved(*id, silence, clock::now())
        })
    }

    /// Nothing of `node` can be reached.
    fn give_up(&mut self, node: NodeId, verdict: Verdict, ctx: &mut Context<Self>) {
        let why = match verdict {
            Verdict::Unreachable => {
                let tended = self.presence.nodes.entry(node).or_default();
                tended.unreachable = true;
                tended.wait();
                Why::Unreachable
            }
            Verdict::Alive | Verdict::Dead => Why::NodeDied,
        };
        let now = clock::now();
        let dialling = &self.dialling;
        let mut changes = self.directory.node_gone(node, |instance| dialling.said_or(instance, why), now);
        changes.append(self.directory.peer_lost(node, now));
        self.apply(changes, None, ctx);
    }

    /// Returns whether an instance that was found dead may be about to say goodbye. One whose node was linked would have said it
    /// over the link.
    fn may_say_goodbye(&self, instance: &Instance) -> bool {
        self.directory.is_new(instance.id, NEW, clock::now())
            && !self.dialling.has_left(instance.id)
            && !self.directory.is_told_by(instance.id, instance.node)
    }

    fn connect(&mut self, node: NodeId, pause: Duration, ctx: &mut Context<Self>) {
        if !self.presence.is_looking() || node == self.node || self.links.reach(node) {
            return;
        }
        let dial = Rc::clone(&self.presence.dials);
        if Rc::strong_count(&dial) > MOST_DIALS + 1 {
            return;
        }
        let tended = self.presence.nodes.entry(node).or_default();
        if tended.dialling.is_some() || tended.not_before.is_some_and(|not_before| clock::now() < not_before)
        {
            return;
        }
        let mut endpoints = self.directory.of_node(node);
        fastrand::shuffle(&mut endpoints);
        endpoints.truncate(ENDPOINTS);
        let need = Rc::new(Cell::new(Need::Wanted));
        tended.dialling = Some(need.clone());
        let hello = self.hello(None, Purpose::Peer { hand_on: false });
        let slots = self.presence.slots.clone();
        let network = self.config.network.clone();
        let along = |endpoint: Instance| self.seek_out(endpoint);
        let endpoints = endpoints.into_iter().map(along).collect();
        let connecting = connect(ctx.address(), network, node, endpoints, hello, need, slots);
        actix_rt::spawn(async move {
            if !pause.is_zero() {
                time::sleep(pause).await;
            }
            let connected = connecting.await;
            drop(dial);
            match connected {
                Connected::Link(discovery, connection, linked) => carry(&discovery, connection, linked).await,
                Connected::No => {}
            }
        });
    }

    /// Asks the endpoint of an instance whether it is what was said about it.
    pub(super) fn ask(&mut self, instance: InstanceId, ctx: &mut Context<Self>) {
        let Some(candidate) = self.directory.candidate(instance) else { return };
        if candidate.local || !self.presence.asked.insert(instance) {
            return;
        }
        let (record, sought) = self.seek_out(candidate);
        let hello = self.hello(Some(instance), Purpose::Probe);
        let (slots, discovery) = (self.presence.slots.clone(), ctx.address());
        let network = self.config.network.clone();
        actix_rt::spawn(async move {
            let asked = with_slot(&slots, reach(&network, &sought, &hello, &record)).await;
            let outcome = asked.map(|dialled| dialled.address);
            // When the actor is gone nobody wants to know.
            discovery.send(Asked { instance, outcome }).await.ok();
        });
    }

    /// Settles what was said about an instance: soon, if a link to its node stands, else at once.
    pub(super) fn settle(&mut self, doubted: InstanceId, ctx: &mut Context<Self>) {
        let linked =
            self.directory.candidate(doubted).is_some_and(|instance| self.links.reach(instance.node));
        if !linked {
            return self.ask(doubted, ctx);
        }
        ctx.run_later(LINK_TELLS, move |this, ctx| {
            if this.directory.is_shown(doubted) {
                this.ask(doubted, ctx);
            }
        });
    }

    fn is_vouched_for(&self, id: InstanceId) -> bool {
        let instance = self.directory.candidate(id);
        instance.is_some_and(|i| self.links.reach(i.node) && self.directory.is_told_by(id, i.node))
    }

    /// Returns whether an instance has proved itself since `then`: it was verified, or its node told of it.
    fn is_proved_since(&self, id: InstanceId, then: Instant) -> bool {
        let now = clock::now();
        self.directory.is_proved(id, now.saturating_duration_since(then), now)
    }

    /// Returns whether a node or one of its instances has proved itself since `then`, or is about to: another dial may be under way.
    fn is_node_proved_since(&self, node: NodeId, then: Instant) -> bool {
        let is_dialled = self.presence.nodes.get(&node).is_some_and(|tended| tended.dialling.is_some());
        let is_proved = |instance: &Instance| self.is_proved_since(instance.id, then);
        self.links.reach(node) || is_dialled || self.directory.of_node(node).iter().any(is_proved)
    }

    fn judge(&mut self, instance: InstanceId, verdict: Verdict, ctx: &mut Context<Self>) {
        let may_say_goodbye = |known: Instance| self.may_say_goodbye(&known);
        if verdict == Verdict::Dead && self.directory.candidate(instance).is_some_and(may_say_goodbye) {
            let judged = clock::now();
            ctx.run_later(GOODBYE_ARRIVES, move |this, ctx| {
                if !this.is_vouched_for(instance) && !this.is_proved_since(instance, judged) {
                    this.conclude(instance, verdict, ctx);
                }
            });
        } else {
            self.conclude(instance, verdict, ctx);
        }
    }

    fn conclude(&mut self, instance: InstanceId, verdict: Verdict, ctx: &mut Context<Self>) {
        let why = match verdict {
            Verdict::Alive => return,
            Verdict::Dead => self.dialling.said_or(instance, Why::Refused),
            // Its node is connected and says that it is there: it is busy.
            Verdict::Unreachable if self.is_vouched_for(instance) => return,
            Verdict::Unreachable => Why::Unreachable,
        };
        let changes = self.directory.gone(instance, why, clock::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Asked> for Discovery {
    type Result = ();

    fn handle(&mut self, Asked { instance, outcome }: Asked, ctx: &mut Self::Context) {
        self.presence.asked.remove(&instance);
        match outcome {
            Ok(address) => {
                let changes = self.directory.verified(instance, address, clock::now());
                self.apply(changes, None, ctx);
            }
            Err(verdict) => self.judge(instance, verdict, ctx),
        }
    }
}

impl Handler<Undialled> for Discovery {
    type Result = ();

    fn handle(&mut self, Undialled { node, verdict }: Undialled, ctx: &mut Self::Context) {
        let tended = self.presence.nodes.entry(node).or_default();
        tended.dialling = None;
        match verdict {
            None => {}
            Some(Verdict::Alive) => tended.wait(),
            Some(_) if self.links.reach(node) => {}
            Some(Verdict::Dead)
                if self.directory.of_node(node).iter().any(|known| self.may_say_goodbye(known)) =>
            {
                let judged = clock::now();
                ctx.run_later(GOODBYE_ARRIVES, move |this, ctx| {
                    if !this.is_node_proved_since(node, judged) {
                        this.give_up(node, Verdict::Dead, ctx);
                    }
                });
            }
            Some(verdict) => self.give_up(node, verdict, ctx),
        }
    }
}

impl Handler<Proved> for Discovery {
    type Result = ();

    fn handle(&mut self, Proved { instance, address }: Proved, ctx: &mut Self::Context) {
        let changes = self.directory.verified(instance, address, clock::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Failed> for Discovery {
    type Result = ();

    fn handle(&mut self, Failed { instance, verdict }: Failed, ctx: &mut Self::Context) {
        self.judge(instance, verdict, ctx);
    }
}

/// What came of dialling a node.
enum Connected {
    /// A link that is to be carried to its end.
    Link(Addr<Discovery>, Connection, Linked),
    /// None, and the actor knows.
    No,
}

/// Connects to any endpoint of a node.
async fn connect(
    discovery: Addr<Discovery>,
    network: Network,
    node: NodeId,
    endpoints: Vec<(Record, Sought)>,
    hello: Hello,
    need: Rc<Cell<Need>>,
    slots: Rc<Semaphore>,
) -> Connected {
    let attempt = async {
        if need.get() == Need::Met {
            return Err(None);
        }
        let mut worst = Verdict::Dead;
        for (record, endpoint) in &endpoints {
            let hello = Hello { instance: Some(endpoint.instance.id), ..hello.clone() };
            match reach(&network, endpoint, &hello, record).await {
                Ok(dialled) => return Ok((endpoint.instance.id, dialled)),
                // The others share its host, or its listener.
                Err(Verdict::Alive) => return Err(Some(Verdict::Alive)),
                Err(Verdict::Unreachable) if worst == Verdict::Unreachable => break,
                Err(Verdict::Unreachable) => worst = Verdict::Unreachable,
                Err(Verdict::Dead) => {}
            }
        }
        Err(Some(worst))
    };
    match with_slot(&slots, attempt).await {
        Ok((instance, Dialled { connection, address, .. })) => {
            let way = Way::Dialled { instance, address };
            let ends = ends(&connection, address);
            Connected::Link(discovery, connection, Linked { node, ends, way, hand_on: false })
        }
        Err(verdict) => {
            // When the actor is gone nobody wants to know.
            discovery.send(Undialled { node, verdict }).await.ok();
            Connected::No
        }
    }
}
