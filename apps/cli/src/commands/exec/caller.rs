//! The caller of a program: the time until which it waits, and the moment at which it gives up.

use std::time::{Duration, Instant};

use meshzero::{Call, Value};
use tokio::time;

/// The longest pause before it is looked again whether the caller has given up.
const LOOK: Duration = Duration::from_millis(100);

/// The time that a caller is given after its deadline to say that it has given up, so that it is not told so before.
const GRACE: Duration = Duration::from_secs(1);

/// Returns whether the time of a call is over, or its caller has given up.
pub(super) fn is_over(call: &Call<Value>) -> bool {
    is_over_after(call, Duration::ZERO)
}

/// Waits until the time of a call is over, or its caller has given up. Messages whose senders want no reply have all the time.
///
/// # Cancel safety
/// This function is cancel safe.
pub(super) async fn over(call: &Call<Value>) {
    while !is_over(call) {
        // Right behind its deadline the caller can still be told that the program was not run.
        let left = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        time::sleep(left.map_or(LOOK, |left| left.min(LOOK))).await;
    }
}

/// Waits until the caller has given up, or its time has been over for a while. Messages whose senders want no reply have all the
/// time.
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
