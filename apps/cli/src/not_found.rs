//! The reason why a service was not found: a paragraph for people, an object for programs.

use std::time::Duration;

use meshzero::diagnosis::{Attempt, AttemptOutcome, Diagnosis, Finding, Neighbour, TriedAddress};
use meshzero::{CallError, DiscoverError, SubscribeError};
use serde_json::{Value, json};

use crate::render::{self, millis};

/// A service that was not found, with the diagnosis.
#[derive(Debug, Clone)]
pub(crate) struct NotFound {
    /// The paragraph for people.
    pub(crate) text: String,
    findings: Vec<Finding>,
    attempts: Vec<TriedAddress>,
}

impl NotFound {
    /// Explains an empty list.
    pub(crate) fn of_list(diagnosis: Diagnosis, waited: Duration) -> Self {
        let mut evidence = vec![format!("waited {}", render::duration(waited))];
        evidence.extend(diagnosis.evidence());
        let text = match diagnosis.findings.first() {
            Some(finding) => format!("{finding} ({})", evidence.join("; ")),
            None => format!("there is no service ({})", evidence.join("; ")),
        };
        Self { text, findings: diagnosis.findings, attempts: diagnosis.attempts }
    }

    pub(crate) fn of_discover(error: &DiscoverError) -> Option<Self> {
        let (findings, attempts) = match error {
            DiscoverError::NotFound(missed) => (&missed.findings, &missed.attempts),
            DiscoverError::Unreachable { diagnosis, .. } => (&diagnosis.findings, &diagnosis.attempts),
            _ => return None,
        };
        Some(Self { text: error.to_string(), findings: findings.clone(), attempts: attempts.clone() })
    }

    pub(crate) fn of_call(error: &CallError) -> Option<Self> {
        let CallError::NotSent { diagnosis: Some(diagnosis), .. } = error else { return None };
        Some(Self::with(error.to_string(), diagnosis))
    }

    pub(crate) fn of_subscribe(error: &SubscribeError) -> Option<Self> {
        match error {
            SubscribeError::Nobody { diagnosis, .. } | SubscribeError::Unconfirmed { diagnosis, .. } => {
                Some(Self::with(error.to_string(), diagnosis.as_ref()?))
            }
            _ => None,
        }
    }

    fn with(text: String, diagnosis: &Diagnosis) -> Self {
        Self { text, findings: diagnosis.findings.clone(), attempts: diagnosis.attempts.clone() }
    }

    /// Returns the fields for programs, beside the text and the exit code.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = Vec::new();
        if let Some(Finding { code, sentence, remedy, .. }) = self.findings.first() {
            fields.push(("code", json!(code.as_str())));
            fields.push(("sentence", json!(sentence)));
            fields.push(("remedy", json!(remedy)));
        }
        fields.push(("findings", json!(self.findings)));
        fields.push(("attempts", self.attempts.iter().map(attempt).collect()));
        fields
    }
}

fn attempt(tried: &TriedAddress) -> Value {
    let Attempt { address, outcome, took } = tried.attempt;
    let os_error = match outcome {
        AttemptOutcome::Failed { code, .. } => code,
        _ => None,
    };
    let neighbour = match tried.neighbour {
        Neighbour::Complete => Some("complete"),
        Neighbour::Stale => Some("stale"),
        Neighbour::Incomplete => Some("incomplete"),
        _ => None,
    };
    json!({
        "address": render::address(address),
        "outcome": outcome.to_string(),
        "os_error": os_error,
        "ms": millis(took),
        "neighbour": neighbour,
        "interface": tried.leaves_by,
    })
}
