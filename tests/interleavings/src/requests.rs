//! Pending requests: each begins or is refused, never both, and is answered at most once.

use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use crate::server::request::pending::{NEVER, PendingRequests};

/// The number of interleavings of each check.
const ITERATIONS: usize = 2_000;

/// The number of requests that are pending at the same time.
const REQUESTS: u64 = 3;

/// While a handler begins requests and answers them, their deadlines pass and their caller cancels them: each either begins or is
/// refused, and there is at most one answer.
pub fn a_request_begins_or_is_refused_and_never_both() {
    shuttle::check_random(
        || {
            let pending = Arc::new(PendingRequests::new(64));
            for id in 0..REQUESTS {
                assert!(pending.insert(id, 10 * id));
            }
            let (started, expired) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
            let (answered, cancelled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let handler = {
                let (pending, started, answered) =
                    (Arc::clone(&pending), Arc::clone(&started), Arc::clone(&answered));
                thread::spawn(move || {
                    for id in (0..REQUESTS).filter(|id| pending.start(*id)) {
                        started.lock().expect("no panic").push(id);
                        answered.fetch_add(usize::from(pending.remove(id)), Ordering::SeqCst);
                    }
                })
            };
            let caller = {
                let (pending, cancelled) = (Arc::clone(&pending), Arc::clone(&cancelled));
                thread::spawn(move || {
                    for id in 0..REQUESTS {
                        let removed = pending.remove(id);
                        assert!(
                            removed || !pending.contains(id),
                            "a pending request can be cancelled at any time"
                        );
                        cancelled.fetch_add(usize::from(removed), Ordering::SeqCst);
                    }
                })
            };
            // The connection's own task, which also accepts requests.
            for now in [5, 15, 25] {
                pending.expire(now, |id| expired.lock().expect("no panic").push(id));
            }
            handler.join().expect("no panic");
            caller.join().expect("no panic");
            let (started, expired) = (started.lock().expect("no panic"), expired.lock().expect("no panic"));
            assert!(
                started.iter().all(|id| !expired.contains(id)),
                "{started:?} began, {expired:?} were refused"
            );
            let ended = answered.load(Ordering::SeqCst) + cancelled.load(Ordering::SeqCst) + expired.len();
            assert_eq!(ended as u64, REQUESTS, "each has one end");
        },
        ITERATIONS,
    );
}

/// A caller that reuses a slot gets no answer to the slot's previous request, however late that answer is.
pub fn a_reused_slot_answers_only_the_later_request() {
    shuttle::check_random(
        || {
            let pending = Arc::new(PendingRequests::new(64));
            let (earlier, later) = (7, 1 << 32 | 7);
            assert!(pending.insert(earlier, NEVER) && pending.start(earlier));
            let answered = Arc::new(AtomicU64::new(0));
            let handler = {
                let (pending, answered) = (Arc::clone(&pending), Arc::clone(&answered));
                thread::spawn(move || {
                    if pending.remove(earlier) {
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            };
            // The later request cancels the earlier one.
            assert!(pending.insert(later, NEVER));
            assert!(pending.start(later) && pending.contains(later), "independently of the earlier one");
            handler.join().expect("no panic");
            assert!(!pending.remove(earlier) && pending.remove(later) && !pending.remove(later));
            assert!(answered.load(Ordering::SeqCst) <= 1);
        },
        ITERATIONS,
    );
}
