//! Presence: a node that looks stays connected to every other node, and asks endpoints about what it doubts.
//!
//! A killed process cannot say goodbye, and mDNS keeps its records for two minutes. So once somebody here looks, one
//! idle connection to each node stands for all of its services: when it breaks, the node's endpoints are asked, and if
//! all refuse, its services are gone. A broken connection alone proves little: its endpoint may just have been closed.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::addresses::order;
use meshzero_proto::directory::{Instance, Why};
use meshzero_proto::hello::{Hello, Purpose, Rejection};
use meshzero_proto::id::{InstanceId, NodeId};
use tokio::sync::Semaphore;
use tokio::time;

use super::Discovery;
use super::link::{Linked, Way, carry};
use crate::dial::{DialError, Dialled, dial};

/// How many connections are begun at once, and how long one may keep others waiting.
const SLOTS: usize = 8;
const SLOT_TIME: Duration = Duration::from_millis(50);
/// First connections are spread over this time, so that nodes that started together do not storm each other, and
/// that of two nodes which want each other one finds the connection made.
const SPREAD_FEW: Duration = Duration::from_millis(100);
const SPREAD_MANY: Duration = Duration::from_millis(300);
/// How long an endpoint may take to answer; one on a local network takes a millisecond.
const ANSWER: Duration = Duration::from_millis(1_500);
/// How many endpoints of one node are asked before it is given up.
const ENDPOINTS: usize = 4;
/// The pause before a node is dialled again that did not answer, or whose connections do not last.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(15);
/// How long something may be shown that its own connected node does not confirm.
const CONFIRMED: Duration = Duration::from_millis(500);

/// Who is being connected to and asked.
pub(super) struct Presence {
    looking: Option<Instant>,
    nodes: HashMap<NodeId, Tended>,
    asked: HashSet<InstanceId>,
    slots: Rc<Semaphore>,
}

#[derive(Default)]
struct Tended {
    /// Set while a dial is under way; cleared inside when the node connects by itself meanwhile.
    dialling: Option<Rc<Cell<Need>>>,
    failures: u32,
    not_before: Option<Instant>,
    /// It did not answer, which may pass.
    unreachable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Wanted,
    Met,
}

/// What failing to reach an endpoint says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is there, and has no room just now.
    Alive,
    /// Nobody answers there, or somebody else does.
    Dead,
    /// Nothing came back.
    Unreachable,
}

impl From<&DialError> for Verdict {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::Rejected { rejection: Rejection::Full, .. } => Self::Alive,
            DialError::Rejected { .. } | DialError::NotMeshzero { .. } => Self::Dead,
            DialError::Unreachable { error, .. } => match error.kind() {
                // The system of the other host answered: there is no such listener, or its process just died.
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => Self::Dead,
                _ => Self::Unreachable,
            },
            DialError::NoAddress | DialError::TimedOut { .. } => Self::Unreachable,
        }
    }
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
    /// What that says: `Verdict::from(&error)`.
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
struct Undialled {
    node: NodeId,
    verdict: Option<Verdict>,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            looking: None,
            nodes: HashMap::new(),
            asked: HashSet::new(),
            slots: Rc::new(Semaphore::new(SLOTS)),
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

    /// A link to `node` stands.
    pub(super) fn linked(&mut self, node: NodeId) {
        let tended = self.nodes.entry(node).or_default();
        tended.unreachable = false;
        if let Some(need) = tended.dialling.take() {
            need.set(Need::Met);
        }
    }

    /// A link to `node` ended after some time: one that did not last is not made again at once.
    pub(super) fn unlinked(&mut self, node: NodeId, lasted: Duration) {
        let tended = self.nodes.entry(node).or_default();
        if lasted >= Duration::from_secs(1) {
            tended.failures = 0;
            tended.not_before = None;
        } else {
            tended.wait();
        }
    }
}

impl Tended {
    fn wait(&mut self) {
        let pause = RETRY_FIRST.saturating_mul(1 << self.failures.min(16)).min(RETRY_LAST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause.mul_f32(0.5 + fastrand::f32()));
    }
}

