//! A message that is to set out, and when it is no use handling it any more.

use std::time::{Duration, Instant};

use meshzero_proto::name::TypeName;

/// A message that is to set out, with what it travels with.
pub struct Outward<'a, M> {
    /// The message.
    pub message: &'a M,
    /// The name that it is known by; `None` for the type's own.
    pub name: Option<&'a TypeName>,
    /// When it is no use handling it any more.
    pub deadline: Option<Deadline>,
}

/// A point in time, and how far off it is.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// When it is.
    pub at: Instant,
    /// How long that is from now.
    pub within: Duration,
}

impl Deadline {
    /// The deadline `at`, as seen from now.
    pub fn at(at: Instant) -> Self {
        Self { at, within: at.saturating_duration_since(Instant::now()) }
    }

    /// As it travels, in milliseconds: at least one.
    pub(crate) fn to_wire(self) -> u32 {
        let millis = self.within.saturating_add(Duration::from_micros(999)).as_millis();
        u32::try_from(millis).unwrap_or(u32::MAX).max(1)
    }
}
