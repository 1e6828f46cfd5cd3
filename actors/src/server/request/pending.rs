//! The pending requests of one connection: accepted, and neither answered nor cancelled.

use std::sync::OnceLock;

use crate::runtime::sync::atomic::{AtomicU64, Ordering};

/// The number of slots allocated at a time: most callers have few requests in flight.
const CHUNK: usize = 64;

/// No request has this id: its slot would be beyond any limit.
const NONE: u64 = u64::MAX;

/// Set in the id of a request whose handler has begun. No slot number is so large that an id has the bit by itself.
const BEGUN: u64 = 1 << 31;

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// The table of pending requests and their deadlines. The lower half of a request's id is its slot, see
/// [`CallId`](meshzero_proto::call::in_flight::CallId), and a caller reuses a slot only when the request that had it is
/// no longer wanted. So there is no search and no lock.
///
/// Times are milliseconds since an arbitrary epoch of the user.
#[derive(Debug)]
pub(crate) struct PendingRequests {
    chunks: Box<[OnceLock<Box<[Slot; CHUNK]>>]>,
    limit: usize,
}

#[derive(Debug)]
struct Slot {
    id: AtomicU64,
    deadline: AtomicU64,
}

impl Slot {
    const fn free() -> Self {
        Self { id: AtomicU64::new(NONE), deadline: AtomicU64::new(NEVER) }
    }
}

impl PendingRequests {
    /// A table with `limit` slots.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(BEGUN as usize);
        Self { chunks: (0..limit.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(), limit }
    }

    /// Adds the request `id`, whose reply is wanted until `deadline`; the previous request in its slot is no longer
    /// wanted. Returns false if the slot is beyond the limit, or the request is pending already. Must not be called
    /// concurrently.
    pub(crate) fn insert(&self, id: u64, deadline: u64) -> bool {
        let index = index(id);
        if index >= self.limit {
            return false;
        }
        let chunk = self.chunks[index / CHUNK].get_or_init(|| Box::new([const { Slot::free() }; CHUNK]));
        let place = &chunk[index % CHUNK];
        if place.id.load(Ordering::Acquire) & !BEGUN == id {
            return false;
        }
        place.deadline.store(deadline, Ordering::Relaxed);
        place.id.store(id, Ordering::Release);
        true
    }