impl Discovery {
    /// Begins to look, for as long as the node lives: asks around, and connects to every node there is.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        if self.presence.is_looking() {
            return;
        }
        self.presence.looking = Some(Instant::now());
        self.ask_around(ctx);
        for node in self.directory.nodes() {
            self.tend(node, ctx);
        }
    }

    /// Sees to it that `node` is connected, if somebody looks and it offers something.
    pub(super) fn tend(&mut self, node: NodeId, ctx: &mut Context<Self>) {
        let spread = if self.directory.nodes_known() > SLOTS { SPREAD_MANY } else { SPREAD_FEW };
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
        for instance in self.directory.unproved(CONFIRMED, Instant::now()) {
            let unconfirmed = !self.directory.is_told_by(instance.id, instance.node);
            if unconfirmed && self.links.reach(instance.node) {
                self.ask(instance.id, ctx);
            }
        }
        let directory = &self.directory;
        self.presence.nodes.retain(|node, tended| tended.dialling.is_some() || directory.knows_node(*node));
    }

    /// The last link to `node` ended.
    pub(super) fn lost(&mut self, node: NodeId, ctx: &mut Context<Self>) {
        if self.presence.is_looking() && self.directory.knows_node(node) {
            self.connect(node, Duration::ZERO, ctx);
        } else {
            let changes = self.directory.peer_lost(node, Instant::now());
            self.apply(changes, None, ctx);
        }
    }

    fn connect(&mut self, node: NodeId, pause: Duration, ctx: &mut Context<Self>) {
        if !self.presence.is_looking() || node == self.node || self.links.reach(node) {
            return;
        }
        let tended = self.presence.nodes.entry(node).or_default();
        if tended.dialling.is_some()
            || tended.not_before.is_some_and(|not_before| Instant::now() < not_before)
        {
            return;
        }
        let mut endpoints = self.directory.of_node(node);
        fastrand::shuffle(&mut endpoints);
        endpoints.truncate(ENDPOINTS);
        let need = Rc::new(Cell::new(Need::Wanted));
        tended.dialling = Some(need.clone());
        for endpoint in &mut endpoints {
            endpoint.addresses = order(&endpoint.addresses, &self.own_addresses);
        }
        let hello = self.hello(None, Purpose::Peer { hand_on: false });
        let slots = self.presence.slots.clone();
        actix_rt::spawn(connect(ctx.address(), node, endpoints, hello, need, slots, pause));
    }

    /// Asks the endpoint of an instance whether it is what was said about it.
    pub(super) fn ask(&mut self, instance: InstanceId, ctx: &mut Context<Self>) {
        let Some(candidate) = self.directory.candidate(instance) else { return };
        if candidate.local || !self.presence.asked.insert(instance) {
            return;
        }
        let addresses = order(&candidate.addresses, &self.own_addresses);
        let hello = self.hello(Some(instance), Purpose::Probe);
        let (slots, discovery) = (self.presence.slots.clone(), ctx.address());
        actix_rt::spawn(async move {
            let asked = with_slot(&slots, reach(&candidate, &addresses, &hello)).await;
            let outcome = asked.map(|dialled| dialled.address);
            // When the actor is gone nobody wants to know.
            discovery.send(Asked { instance, outcome }).await.ok();
        });
    }

    fn judge(&mut self, instance: InstanceId, verdict: Verdict, ctx: &mut Context<Self>) {
        let why = match verdict {
            Verdict::Alive => return,
            Verdict::Dead => Why::Refused,
            Verdict::Unreachable => Why::Unreachable,
        };
        let changes = self.directory.gone(instance, why, Instant::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Asked> for Discovery {
    type Result = ();

    fn handle(&mut self, Asked { instance, outcome }: Asked, ctx: &mut Self::Context) {
        self.presence.asked.remove(&instance);
        match outcome {
            Ok(address) => {
                let changes = self.directory.verified(instance, address, Instant::now());
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
        let why = match verdict {
            None => return,
            Some(Verdict::Alive) => return tended.wait(),
            Some(Verdict::Dead) => Why::NodeDied,
            Some(Verdict::Unreachable) => {
                tended.unreachable = true;
                tended.wait();
                Why::Unreachable
            }
        };
        if self.links.reach(node) {
            return;
        }
        let now = Instant::now();
        let mut changes = self.directory.node_gone(node, why, now);
        changes.append(self.directory.peer_lost(node, now));
        self.apply(changes, None, ctx);
    }
}

impl Handler<Proved> for Discovery {
    type Result = ();

    fn handle(&mut self, Proved { instance, address }: Proved, ctx: &mut Self::Context) {
        let changes = self.directory.verified(instance, address, Instant::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<Failed> for Discovery {
    type Result = ();

    fn handle(&mut self, Failed { instance, verdict }: Failed, ctx: &mut Self::Context) {
        self.judge(instance, verdict, ctx);
    }
}

/// Connects to any endpoint of a node, and carries the link until it ends.
async fn connect(
    discovery: Addr<Discovery>,
    node: NodeId,
    endpoints: Vec<Instance>,
    hello: Hello,
    need: Rc<Cell<Need>>,
    slots: Rc<Semaphore>,
    pause: Duration,
) {
    if !pause.is_zero() {
        time::sleep(pause).await;
    }
    let attempt = async {
        if need.get() == Need::Met {
            return Err(None);
        }
        let mut worst = Verdict::Dead;
        for endpoint in &endpoints {
            let hello = Hello { instance: Some(endpoint.id), ..hello.clone() };
            match reach(endpoint, &endpoint.addresses, &hello).await {
                Ok(dialled) => return Ok((endpoint.id, dialled)),
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
        Ok((instance, Dialled { stream, address, .. })) => {
            let way = Way::Dialled { instance, address };
            carry(&discovery, stream, Linked { node, way, hand_on: false }).await;
        }
        // When the actor is gone nobody wants to know.
        Err(verdict) => drop(discovery.send(Undialled { node, verdict }).await),
    }
}

/// Dials one endpoint and checks that it is the one that was advertised.
async fn reach(advertised: &Instance, addresses: &[SocketAddr], hello: &Hello) -> Result<Dialled, Verdict> {
    let dialled = dial(addresses, hello, ANSWER).await.map_err(|error| {
        tracing::debug!(service = %advertised.service, %error, "no connection to a service that was heard of");
        Verdict::from(&error)
    })?;
    let welcome = &dialled.welcome;
    if (welcome.node, welcome.instance) == (advertised.node, advertised.id) {
        Ok(dialled)
    } else {
        Err(Verdict::Dead)
    }
}

/// Runs `attempt` when fewer than [`SLOTS`] others have just begun. A host that does not answer frees its slot early, so
/// that a thousand invented addresses do not keep the real ones waiting.
async fn with_slot<T>(slots: &Semaphore, attempt: impl Future<Output = T>) -> T {
    let permit = slots.acquire().await;
    let mut attempt = std::pin::pin!(attempt);
    tokio::select! {
        outcome = &mut attempt => return outcome,
        () = time::sleep(SLOT_TIME) => {}
    }
    drop(permit);
    attempt.await
}
