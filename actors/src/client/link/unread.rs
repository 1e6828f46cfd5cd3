//! Results of calls that gave their places to others before their callers looked.

use std::collections::HashMap;

use meshzero_proto::call::in_flight::CallId;

use super::CallEnd;
use crate::server::request::inbound::Outcome;

/// Memory of a result besides its bytes.
const OVERHEAD: usize = 128;

/// The results, of so many bytes together that one more may be added while there are fewer.
#[derive(Debug)]
pub(super) struct UnreadResults {
    ended: HashMap<CallId, CallEnd>,
    bytes: usize,
    limit: usize,
}

impl UnreadResults {
    /// None, with a limit in bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { ended: HashMap::new(), bytes: 0, limit }
    }

    /// Returns whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    /// Returns the bytes of all of them.
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
