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

/// Records that the request `id` arrived at `at`, see
/// [`NextDeadline::millis`](crate::server::request::deadlines::NextDeadline::millis), with a reply wanted within
/// `within`, see [`PendingRequests::insert`](crate::server::request::pending::PendingRequests::insert). If it still
/// waits after that, it is refused. Must be called on the thread of its connection.
#[inline]
pub(crate) fn track(answers: &Arc<Responder>, id: u64, at: u64, within: Option<Duration>) -> bool {
    let deadline = within.map_or(NEVER, |within| at.saturating_add(clock::millis(within)));
    let is_new = answers.pending.insert(id, deadline);
    // Most requests arrive in the order of their deadlines, and need no earlier check.
    if is_new && answers.next_deadline.is_after(deadline) {
        reap_sooner(answers, deadline);
    }
    is_new
}

#[cold]
fn reap_sooner(answers: &Arc<Responder>, deadline: u64) {
    let expiry = &answers.next_deadline;
    if expiry.set(deadline) {
        drop(actix::spawn(check_deadlines(Arc::downgrade(answers), Arc::clone(expiry.notify()))));
    } else {
        expiry.notify().notify_one();
    }
}

/// Checks the pending requests at each deadline, until none of them has one.
async fn check_deadlines(answers: Weak<Responder>, sooner: Arc<Notify>) {
    while let Some(next) = answers.upgrade().and_then(|answers| answers.next_deadline.next()) {
        // Not longer, so that a connection that has ended does not occupy memory until its last deadline.
        let latest = clock::now() + MAX_INTERVAL;
        tokio::select! {
            biased;
            () = sooner.notified() => continue,
            () = time::sleep_until(next.min(latest).into()) => {}
        }
        let Some(answers) = answers.upgrade() else { return };
        let now = answers.next_deadline.millis(clock::now());
        let next = answers.expire_until(now).map_or(NEVER, |next| next.max(now + MIN_INTERVAL));
        answers.next_deadline.set(next);
    }
}
