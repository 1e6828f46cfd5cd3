//! Draining: a service finishes the messages that it has accepted, until a deadline.

use std::time::Duration;

use tokio::time::{self, Instant};

use crate::server::request::in_progress::CountsByType;
use crate::server::service::Service;

/// The time after the drain deadline in which replies that were written may still be sent: no work is left, and they are
/// small.
pub(crate) const FLUSH_GRACE: Duration = Duration::from_millis(100);

/// Lets a service finish the messages that it has accepted, until `deadline`. Then those that no handler has begun are
/// refused.
///
/// Returns the unfinished messages by type, and their number; `None` when all are done.
pub(crate) async fn finish(service: &Service, deadline: Instant) -> Option<(CountsByType, usize)> {
    service.drain();
    let done = async {
        loop {
            service.drained().await;
            // A connection that waited for room gets its turn before this task does, and delivers what it had accepted.
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
    // An actor whose thread is blocked cannot report.
    let counts = time::timeout(FLUSH_GRACE, service.abandon()).await.unwrap_or_default();
    (unfinished > 0).then_some((counts, unfinished))
}
