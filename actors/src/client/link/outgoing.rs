//! A message to be sent, and its deadline.

use std::time::{Duration, Instant};

use meshzero_proto::name::TypeName;
use meshzero_proto::trace::TraceContext;

use crate::runtime::clock;

/// The most milliseconds of a caller's timeout that are reserved for the arrival of the reply.
const MAX_RETURN_MILLIS: u64 = 50;

/// A message to be sent, with its name, deadline and trace.
pub(crate) struct OutgoingMessage<'a, M> {
    /// The message.
    pub message: &'a M,
    /// The name of the message; `None` for the type's own.
    pub name: Option<&'a TypeName>,
    /// The deadline, after which handling the message is useless.
    pub deadline: Option<Deadline>,
    /// The trace that it is part of.
    pub trace: Option<&'a TraceContext>,
}

/// An instant, and its distance from now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// The instant.
    pub at: Instant,
    /// Its distance from now.
    pub remaining: Duration,
}

impl Deadline {
    /// The deadline `at`, as seen from now.
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, remaining: at.saturating_duration_since(clock::now()) }
    }

    /// Returns the timeout as it is sent, in milliseconds: at least one. It is a tenth shorter than the caller's, by
    /// [`MAX_RETURN_MILLIS`] at most, so that the refusal of a request that was not handled arrives in time.
    pub(crate) fn to_wire(self) -> u32 {
        let remaining = clock::millis(self.remaining);
        let reserve = remaining.div_ceil(10).min(MAX_RETURN_MILLIS);
        u32::try_from(remaining - reserve).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_for_the_reply_to_arrive() {
        let at = Instant::now();
        let wire = |millis| Deadline { at, remaining: Duration::from_millis(millis) }.to_wire();
        assert_eq!([0, 1, 5, 50, 500, 5_000].map(wire), [1, 1, 4, 45, 450, 4_950]);
        assert_eq!(wire(u64::MAX), u32::MAX);
    }
}
