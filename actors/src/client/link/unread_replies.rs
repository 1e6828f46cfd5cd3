//! The results of calls that gave up their slots before their callers read them.

use std::collections::HashMap;

use meshzero_proto::call::in_flight::CallId;

use super::CallEnd;
use crate::server::request::inbound::Outcome;

/// The memory of a result besides its bytes.
const OVERHEAD: usize = 128;

/// The unread results, with a limit on their total bytes: one more may be added while the total is below it.
#[derive(Debug)]
pub(super) struct UnreadResults {
    results: HashMap<CallId, CallEnd>,
    bytes: usize,
    limit: usize,
}

impl UnreadResults {
    /// An empty table with a limit in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { results: HashMap::new(), bytes: 0, limit }
    }

    /// Returns whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    /// The total bytes of all results.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the result of a call.
    pub(super) fn insert(&mut self, id: CallId, end: CallEnd) {
        self.bytes += size(&end);
        self.results.insert(id, end);
    }

    /// Takes the result of a call.
    pub(super) fn remove(&mut self, id: CallId) -> Option<CallEnd> {
        let end = self.results.remove(&id)?;
        self.bytes -= size(&end);
        Some(end)
    }
}

fn size(end: &CallEnd) -> usize {
    OVERHEAD
        + match end {
            CallEnd::Answered(Outcome::Reply(_, payload)) => payload.len(),
            CallEnd::Answered(Outcome::Refused(_))
            | CallEnd::TimedOut
            | CallEnd::Withdrawn
            | CallEnd::Lost(_) => 0,
        }
}
