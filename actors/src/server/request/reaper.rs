//! Refuses requests whose deadlines pass while they wait, whatever their actor is doing meanwhile.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time;

use crate::runtime::clock;
use crate::server::request::pending::NEVER;
use crate::server::request::responder::Responder;

/// The shortest time between two looks at what waits, in milliseconds: each looks at all of it.
const TICK: u64 = 2;

/// The longest: so soon it is noticed that a connection has ended.
const LONGEST_TICK: Duration = Duration::from_secs(5);

/// Notes that the request `id` arrived `at`, see [`Expiry::millis`](crate::server::request::deadlines::Expiry::millis), whose reply is wanted `within`
/// so long, as [`Owed::track`](crate::server::request::pending::Owed::owe). If it still waits when that is over, it is refused. To be called on the
/// thread of its connection.
#[inline]
pub(crate) fn track(answers: &Arc<Responder>, id: u64, at: u64, within: Option<Duration>) -> bool {
    let deadline = within.map_or(NEVER, |within| at.saturating_add(clock::millis(within)));
    let is_new = answers.owed.insert(id, deadline);
    // Most come in the order of their deadlines, and wait for nobody.
    if is_new && answers.expiry.is_after(deadline) {
        reap_sooner(answers, deadline);
    }
    is_new
}

#[cold]
fn reap_sooner(answers: &Arc<Responder>, deadline: u64) {
    let expiry = &answers.expiry;
    if expiry.set(deadline) {
        drop(actix::spawn(look(Arc::downgrade(answers), Arc::clone(expiry.notify()))));
    } else {
        expiry.notify().notify_one();
    }
}

/// Looks at what waits at each deadline, until nothing waits that has one.
async fn look(answers: Weak<Responder>, sooner: Arc<Notify>) {
    while let Some(next) = answers.upgrade().and_then(|answers| answers.expiry.next()) {
        // Not so long that those who have hung up cost memory until their deadlines.
        let latest = clock::now() + LONGEST_TICK;
        tokio::select! {
            biased;
            () = sooner.notified() => continue,
            () = time::sleep_until(next.min(latest).into()) => {}
        }
        let Some(answers) = answers.upgrade() else { return };
        let now = answers.expiry.millis(clock::now());
        let next = answers.expire_until(now).map_or(NEVER, |next| next.max(now + TICK));
        answers.expiry.set(next);
    }
}
