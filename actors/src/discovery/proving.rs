//! Proving what is listed: the endpoints that nothing vouches for are asked, so that a list can say which of them do not answer.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use actix::dev::MessageResponse;
use actix::prelude::*;
use meshzero_proto::directory::{Filter, Instance};
use meshzero_proto::id::{InstanceId, NodeId};

use super::Discovery;
use crate::clock;

/// An endpoint that has answered within this time need not be asked.
const LATELY: Duration = Duration::from_secs(5);
/// The most endpoints that are asked without waiting for the first of each node to answer.
const AT_ONCE: usize = 32;
/// The most endpoints that are asked.
const MOST: usize = 256;

/// Asks the endpoints of shown services that have not answered lately, one of each node first where there are many. To be repeated
/// while some are open, with those that were asked already.
#[derive(Debug, Message)]
#[rtype(result = "Proving")]
pub struct Prove {
    /// Which services.
    pub filter: Filter,
    /// The endpoints that were asked.
    pub asked: HashSet<InstanceId>,
    /// Whether the first of each node have had their time.
    pub further: bool,
}

/// How far proving has come.
#[derive(Debug, Default, MessageResponse)]
pub struct Proving {
    /// The endpoints that were asked.
    pub asked: HashSet<InstanceId>,
    /// How many of them have not answered yet.
    pub open: usize,
}

impl Discovery {
    /// Returns whether an instance has answered this node lately, or its node vouches for it over a link that this one made.
    fn has_answered(&self, instance: &Instance, now: Instant) -> bool {
        let linked =
            self.links.have_dialled(instance.node) && self.directory.is_told_by(instance.id, instance.node);
        instance.local || linked || self.directory.is_proved(instance.id, LATELY, now)
    }
}

impl Handler<Prove> for Discovery {
    type Result = Proving;

    fn handle(&mut self, Prove { filter, mut asked, further }: Prove, ctx: &mut Self::Context) -> Proving {
        let now = clock::now();
        let mut unproved = self.directory.select(&filter);
        unproved.retain(|instance| !self.has_answered(instance, now));
        let (known, new): (Vec<_>, Vec<_>) =
            unproved.into_iter().partition(|instance| asked.contains(&instance.id));
        let all = known.len() + new.len() <= AT_ONCE;
        // Where the first of a node has answered, the others share its host.
        let mut nodes: HashSet<NodeId> = known.iter().map(|instance| instance.node).collect();
        for Instance { id, node, .. } in new {
            let is_next = if further { nodes.contains(&node) } else { nodes.insert(node) };
            if (all || is_next) && asked.len() < MOST {
                asked.insert(id);
                self.ask(id, ctx);
            }
        }
        let open = asked.iter().filter(|id| self.presence.is_asked(**id)).count();
        Proving { asked, open }
    }
}
