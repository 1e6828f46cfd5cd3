//! The instances that this node dials: updates of their addresses, and records of the attempts.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use meshzero_proto::diagnosis::Attempt;
use meshzero_proto::discovery::directory::{Directory, DownReason, Instance};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;
use tokio::sync::watch;

use crate::discovery::probe::ProbeTarget;
use crate::link::attempt_record::{AttemptRecord, AttemptRecords};

/// The number of goodbyes that are remembered.
const MAX_WITHDRAWN: usize = 64;

/// The updates for dials under way, and the records of the attempts.
#[derive(Default)]
pub(crate) struct DialHistory {
    /// The updates for dials of an instance.
    updates: HashMap<InstanceId, watch::Sender<Option<Instance>>>,
    /// The attempts to reach each instance that did not answer.
    records: AttemptRecords<InstanceId, ServiceName>,
    /// The instances that withdrew last, and so are not expected to answer.
    withdrawn: VecDeque<InstanceId>,
}

impl DialHistory {
    /// Records that an instance withdrew, or that its announcement expired.
    pub(crate) fn record_withdrawal(&mut self, instance: InstanceId) {
        self.records.forget(instance);
        if !self.withdrawn.contains(&instance) {
            if self.withdrawn.len() >= MAX_WITHDRAWN {
                self.withdrawn.pop_front();
            }
            self.withdrawn.push_back(instance);
        }
    }

    /// Returns whether an instance withdrew.
    pub(crate) fn has_left(&self, instance: InstanceId) -> bool {
        self.withdrawn.contains(&instance)
    }

    /// Returns the reason why an instance is gone: its withdrawal if it sent one, else `otherwise`.
    pub(crate) fn down_reason_or(&self, instance: InstanceId, otherwise: DownReason) -> DownReason {
        match otherwise {
            DownReason::Refused | DownReason::NodeDied if self.has_left(instance) => DownReason::Withdrawn,
            otherwise => otherwise,
        }
    }

    /// Records that an instance is announced.
    pub(crate) fn record_announcement(&mut self, instance: InstanceId) {
        self.withdrawn.retain(|withdrawn| *withdrawn != instance);
    }

    /// Returns the instances that did not answer lately, with the attempts.
    pub(crate) fn unanswered(&self) -> Vec<(InstanceId, ServiceName, Vec<Attempt>)> {
        self.records.unanswered()
    }

    /// Prepares to dial an instance: returns a target with updates of its addresses, and the record for the attempts.
    pub(crate) fn prepare_dial(
        &mut self,
        instance: Instance,
        answered: Option<SocketAddr>,
    ) -> (AttemptRecord, ProbeTarget) {
        let record = self.record(&instance);
        self.updates.retain(|_, updates| !updates.is_closed());
        let updates = self.updates.entry(instance.id).or_insert_with(|| watch::Sender::new(None));
        let updates = updates.subscribe();
        (record, ProbeTarget { instance, answered, updates })
    }

    /// Sends the current addresses of an instance to its dials.
    pub(crate) fn update(&self, id: InstanceId, directory: &Directory) {
        if let Some(updates) = self.updates.get(&id) {
            updates.send_replace(directory.candidate(id));
        }
    }

    /// Returns the record of dialling an instance.
    fn record(&mut self, instance: &Instance) -> AttemptRecord {
        match self.withdrawn.contains(&instance.id) {
            true => AttemptRecord::default(),
            false => self.records.record_for(instance.id, instance.service.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_said_goodbye_counts_as_withdrawn() {
        let instance = |n: u8| InstanceId::from_random([n; 16]);
        let mut history = DialHistory::default();
        history.record_withdrawal(instance(1));
        let reason = |history: &DialHistory, n| {
            [DownReason::Refused, DownReason::NodeDied, DownReason::Unreachable]
                .map(|otherwise| history.down_reason_or(instance(n), otherwise))
        };
        assert_eq!(
            reason(&history, 1),
            [DownReason::Withdrawn, DownReason::Withdrawn, DownReason::Unreachable]
        );
        assert_eq!(reason(&history, 2), [DownReason::Refused, DownReason::NodeDied, DownReason::Unreachable]);
        history.record_announcement(instance(1));
        assert_eq!(reason(&history, 1), reason(&history, 2), "it is back");
    }
}
