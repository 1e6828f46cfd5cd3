//! Draining: a service finishes what it has accepted, until its time is over.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::server::request::in_progress::CountsByType;
use crate::server::service::Service;

/// How long answers that were written may take to leave when the time for draining is over: they are done, and small.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// Lets a service finish what it has accepted, until `deadline`. Then what no handler has begun is refused.
///
/// Returns what is left by type, and how many messages that is; `None` when all is done.
pub(crate) async fn finish(service: &Service, deadline: Instant) -> Option<(CountsByType, usize)> {
    service.drain();
    let done = async {
        loop {
            service.drained().await;
            // A connection that waited for room in what was just finished has its turn before this has one again, and
            // brings what it had accepted.
            tokio::task::yield_now().await;
            if service.unfinished() == 0 {
                return;
            }
        }
    };
    if time::timeout_at(deadline, done).await.is_ok() {
        return None;
    }
    let unfinished = service.unfinished();
    // An actor whose thread is held up cannot tell.
    let tally = time::timeout(LAST_ANSWERS, service.abandon()).await.unwrap_or_default();
    (unfinished > 0).then_some((tally, unfinished))
}
