//! The results of calls that gave up their places before their callers read them.

use std::collections::HashMap;

use meshzero_proto::call::in_flight::CallId;

use super::CallEnd;
use crate::server::request::inbound::Outcome;

/// The memory of a result besides its bytes.
const OVERHEAD: usize = 128;

/// The unread results, with a limit on their total bytes: one more may be added while the total is below it.
#[derive(Debug)]
pub(super) struct UnreadResults {
    ended: HashMap<CallId, CallEnd>,
    bytes: usize,
    limit: usize,
}

impl UnreadResults {
    /// An empty table with a limit in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { ended: HashMap::new(), bytes: 0, limit }
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
    pub(super) fn insert(&mut self, id: CallId, ended: CallEnd) {
        self.bytes += size(&ended);
        self.ended.insert(id, ended);
    }

    /// Takes the result of a call.
    pub(super) fn remove(&mut self, id: CallId) -> Option<CallEnd> {
        let ended = self.ended.remove(&id)?;
        self.bytes -= size(&ended);
        Some(ended)
    }
}

fn size(ended: &CallEnd) -> usize {
    OVERHEAD
        + match ended {
            CallEnd::Answered(Outcome::Reply(_, payload)) => payload.len(),
            CallEnd::Answered(Outcome::Refused(_))
            | CallEnd::TimedOut
            | CallEnd::Withdrawn
            | CallEnd::Lost(_) => 0,
        }
}
