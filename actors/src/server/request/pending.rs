//! The pending requests of one connection: accepted, and neither answered nor cancelled.

use std::sync::OnceLock;

use crate::runtime::sync::atomic::{AtomicU64, Ordering};

/// The number of slots allocated at a time: most callers have few requests in flight.
const CHUNK: usize = 64;

/// No request has this id: its slot would be beyond any limit.
const NONE: u64 = u64::MAX;

/// Set in the id of a request whose handler has begun. No slot number is large enough to have this bit.
const STARTED: u64 = 1 << 31;

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
        let limit = limit.min(STARTED as usize);
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
        let slot = &chunk[index % CHUNK];
        if slot.id.load(Ordering::Acquire) & !STARTED == id {
            return false;
        }
        slot.deadline.store(deadline, Ordering::Relaxed);
        slot.id.store(id, Ordering::Release);
        true
    }

    /// Marks the handler of `id` as begun; false if the request is no longer pending, and must not be handled.
    #[inline]
    pub(crate) fn start(&self, id: u64) -> bool {
        self.slot(id).is_some_and(|slot| {
            slot.id.compare_exchange(id, id | STARTED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Removes the request `id`; false if it was not pending.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let try_remove =
            |slot: &Slot, id| slot.id.compare_exchange(id, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        // Most are removed after their handler has begun. A handler that begins in between is found by the third
        // attempt.
        self.slot(id).is_some_and(|slot| {
            try_remove(slot, id | STARTED) || try_remove(slot, id) || try_remove(slot, id | STARTED)
        })
    }

    /// Returns whether the request `id` is pending.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.slot(id).is_some_and(|slot| slot.id.load(Ordering::Acquire) & !STARTED == id)
    }

    /// Removes the requests whose handlers have not begun and whose deadlines are not after `now`, and calls `expired`
    /// for each. Returns the next deadline, if there is one. Must not be called concurrently with
    /// [`PendingRequests::insert`].
    pub(crate) fn expire(&self, now: u64, mut expired: impl FnMut(u64)) -> Option<u64> {
        let mut next = NEVER;
        for slot in self.chunks.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter()) {
            let id = slot.id.load(Ordering::Acquire);
            if id & STARTED != 0 {
                // Started, or free.
                continue;
            }
            let deadline = slot.deadline.load(Ordering::Relaxed);
            if deadline > now {
                next = next.min(deadline);
            } else if slot.id.compare_exchange(id, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
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
        let pending = PendingRequests::new(100);
        assert!(pending.insert(7, NEVER) && pending.contains(7));
        assert!(!pending.insert(7, NEVER), "it is pending already");
        assert!(pending.remove(7) && !pending.remove(7) && !pending.contains(7));
        assert!(pending.insert(7, NEVER), "an id that is free can be used again");
    }

    #[test]
    fn a_request_is_started_once_and_only_while_it_is_pending() {
        let pending = PendingRequests::new(100);
        assert!(!pending.start(7), "it is not pending");
        assert!(pending.insert(7, NEVER) && pending.start(7) && !pending.start(7));
        assert!(pending.contains(7) && !pending.insert(7, NEVER), "it is pending until it is answered");
        assert!(pending.remove(7) && !pending.remove(7) && !pending.contains(7));
        assert!(
            pending.insert(7, NEVER) && pending.remove(7) && !pending.start(7),
            "cancelled before it began"
        );
    }

    #[test]
    fn a_reused_slot_drops_the_request_before_it() {
        let pending = PendingRequests::new(100);
        let later = 1 << 32 | 7;
        assert!(pending.insert(7, NEVER) && pending.start(7) && pending.insert(later, NEVER));
        assert!(!pending.contains(7) && !pending.remove(7));
        assert!(pending.contains(later) && pending.start(later) && pending.remove(later));
    }

    #[test]
    fn requests_that_have_not_begun_expire_at_their_deadlines() {
        let pending = PendingRequests::new(100);
        for (id, deadline) in [(1, 10), (2, 10), (3, 20), (70, NEVER), (71, 10)] {
            assert!(pending.insert(id, deadline));
        }
        assert!(pending.start(2) && pending.remove(71));
        let expire = |now| {
            let mut expired = Vec::new();
            let next = pending.expire(now, |id| expired.push(id));
            (expired, next)
        };
        assert_eq!(expire(9), (vec![], Some(10)));
        assert_eq!(expire(10), (vec![1], Some(20)));
        assert!(!pending.contains(1) && !pending.start(1) && pending.contains(2));
        assert_eq!(expire(30), (vec![3], None));
        assert!(pending.start(70) && pending.remove(2));
    }

    #[test]
    fn ids_beyond_the_limit_are_rejected() {
        let pending = PendingRequests::new(65);
        assert!(pending.insert(64, NEVER) && !pending.insert(65, NEVER) && !pending.insert(u64::MAX, NEVER));
        assert!(
            !pending.insert(STARTED, NEVER)
                && !pending.insert(64 | STARTED, NEVER)
                && !pending.insert(u64::from(u32::MAX), NEVER)
        );
        assert!(
            !pending.remove(65)
                && !pending.contains(100)
                && !pending.contains(u64::MAX)
                && !pending.remove(u64::MAX)
        );
        assert!(!pending.start(65) && !pending.start(u64::MAX) && !pending.start(64 | STARTED));
        assert!(pending.start(64) && !pending.contains(64 | STARTED) && !pending.remove(64 | STARTED));
        assert!(!PendingRequests::new(0).insert(0, NEVER));
    }

    #[test]
    fn a_request_begins_or_expires_and_never_both() {
        let (pending, inserted, tried) = (PendingRequests::new(1), AtomicU64::new(0), AtomicU64::new(0));
        let wait = |for_round: &AtomicU64, round| {
            while for_round.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
        };
        let started = std::thread::scope(|scope| {
            let handler = scope.spawn(|| {
                let rounds = 1..=2_000u64;
                let started = rounds.map(|round| {
                    wait(&inserted, round);
                    let started = pending.start(round << 32);
                    tried.store(round, Ordering::Release);
                    started
                });
                started.collect::<Vec<_>>()
            });
            let mut expired = Vec::new();
            for round in 1..=2_000u64 {
                assert!(pending.insert(round << 32, 5));
                inserted.store(round, Ordering::Release);
                let mut is_expired = false;
                pending.expire(5, |id| is_expired = id == round << 32);
                wait(&tried, round);
                assert_eq!(pending.remove(round << 32), !is_expired);
                expired.push(is_expired);
            }
            let started = handler.join().expect("no panic");
            started.into_iter().zip(expired).collect::<Vec<_>>()
        });
        assert!(started.iter().all(|(started, expired)| started != expired));
    }
}
