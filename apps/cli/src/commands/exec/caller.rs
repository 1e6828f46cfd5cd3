//! The caller of a program: its deadline, and its cancellation.

use std::time::{Duration, Instant};

use meshzero::{Call, Value};
use tokio::time;

/// The longest pause between two checks of the caller.
const LOOK: Duration = Duration::from_millis(100);

/// The time for a caller to cancel after its deadline, before it is told so.
const GRACE: Duration = Duration::from_secs(1);

/// Returns whether a call's deadline has passed, or its caller has given up.
pub(super) fn is_over(call: &Call<Value>) -> bool {
    is_over_after(call, Duration::ZERO)
}

/// Waits until a call's deadline has passed, or its caller has given up. Messages without a reply have no deadline.
///
/// # Cancel safety
/// This function is cancel safe.
pub(super) async fn over(call: &Call<Value>) {
    while !is_over(call) {
        // Right after its deadline the caller can still be told that the program was not run.
        let left = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        time::sleep(left.map_or(LOOK, |left| left.min(LOOK))).await;
    }
}

/// Waits until the caller has given up, or its deadline passed a while ago. Messages without a reply have no deadline.
///
/// # Cancel safety
/// This function is cancel safe.
pub(super) async fn gave_up(call: &Call<Value>) {
    while !is_over_after(call, GRACE) {
        time::sleep(LOOK).await;
    }
}

fn is_over_after(call: &Call<Value>, grace: Duration) -> bool {
    let is_late = |deadline: Instant| Instant::now().saturating_duration_since(deadline) > grace;
    call.is_abandoned() || call.deadline().is_some_and(is_late)
}
