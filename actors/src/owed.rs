//! The requests of one connection that were taken and have neither been answered nor cancelled.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places that are made at a time: most callers have few requests under way.
const CHUNK: usize = 64;

/// No request has this number: its place would be beyond any limit.
const NONE: u64 = u64::MAX;

/// Which requests are owed an answer. A request's number names its place in the lower half, see
/// [`CallId`](meshzero_proto::calls::CallId), and a caller uses a place again only when the request that had it is no
/// longer wanted. So nothing is searched and nothing is locked.
#[derive(Debug)]
pub struct Owed {
    chunks: Box<[OnceLock<Box<[AtomicU64; CHUNK]>>]>,
    limit: usize,
}

impl Owed {
    /// Room for `limit` requests at a time.
    pub fn new(limit: usize) -> Self {
        Self { chunks: (0..limit.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(), limit }
    }

    /// Notes that the request `id` was taken, and that the one which had its place is no longer wanted; false if its
    /// place is beyond the limit, or it is owed already.
    pub fn owe(&self, id: u64) -> bool {
        let index = index(id);
        if index >= self.limit {
            return false;
        }
        let chunk =
            self.chunks[index / CHUNK].get_or_init(|| Box::new([const { AtomicU64::new(NONE) }; CHUNK]));
        chunk[index % CHUNK].swap(id, Ordering::AcqRel) != id
    }

    /// Notes that nobody waits for the answer to `id` any more; false if it was not owed.
    pub fn forget(&self, id: u64) -> bool {
        self.place(id).is_some_and(|place| {
            place.compare_exchange(id, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Whether somebody waits for the answer to `id`.
    pub fn is_owed(&self, id: u64) -> bool {
        self.place(id).is_some_and(|place| place.load(Ordering::Acquire) == id)
    }

    fn place(&self, id: u64) -> Option<&AtomicU64> {
        let index = index(id);
        Some(&self.chunks.get(index / CHUNK)?.get()?[index % CHUNK])
    }
}

fn index(id: u64) -> usize {
    (id & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_owed_once() {
        let owed = Owed::new(100);
        assert!(owed.owe(7) && owed.is_owed(7));
        assert!(!owed.owe(7), "it is owed already");
        assert!(owed.forget(7) && !owed.forget(7) && !owed.is_owed(7));
        assert!(owed.owe(7), "a number that is free can be used again");
    }

    #[test]
    fn who_takes_a_place_again_no_longer_wants_the_one_before() {
        let owed = Owed::new(100);
        let later = 1 << 32 | 7;
        assert!(owed.owe(7) && owed.owe(later));
        assert!(!owed.is_owed(7) && !owed.forget(7));
        assert!(owed.is_owed(later) && owed.forget(later));
    }

    #[test]
    fn no_number_reaches_beyond_the_limit() {
        let owed = Owed::new(65);
        assert!(owed.owe(64) && !owed.owe(65) && !owed.owe(u64::MAX) && !owed.owe(u64::from(u32::MAX)));
        assert!(!owed.forget(65) && !owed.is_owed(100) && !owed.is_owed(u64::MAX) && !owed.forget(u64::MAX));
        assert!(!Owed::new(0).owe(0));
    }
}
