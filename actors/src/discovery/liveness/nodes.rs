//! Liveness of other nodes: a node that monitors the mesh stays connected to each of them, so that it notices their deaths.
//!
//! A killed process sends no goodbye, and mDNS keeps its records for two minutes. So once this node monitors others, one idle
//! connection to each node stands for all of its services: when it breaks, the node's endpoints are probed, and if all refuse,
//! its services are gone. A broken connection alone proves little: its endpoint may just have been closed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use meshzero_proto::discovery::directory::{Directory, DownReason, Instance};
use meshzero_proto::discovery::query::Question;
use meshzero_proto::id::NodeId;

use crate::discovery::effect::{Effect, Timer};
use crate::discovery::liveness::verification::GOODBYE_DELAY;
use crate::discovery::peers::dial::{ConnectionNeed, DialFailed, Dials, Permit};
use crate::discovery::probe::Verdict;
use crate::runtime::backoff::{Backoff, Jitter};
use crate::runtime::clock;

/// The time over which first connections are spread, so that nodes that started together do not overload each other, and
/// the second of two nodes that dial each other finds the connection established.
const SPREAD_MIN: Duration = Duration::from_millis(100);
const SPREAD_PER_NODE: Duration = Duration::from_millis(15);
const SPREAD_MAX: Duration = Duration::from_secs(1);
/// The number of endpoints of one node that are probed before it is given up.
const MAX_ENDPOINTS: usize = 4;
/// The delays before dialling a node again that did not answer, or whose connections do not last.
const RETRY: Backoff =
    Backoff::new(Duration::from_millis(250), Duration::from_secs(15)).with_jitter(Jitter::Around);
/// The time after which a link counts as lasting.
const LINK_LASTS_AFTER: Duration = Duration::from_secs(1);
/// The time for which an instance is shown although its node, which is connected, does not confirm it.
const CONFIRM_WITHIN: Duration = Duration::from_millis(500);

/// The nodes that are dialled, once this node monitors others.
#[derive(Default)]
pub(crate) struct Liveness {
    monitoring_since: Option<Instant>,
    nodes: BTreeMap<NodeId, NodeState>,
    dials: Dials,
}

struct NodeState {
    /// Set while a dial is under way; becomes [`ConnectionNeed::Met`] if the node connects by itself meanwhile.
    connection_need: Option<Rc<Cell<ConnectionNeed>>>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Set if it did not answer, which may be temporary.
    unreachable: bool,
}

impl Liveness {
    /// Returns whether this node stays connected to all others.
    pub(crate) fn is_monitoring(&self) -> bool {
        self.monitoring_since.is_some()
    }

    /// Returns the time since which this node stays connected to all others.
    pub(crate) fn monitoring_since(&self) -> Option<Instant> {
        self.monitoring_since
    }

    /// Starts to monitor, until the node leaves: queries all services, and connects to every node.
    pub(crate) fn start_monitoring(&mut self, directory: &Directory, now: Instant) -> Vec<Effect> {
        if self.is_monitoring() {
            return Vec::new();
        }
        self.monitoring_since = Some(now);
        let mut effects = vec![Effect::Ask(Question::All), Effect::Repeat(Question::All)];
        effects.extend(directory.nodes().into_iter().map(|node| Self::ensure_connected(node, directory)));
        effects
    }

    /// Connects to `node`, if this node monitors others.
    pub(crate) fn ensure_connected(node: NodeId, directory: &Directory) -> Effect {
        let nodes = u32::try_from(directory.nodes_known()).unwrap_or(u32::MAX);
        let spread = SPREAD_PER_NODE.saturating_mul(nodes).clamp(SPREAD_MIN, SPREAD_MAX);
        Effect::Connect { node, after: spread.mul_f32(fastrand::f32()) }
    }

