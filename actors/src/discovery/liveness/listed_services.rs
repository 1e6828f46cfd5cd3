//! Verification of listed services: endpoints that have not answered lately are probed, so that a list can mark those
//! that do not.

use std::collections::{HashMap, HashSet};

use actix::dev::MessageResponse;
use actix::prelude::*;
use meshzero_proto::discovery::directory::{Filter, Instance};
use meshzero_proto::id::{InstanceId, NodeId};

use crate::discovery::effect::Effect;
use crate::link::attempt_record;

/// The most endpoints that are probed without waiting for the first of each node to answer.
const MAX_FIRST_PROBES: usize = 32;
/// The most endpoints that are probed. The attempts to reach each are recorded.
const MAX_PROBES: usize = 256;
const _: () =
    assert!(MAX_PROBES <= attempt_record::MAX_ENDPOINTS, "the attempts to reach each endpoint are recorded");

/// Probes the endpoints of shown services that have not answered lately, one of each node first where there are many.
/// Repeat it with its response while probes are open.
#[derive(Debug, Message)]
#[rtype(result = "VerifyProgress")]
pub struct VerifyInstances {
    /// The services to verify.
    pub filter: Filter,
    /// The response to the previous such message.
    pub previous: VerifyProgress,
    /// Set if the time for the first endpoint of each node has passed.
    pub further: bool,
}

/// The progress of verification.
#[derive(Debug, Default, MessageResponse)]
pub struct VerifyProgress {
    /// The services that have answered, or need no probe.
    pub answered: HashSet<InstanceId>,
    /// The endpoints that were probed.
    pub asked: HashSet<InstanceId>,
    /// Those of them that may still answer.
    pub open: HashSet<InstanceId>,
    /// The number of services that are known and not shown, because of a limit.
    pub hidden: usize,
    /// The endpoint of each node that was probed first.
    firsts: HashMap<NodeId, InstanceId>,
}

impl VerifyProgress {
    /// Chooses the endpoints to probe first, among those that are not verified: all, or one of each node where there are
    /// many.
    pub(crate) fn choose_first(&mut self, unproved: &[Instance]) -> Vec<Effect> {
        let all = unproved.len() <= MAX_FIRST_PROBES;
        let choose = |instance: &Instance| match all || !self.firsts.contains_key(&instance.node) {
            true => self.choose(instance),
            false => None,
        };
        unproved.iter().filter_map(choose).collect()
    }

    /// Chooses the endpoints to probe next. The other endpoints of a node are on the host of its first: while that one is
    /// silent they wait, unless `further` is set.
    pub(crate) fn choose_others(
        &mut self,
        unproved: &[Instance],
        further: bool,
        is_open: impl Fn(InstanceId) -> bool,
    ) -> Vec<Effect> {
        let choose = |instance: &Instance| {
            let first = self.firsts.get(&instance.node);
            match further || first.is_some_and(|first| !is_open(*first)) {
                true => self.choose(instance),
                false => None,
            }
        };
        unproved.iter().filter_map(choose).collect()
    }

    /// Chooses an endpoint, if there is room for another.
    fn choose(&mut self, Instance { id, node, .. }: &Instance) -> Option<Effect> {
        let is_chosen = self.asked.len() < MAX_PROBES && self.asked.insert(*id);
        is_chosen.then(|| {
            self.firsts.entry(*node).or_insert(*id);
            Effect::Probe(*id)
        })
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::name::ServiceName;

    use super::*;

    fn instances(node: u8, count: u8) -> Vec<Instance> {
        let instance = |n: u8| Instance {
            id: InstanceId::from_random([node ^ n; 16]),
            node: NodeId::from_random([node; 16]),
            service: ServiceName::new("arm").expect("a name"),
            addresses: Vec::new(),
            local: false,
        };
        (0..count).map(instance).collect()
    }

    #[test]
    fn few_endpoints_are_probed_at_once_and_of_many_one_of_each_node() {
        let few = instances(64, 32);
        assert_eq!(VerifyProgress::default().choose_first(&few).len(), 32);
        let many = [instances(64, 32), instances(128, 32)].concat();
        let mut progress = VerifyProgress::default();
        let firsts = [many[0].id, many[32].id];
        assert_eq!(progress.choose_first(&many), firsts.map(Effect::Probe));
        assert_eq!(progress.choose_others(&many, false, |_| true), [], "the firsts have not answered");
        assert_eq!(progress.choose_others(&many, false, |id| id == firsts[0]).len(), 31);
        assert_eq!(progress.choose_others(&many, true, |_| true).len(), 31, "those of the silent node");
        assert_eq!(progress.choose_others(&many, true, |_| true), [], "each is probed once");
    }
}
