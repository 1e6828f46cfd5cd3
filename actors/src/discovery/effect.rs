//! Effects that the parts of discovery return. The actor alone executes them, in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::directory::DownReason;
use meshzero_proto::discovery::query::Question;
use meshzero_proto::id::{InstanceId, NodeId};

use crate::discovery::probe::Verdict;

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask the network a question: begin its quick rounds.
    Ask(Question),
    /// Ask the network a question at long intervals.
    Repeat(Question),
    /// Set the timer for the next question, or cancel it.
    SendQuestionsAt(Option<Instant>),
    /// Enter a service of this node in the directory.
    Offer(Advert),
    /// Connect to a node after a delay, unless it is connected or being dialled.
    Connect { node: NodeId, after: Duration },
    /// Probe the endpoint of an instance.
    Probe(InstanceId),
    /// Conclude from a failure to reach an instance.
    Conclude(InstanceId, Verdict),
    /// Remove an instance from the directory.
    Remove(InstanceId, DownReason),
    /// Give up a node that could not be reached, with its services.
    GiveUp(NodeId, Verdict),
    /// Record in the directory that the last link to a node has ended.
    RemovePeer(NodeId),
    /// Test whether an instance of this host answers at an address.
    TryAddress(InstanceId, SocketAddr),
    /// Take an action after a delay.
    Schedule(Duration, Timer),
}

/// An action that is due after a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Check whether lists are complete.
    CheckLists,
    /// Probe an instance, if it is still shown.
    ProbeIfShown(InstanceId),
    /// Conclude that an instance is dead, unless it proved itself since it was judged.
    ConcludeDead { instance: InstanceId, judged: Instant },
    /// Give up a node as dead, unless it proved itself since it was judged.
    GiveUpDead { node: NodeId, judged: Instant },
}