    /// Connects to every node again where needed, and probes the instances that are in doubt. Call it periodically, and then
    /// [`Liveness::forget_unknown`].
    pub(crate) fn maintain_nodes(
        &self,
        directory: &mut Directory,
        is_linked: impl Fn(NodeId) -> bool,
        now: Instant,
    ) -> Vec<Effect> {
        if !self.is_monitoring() {
            return Vec::new();
        }
        let mut nodes = directory.nodes();
        nodes.extend(self.nodes.iter().filter(|(_, state)| state.unreachable).map(|(node, _)| *node));
        let mut effects: Vec<Effect> =
            nodes.into_iter().map(|node| Self::ensure_connected(node, directory)).collect();
        let mut unconfirmed = directory.unproved(CONFIRM_WITHIN, now);
        unconfirmed.retain(|instance| {
            !directory.is_reported_by(instance.id, instance.node) && is_linked(instance.node)
        });
        effects.extend(unconfirmed.into_iter().map(|instance| Effect::Probe(instance.id)));
        effects.extend(directory.due_for_asking(now).into_iter().map(Effect::Probe));
        effects
    }

    /// Forgets the nodes that are neither known nor dialled.
    pub(crate) fn forget_unknown(&mut self, directory: &Directory) {
        if self.is_monitoring() {
            self.nodes.retain(|node, state| state.connection_need.is_some() || directory.knows_node(*node));
        }
    }

    /// Begins to dial a node. Returns `None` if this node does not monitor others, if the node is being dialled or waits to be
    /// dialled again, or if there are too many dials.
    pub(crate) fn begin_dial(&mut self, node: NodeId, now: Instant) -> Option<Permit> {
        if !self.is_monitoring() {
            return None;
        }
        let slot = self.dials.begin()?;
        let state = self.nodes.entry(node).or_default();
        if state.connection_need.is_some() || state.not_before.is_some_and(|not_before| now < not_before) {
            return None;
        }
        let need = Rc::new(Cell::new(ConnectionNeed::Wanted));
        state.connection_need = Some(Rc::clone(&need));
        Some(Permit { need, slot })
    }

    /// Returns whether a node is being dialled.
    pub(crate) fn is_dialling(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|state| state.connection_need.is_some())
    }

    /// Records that a dial has ended without a link. `may_say_goodbye` is set if the node may be about to withdraw.
    pub(crate) fn dial_failed(
        &mut self,
        DialFailed { node, verdict }: DialFailed,
        is_linked: bool,
        may_say_goodbye: bool,
        now: Instant,
    ) -> Option<Effect> {
        let state = self.nodes.entry(node).or_default();
        state.connection_need = None;
        match verdict? {
            Verdict::Alive => {
                state.wait();
                None
            }
            _ if is_linked => None,
            Verdict::Dead if may_say_goodbye => {
                Some(Effect::Schedule(GOODBYE_DELAY, Timer::GiveUpDead { node, judged: now }))
            }
            verdict => Some(Effect::GiveUp(node, verdict)),
        }
    }

    /// Records that no endpoint of `node` can be reached. Returns the reason why its instances are gone.
    pub(crate) fn give_up(&mut self, node: NodeId, verdict: Verdict) -> DownReason {
        match verdict {
            Verdict::Unreachable => {
                let state = self.nodes.entry(node).or_default();
                state.unreachable = true;
                state.wait();
                DownReason::Unreachable
            }
            Verdict::Alive | Verdict::Dead => DownReason::NodeDied,
        }
    }

    /// Connects to a node again whose last link ended, or forgets it.
    pub(crate) fn lost(&self, node: NodeId, directory: &Directory) -> Effect {
        match self.is_monitoring() && directory.knows_node(node) {
            true => Effect::Connect { node, after: Duration::ZERO },
            false => Effect::RemovePeer(node),
        }
    }

    /// Records that a link to `node` was made.
    pub(crate) fn linked(&mut self, node: NodeId) {
        let state = self.nodes.entry(node).or_default();
        state.unreachable = false;
        if let Some(need) = state.connection_need.take() {
            need.set(ConnectionNeed::Met);
        }
    }

    /// Records that a link to `node` ended. The next is made at once, unless links to it keep ending.
    pub(crate) fn unlinked(&mut self, node: NodeId, lasted: Duration) {
        let state = self.nodes.entry(node).or_default();
        if lasted >= LINK_LASTS_AFTER {
            state.backoff.reset();
        }
        if state.backoff.is_reset() {
            state.backoff.skip();
            state.not_before = None;
        } else {
            state.wait();
        }
    }
}

impl Default for NodeState {
    fn default() -> Self {
        Self { connection_need: None, backoff: RETRY, not_before: None, unreachable: false }
    }
}

impl NodeState {
    fn wait(&mut self) {
        self.not_before = Some(clock::now() + self.backoff.next_delay());
    }
}

