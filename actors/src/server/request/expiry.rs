//! Refuses requests whose deadlines pass while they wait, even while their actor is busy.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time;

use crate::runtime::clock;
use crate::server::request::pending::NEVER;
use crate::server::request::responder::Responder;

/// The shortest time between two checks, in milliseconds: each check visits all pending requests.
const MIN_INTERVAL: u64 = 2;

/// The longest time between two checks, within which the end of a connection is noticed.
const MAX_INTERVAL: Duration = Duration::from_secs(5);

/// Records that the request `id` arrived at `arrived_at`, see
/// [`NextDeadline::millis`](crate::server::request::next_deadline::NextDeadline::millis), with a reply wanted within
/// `timeout`, see [`PendingRequests::insert`](crate::server::request::pending::PendingRequests::insert). If it still
/// waits after that, it is refused. Must be called on the thread of its connection.
#[inline]
pub(crate) fn track(responder: &Arc<Responder>, id: u64, arrived_at: u64, timeout: Option<Duration>) -> bool {
    let deadline = timeout.map_or(NEVER, |timeout| arrived_at.saturating_add(clock::millis(timeout)));
    let is_new = responder.pending.insert(id, deadline);
    // Most requests arrive in the order of their deadlines, and need no earlier check.
    if is_new && responder.next_deadline.is_after(deadline) {
        reap_sooner(responder, deadline);
    }
    is_new
}

#[cold]
fn reap_sooner(responder: &Arc<Responder>, deadline: u64) {
    let next_deadline = &responder.next_deadline;
    if next_deadline.set(deadline) {
        drop(actix::spawn(check_deadlines(Arc::downgrade(responder), Arc::clone(next_deadline.notify()))));
    } else {
        next_deadline.notify().notify_one();
    }
}

/// Checks the pending requests at each deadline, until none of them has one.
async fn check_deadlines(responder: Weak<Responder>, sooner: Arc<Notify>) {
    while let Some(next) = responder.upgrade().and_then(|responder| responder.next_deadline.next()) {
        // Not longer, so that a connection that has ended does not occupy memory until its last deadline.
        let latest = clock::now() + MAX_INTERVAL;
        tokio::select! {
            biased;
            () = sooner.notified() => continue,
            () = time::sleep_until(next.min(latest).into()) => {}
        }
        let Some(responder) = responder.upgrade() else { return };
        let now = responder.next_deadline.millis(clock::now());
        let next = responder.expire_until(now).map_or(NEVER, |next| next.max(now + MIN_INTERVAL));
        responder.next_deadline.set(next);
    }
}
