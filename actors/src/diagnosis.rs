//! The result of a diagnosis, for errors to carry.

use std::fmt;

use meshzero_proto::diagnosis::{Finding, Tried, evidence_of, heard_instead, paragraph};
use meshzero_proto::id::InstanceId;

use crate::report::Report;

/// Why something was not found or not reached, and what that rests on. It displays as one paragraph: the likeliest cause, what to
/// do about it, and the evidence.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The causes that fit what was observed, the likeliest first; none if the node has left.
    pub findings: Vec<Finding>,
    /// Each endpoint that was announced, or named, and does not answer.
    pub unanswering: Vec<Unanswering>,
    /// What else is known to be in the way.
    pub trouble: Option<String>,
    /// The addresses that were tried, and how each attempt ended.
    pub attempts: Vec<Tried>,
    /// What was heard instead, and where.
    pub report: Report,
}

/// An endpoint that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswering {
    /// The instance, where it is known.
    pub instance: Option<InstanceId>,
    /// The service that was announced there, where it is known.
    pub service: Option<String>,
    /// Why it does not answer.
    pub finding: Finding,
}

impl Diagnosis {
    /// What it rests on, in a few words each.
    pub fn evidence(&self) -> Vec<String> {
        let Report { heard, interfaces, peers, multicast, .. } = &self.report;
        let mut evidence = evidence_of(&self.attempts, multicast, self.trouble.as_deref());
        evidence.extend(heard_instead(heard, interfaces, peers));
        evidence
    }
}

/// The same paragraph: all that it rests on would fill a screen, and stands in traces and logs.
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