/// Returns the endpoints of a node to dial, in random order.
pub(crate) fn endpoints(node: NodeId, directory: &Directory) -> Vec<Instance> {
    let mut endpoints = directory.of_node(node);
    fastrand::shuffle(&mut endpoints);
    endpoints.truncate(MAX_ENDPOINTS);
    endpoints
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::advert::Advert;
    use meshzero_proto::discovery::directory::AdvertSource;
    use meshzero_proto::id::InstanceId;
    use meshzero_proto::limits::Limits;
    use meshzero_proto::name::{MeshName, ServiceName};

    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId::from_random([n; 16])
    }

    /// A directory that knows one service of each of these nodes.
    fn directory_of(nodes: impl Iterator<Item = u8>, now: Instant) -> Directory {
        let mut directory = Directory::new(MeshName::default(), node(0), &Limits::default());
        for n in nodes {
            let advert = Advert {
                instance: InstanceId::from_random([n; 16]),
                node: node(n),
                mesh: MeshName::default(),
                service: ServiceName::new("arm").expect("a name"),
                addresses: vec![([10, 0, 0, n], 9_000).into()],
                leaving: false,
            };
            directory.add_advert(advert, AdvertSource::Mdns, now);
        }
        directory
    }

    #[test]
    fn monitoring_queries_once_and_connects_to_all_nodes() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        let directory = directory_of(1..=3, now);
        assert!(liveness.begin_dial(node(1), now).is_none(), "it does not monitor");
        let effects = liveness.start_monitoring(&directory, now);
        assert_eq!(effects[..2], [Effect::Ask(Question::All), Effect::Repeat(Question::All)]);
        let connected = effects[2..].iter().filter_map(|effect| match effect {
            Effect::Connect { node, after } if *after <= SPREAD_MAX => Some(*node),
            _ => None,
        });
        let (connected, mut all) = (connected.collect::<Vec<_>>(), [node(1), node(2), node(3)]);
        all.sort();
        assert_eq!(connected, all);
        assert_eq!(liveness.start_monitoring(&directory, now), [], "it monitors already");
    }

    #[test]
    fn a_node_is_dialled_once_at_a_time_and_not_when_it_has_connected_by_itself() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        liveness.start_monitoring(&directory_of(1..=1, now), now);
        let permit = liveness.begin_dial(node(1), now).expect("it is not connected");
        assert!(liveness.is_dialling(node(1)) && liveness.begin_dial(node(1), now).is_none());
        assert_eq!(permit.need.get(), ConnectionNeed::Wanted);
        liveness.linked(node(1));
        assert_eq!(permit.need.get(), ConnectionNeed::Met);
        assert_eq!(liveness.dial_failed(DialFailed { node: node(1), verdict: None }, true, false, now), None);
    }

    #[test]
    fn a_node_that_refuses_is_given_up_unless_a_goodbye_may_be_on_the_way() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        let dead = || DialFailed { node: node(1), verdict: Some(Verdict::Dead) };
        let give_up = Effect::GiveUp(node(1), Verdict::Dead);
        assert_eq!(liveness.dial_failed(dead(), false, false, now), Some(give_up));
        let scheduled = Effect::Schedule(GOODBYE_DELAY, Timer::GiveUpDead { node: node(1), judged: now });
        assert_eq!(liveness.dial_failed(dead(), false, true, now), Some(scheduled));
        assert_eq!(liveness.dial_failed(dead(), true, false, now), None, "it has connected by itself");
        assert_eq!(liveness.give_up(node(1), Verdict::Dead), DownReason::NodeDied);
    }

    #[test]
    fn a_node_that_did_not_answer_is_dialled_again_although_nothing_of_it_is_shown() {
        let (mut liveness, now) = (Liveness::default(), Instant::now());
        let mut directory = directory_of(1..=1, now);
        liveness.start_monitoring(&directory, now);
        let reason = liveness.give_up(node(1), Verdict::Unreachable);
        directory.remove_node(node(1), |_| reason, now);
        let effects = liveness.maintain_nodes(&mut directory, |_| false, now);
        assert!(matches!(effects[..], [Effect::Connect { node: id, .. }] if id == node(1)), "{effects:?}");
        assert!(liveness.begin_dial(node(1), now).is_none(), "not at once");
    }
}
