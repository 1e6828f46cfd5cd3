//! A message that is to set out, and when it is no use handling it any more.

use std::time::{Duration, Instant};

use meshzero_proto::name::TypeName;
use meshzero_proto::trace::TraceContext;

use crate::runtime::clock;

/// Of the time that a caller allows, so much at most is kept for the way back, in milliseconds.
const LONGEST_WAY_BACK: u64 = 50;

/// A message that is to set out, with what it travels with.
pub(crate) struct OutgoingMessage<'a, M> {
    /// The message.
    pub message: &'a M,
    /// The name that it is known by; `None` for the type's own.
    pub name: Option<&'a TypeName>,
    /// When it is no use handling it any more.
    pub deadline: Option<Deadline>,
    /// The trace that it is part of.
    pub trace: Option<&'a TraceContext>,
}

/// A point in time, and how far off it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// When it is.
    pub at: Instant,
    /// How long that is from now.
    pub within: Duration,
}

impl Deadline {
    /// The deadline `at`, as seen from now.
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, within: at.saturating_duration_since(clock::now()) }
    }

    /// As it travels, in milliseconds: at least one. It is a tenth sooner than its caller's, [`LONGEST_WAY_BACK`] at most, so
    /// that word of a request that was not handled comes back in time.
    pub(crate) fn to_wire(self) -> u32 {
        let within = clock::millis(self.within);
        let way_back = within.div_ceil(10).min(LONGEST_WAY_BACK);
        u32::try_from(within - way_back).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_for_the_way_back() {
        let at = Instant::now();
        let wire = |millis| Deadline { at, within: Duration::from_millis(millis) }.to_wire();
        assert_eq!([0, 1, 5, 50, 500, 5_000].map(wire), [1, 1, 4, 45, 450, 4_950]);
        assert_eq!(wire(u64::MAX), u32::MAX);
    }
}
