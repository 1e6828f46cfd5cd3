//! Proving what is listed: the endpoints that nothing vouches for are asked, so that a list can say which of them do not answer.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use actix::dev::MessageResponse;
use actix::prelude::*;
use meshzero_proto::directory::{Filter, Instance};
use meshzero_proto::id::{InstanceId, NodeId};

use super::Discovery;
use crate::clock;
use crate::trail;

/// An endpoint that has answered within this time need not be asked.
const LATELY: Duration = Duration::from_secs(5);
/// The most endpoints that are asked without waiting for the first of each node to answer.
const AT_ONCE: usize = 32;
/// The most endpoints that are asked. What was tried to reach each is remembered.
const MOST: usize = 256;
const _: () = assert!(MOST <= trail::MAX_ENDPOINTS, "some would be forgotten");

/// Asks the endpoints of shown services that have not answered lately, one of each node first where there are many. To be repeated
/// with the response while some are open.
#[derive(Debug, Message)]
#[rtype(result = "Proving")]
pub struct Prove {
    /// Which services.
    pub filter: Filter,
    /// The response to the last such message.
    pub so_far: Proving,
    /// Whether the first of each node have had their time.
    pub further: bool,
}

/// How far proving has come.
#[derive(Debug, Default, MessageResponse)]
pub struct Proving {
    /// The services that have answered, or need not be asked.
    pub answered: HashSet<InstanceId>,
    /// The endpoints that were asked.
    pub asked: HashSet<InstanceId>,
    /// Those of them that may answer yet.
    pub open: HashSet<InstanceId>,
    /// The number of services that are known of and not shown, because of a limit.
    pub hidden: usize,
    /// The endpoint of each node that was asked first.
    firsts: HashMap<NodeId, InstanceId>,
}

impl Discovery {
    /// Returns whether an instance has answered this node lately, or its node vouches for it over a link that this one made.
    fn has_answered(&self, instance: &Instance, now: Instant) -> bool {
        let linked =
            self.links.have_dialled(instance.node) && self.directory.is_told_by(instance.id, instance.node);
        instance.local || linked || self.directory.is_proved(instance.id, LATELY, now)
    }

    /// Asks an endpoint, if there is room for another.
    fn ask_to_prove(
        &mut self,
        Instance { id, node, .. }: &Instance,
        so_far: &mut Proving,
        ctx: &mut Context<Self>,
    ) {
        if so_far.asked.len() < MOST && so_far.asked.insert(*id) {
            so_far.firsts.entry(*node).or_insert(*id);
            self.ask(*id, ctx);
        }
    }
}

impl Handler<Prove> for Discovery {
    type Result = Proving;

    fn handle(&mut self, Prove { filter, mut so_far, further }: Prove, ctx: &mut Self::Context) -> Proving {
        let now = clock::now();
        let (answered, unproved): (Vec<_>, Vec<_>) =
            self.directory.select(&filter).into_iter().partition(|instance| self.has_answered(instance, now));
        let all = unproved.len() <= AT_ONCE;
        for instance in &unproved {
            if all || !so_far.firsts.contains_key(&instance.node) {
                self.ask_to_prove(instance, &mut so_far, ctx);
            }
        }
        // The others of a node share the host of its first: where that is silent they wait.
        for instance in &unproved {
            let first = so_far.firsts.get(&instance.node);
            if further || first.is_some_and(|first| !self.presence.is_asked(*first)) {
                self.ask_to_prove(instance, &mut so_far, ctx);
            }
        }
        so_far.answered = answered.into_iter().map(|instance| instance.id).collect();
        so_far.hidden = self.directory.hidden_of(&filter);
        so_far.open = so_far.asked.iter().copied().filter(|id| self.presence.is_asked(*id)).collect();
        so_far
    }
}

/// Asks how many services of a filter are known of and not shown, because of a limit.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct AskHidden(pub Filter);

impl Handler<AskHidden> for Discovery {
    type Result = usize;

    fn handle(&mut self, AskHidden(filter): AskHidden, _: &mut Self::Context) -> usize {
        self.directory.hidden_of(&filter)
    }
}
