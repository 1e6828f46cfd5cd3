//! The result of a diagnosis, for errors to carry.

use std::collections::HashSet;
use std::fmt;

use meshzero_proto::diagnosis::{Finding, TriedAddress, evidence_of, paragraph, received_instead};
use meshzero_proto::id::InstanceId;

use crate::discovery::report::DiscoveryReport;

/// The reason why something was not found or not reached. It displays as one paragraph: the likeliest cause, the
/// remedy, and the evidence.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The causes that fit the observations, the likeliest first; empty if the node has left.
    pub findings: Vec<Finding>,
    /// Each endpoint that was announced, or named, and does not answer.
    pub unreachable: Vec<UnreachableEndpoint>,
    /// The last error, in words.
    pub trouble: Option<String>,
    /// The addresses that were tried, and how each attempt ended.
    pub attempts: Vec<TriedAddress>,
    /// The knowledge of discovery at that moment.
    pub report: DiscoveryReport,
}

/// An endpoint that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreachableEndpoint {
    /// The instance, where it is known.
    pub instance: Option<InstanceId>,
    /// The service that was announced there, where it is known.
    pub service: Option<String>,
    /// The reason why it does not answer.
    pub finding: Finding,
}

/// The result of probing the endpoints of services.
#[derive(Debug, Clone, Default)]
pub struct Reachability {
    /// Each service that was announced and does not answer, with the cause: listed ones, and others.
    pub unreachable: Vec<UnreachableEndpoint>,
    /// Services that are known and not listed.
    pub hidden: Option<HiddenServices>,
    pub(crate) answered: HashSet<InstanceId>,
    pub(crate) silent: HashSet<InstanceId>,
}

/// Services that are known and not listed, because their programs offer more services than are kept per program
/// ([`Limits::instances_per_node`](meshzero_proto::limits::Limits::instances_per_node)). They are found by their exact
/// names.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HiddenServices {
    /// The number of them; at most 256 of each program are counted, and 1,024 in all.
    pub services: usize,
    /// The same in words, with the limit and a value that would show them.
    pub finding: Finding,
}

impl Reachability {
    /// Returns whether an instance has answered lately at one of its addresses, or its node vouches for it over a
    /// connection; `None` if it was not probed, because there are too many, or if it may still answer.
    pub fn answers(&self, instance: InstanceId) -> Option<bool> {
        if self.answered.contains(&instance) {
            return Some(true);
        }
        let is_same = |unreachable: &UnreachableEndpoint| unreachable.instance == Some(instance);
        (self.silent.contains(&instance) || self.unreachable.iter().any(is_same)).then_some(false)
    }
}

impl Diagnosis {
    /// Returns the evidence, in a few words each.
    pub fn evidence(&self) -> Vec<String> {
        let DiscoveryReport { service_names, interfaces, peers, multicast, .. } = &self.report;
        let mut evidence = evidence_of(&self.attempts, multicast, self.trouble.as_deref());
        evidence.extend(received_instead(service_names, interfaces, peers));
        evidence
    }
}

/// The same paragraph: the full report would fill a screen, and is in traces and logs.
impl fmt::Debug for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Diagnosis({self})")
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match paragraph(&self.findings, &self.evidence()) {
            Some(paragraph) => f.write_str(&paragraph),
            None => f.write_str("the reason is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::diagnosis::{Observations, diagnose};

    use super::*;

    #[test]
    fn instances_that_were_not_probed_may_answer() {
        let [answered, silent, refused, unknown] = [1, 2, 3, 4].map(|n| InstanceId::from_random([n; 16]));
        let finding = diagnose(&Observations::default()).remove(0);
        let endpoint = |instance| UnreachableEndpoint {
            instance: Some(instance),
            service: None,
            finding: finding.clone(),
        };
        let reachability = Reachability {
            unreachable: vec![endpoint(refused), endpoint(answered)],
            hidden: None,
            answered: [answered].into(),
            silent: [silent].into(),
        };
        let answers = [answered, silent, refused, unknown].map(|instance| reachability.answers(instance));
        assert_eq!(answers, [Some(true), Some(false), Some(false), None]);
    }
}