    /// Marks the handler of `id` as begun; false if the request is no longer pending, and must not be handled.
    #[inline]
    pub(crate) fn start(&self, id: u64) -> bool {
        self.slot(id).is_some_and(|place| {
            place.id.compare_exchange(id, id | BEGUN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Removes the request `id`; false if it was not pending.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let forget = |place: &Slot, id| {
            place.id.compare_exchange(id, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        // Most are removed after their handler has begun. A handler that begins in between is found by the third
        // attempt.
        self.slot(id)
            .is_some_and(|place| forget(place, id | BEGUN) || forget(place, id) || forget(place, id | BEGUN))
    }

    /// Returns whether the request `id` is pending.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.slot(id).is_some_and(|place| place.id.load(Ordering::Acquire) & !BEGUN == id)
    }

    /// Removes the requests whose handlers have not begun and whose deadlines are not after `now`, and calls `expired`
    /// for each. Returns the next deadline, if there is one. Must not be called concurrently with
    /// [`PendingRequests::insert`].
    pub(crate) fn expire(&self, now: u64, mut expired: impl FnMut(u64)) -> Option<u64> {
        let mut next = NEVER;
        for place in self.chunks.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter()) {
            let id = place.id.load(Ordering::Acquire);
            if id & BEGUN != 0 {
                // Begun, or free.
                continue;
            }
            let deadline = place.deadline.load(Ordering::Relaxed);
            if deadline > now {
                next = next.min(deadline);
            } else if place.id.compare_exchange(id, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                expired(id);
            }
        }
        (next != NEVER).then_some(next)
    }

    fn slot(&self, id: u64) -> Option<&Slot> {
        let index = index(id);
        Some(&self.chunks.get(index / CHUNK)?.get()?[index % CHUNK])
    }
}

fn index(id: u64) -> usize {
    (id & u64::from(u32::MAX)) as usize
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_once() {
        let owed = PendingRequests::new(100);
        assert!(owed.insert(7, NEVER) && owed.contains(7));
        assert!(!owed.insert(7, NEVER), "it is owed already");
        assert!(owed.remove(7) && !owed.remove(7) && !owed.contains(7));
        assert!(owed.insert(7, NEVER), "a number that is free can be used again");
    }

    #[test]
    fn a_handler_begins_once_and_only_while_the_answer_is_wanted() {
        let owed = PendingRequests::new(100);
        assert!(!owed.start(7), "nobody asked");
        assert!(owed.insert(7, NEVER) && owed.start(7) && !owed.start(7));
        assert!(owed.contains(7) && !owed.insert(7, NEVER), "it is owed until it is answered");
        assert!(owed.remove(7) && !owed.remove(7) && !owed.contains(7));
        assert!(owed.insert(7, NEVER) && owed.remove(7) && !owed.start(7), "cancelled before it began");
    }

    #[test]
    fn a_reused_slot_drops_the_request_before_it() {
        let owed = PendingRequests::new(100);
        let later = 1 << 32 | 7;
        assert!(owed.insert(7, NEVER) && owed.start(7) && owed.insert(later, NEVER));
        assert!(!owed.contains(7) && !owed.remove(7));
        assert!(owed.contains(later) && owed.start(later) && owed.remove(later));
    }

    #[test]
    fn requests_that_have_not_begun_expire_at_their_deadlines() {
        let owed = PendingRequests::new(100);
        for (id, deadline) in [(1, 10), (2, 10), (3, 20), (70, NEVER), (71, 10)] {
            assert!(owed.insert(id, deadline));
        }
        assert!(owed.start(2) && owed.remove(71));
        let expire = |now| {
            let mut expired = Vec::new();
            let next = owed.expire(now, |id| expired.push(id));
            (expired, next)
        };
        assert_eq!(expire(9), (vec![], Some(10)));
        assert_eq!(expire(10), (vec![1], Some(20)));
        assert!(!owed.contains(1) && !owed.start(1) && owed.contains(2));
        assert_eq!(expire(30), (vec![3], None));
        assert!(owed.start(70) && owed.remove(2));
    }

    #[test]
    fn no_number_reaches_beyond_the_limit() {
        let owed = PendingRequests::new(65);
        assert!(owed.insert(64, NEVER) && !owed.insert(65, NEVER) && !owed.insert(u64::MAX, NEVER));
        assert!(
            !owed.insert(BEGUN, NEVER)
                && !owed.insert(64 | BEGUN, NEVER)
                && !owed.insert(u64::from(u32::MAX), NEVER)
        );
        assert!(
            !owed.remove(65) && !owed.contains(100) && !owed.contains(u64::MAX) && !owed.remove(u64::MAX)
        );
        assert!(!owed.start(65) && !owed.start(u64::MAX) && !owed.start(64 | BEGUN));
        assert!(owed.start(64) && !owed.contains(64 | BEGUN) && !owed.remove(64 | BEGUN));
        assert!(!PendingRequests::new(0).insert(0, NEVER));
    }

    #[test]
    fn a_request_begins_or_expires_and_never_both() {
        let (owed, asked, looked) = (PendingRequests::new(1), AtomicU64::new(0), AtomicU64::new(0));
        let wait = |for_round: &AtomicU64, round| {
            while for_round.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
        };
        let begun = std::thread::scope(|scope| {
            let handler = scope.spawn(|| {
                let rounds = 1..=2_000u64;
                let begun = rounds.map(|round| {
                    wait(&asked, round);
                    let begun = owed.start(round << 32);
                    looked.store(round, Ordering::Release);
                    begun
                });
                begun.collect::<Vec<_>>()
            });
            let mut expired = Vec::new();
            for round in 1..=2_000u64 {
                assert!(owed.insert(round << 32, 5));
                asked.store(round, Ordering::Release);
                let mut is_expired = false;
                owed.expire(5, |id| is_expired = id == round << 32);
                wait(&looked, round);
                assert_eq!(owed.remove(round << 32), !is_expired);
                expired.push(is_expired);
            }
            let begun = handler.join().expect("no panic");
            begun.into_iter().zip(expired).collect::<Vec<_>>()
        });
        assert!(begun.iter().all(|(begun, expired)| begun != expired));
    }
}
