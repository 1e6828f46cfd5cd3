//! The clock for deadlines: the system's, or that of a runtime with a clock of its own.

use std::time::{Duration, Instant};

use meshzero_proto::limits::FOREVER;

/// Returns the time: that of a runtime whose clock is paused, as in a simulation, else the system's. This costs no more
/// than reading the system's.
#[inline]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns `instant` plus `duration`; a time in the far future if the sum is out of the clock's range.
pub(crate) fn later<I: Copy + std::ops::Add<Duration, Output = I>>(instant: I, duration: Duration) -> I {
    instant + duration.min(FOREVER)
}

/// Waits until `instant`; forever if that is `None`.
///
/// # Cancel safety
/// This function is cancel safe.
pub(crate) async fn sleep_until(instant: Option<impl Into<tokio::time::Instant>>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns the whole milliseconds. `Duration::as_millis` computes in 128 bits, which would cost time for every request.
#[inline]
pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis().into())
}
