//! The clock that deadlines are measured by: the system's, or the one that a runtime with a clock of its own goes by.

use std::time::Instant;

/// What time it is. On a runtime whose clock is paused, as in a simulation, that clock says so; elsewhere the system does, and
/// asking it this way costs nothing more.
#[inline]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
