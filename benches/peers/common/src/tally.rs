//! A check that every message arrives, once and in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit of missing numbers that are remembered, to distinguish a late message from a repeated one.
const REMEMBERED: usize = 65_536;

/// Checks the numbers of one receiver's messages. It belongs into the handler; the clock reads its [`Counts`]. Nobody reads a
/// default one: it is for actors without load, or for those restarted when a run has failed already.
#[derive(Debug, Default)]
pub struct Tally {
    next: u64,
    received: u64,
    missing: BTreeSet<u64>,
    counts: Arc<Counts>,
}

/// The messages received so far, to be read from another thread.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    received: AtomicU64,
    repeated: AtomicU64,
    reordered: AtomicU64,
}

impl Counts {
    /// All that have arrived, repeated ones included.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Those that arrived again.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Those that arrived after a later one.
    pub fn reordered(&self) -> u64 {
        self.reordered.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// A tally without any messages yet.
    pub fn new(counts: Arc<Counts>) -> Self {
        Self { next: 0, received: 0, missing: BTreeSet::new(), counts }
    }

    /// Records that the message of that number has arrived.
    #[inline]
    pub fn take(&mut self, number: u64) {
        if number == self.next {
            self.next += 1;
        } else {
            self.out_of_turn(number);
        }
        self.received += 1;
        self.counts.received.store(self.received, Ordering::Relaxed);
    }

    #[cold]
    fn out_of_turn(&mut self, number: u64) {
        if number > self.next {
            let room = (REMEMBERED - self.missing.len()) as u64;
            self.missing.extend(self.next..number.min(self.next.saturating_add(room)));
            self.next = number + 1;
        } else if self.missing.remove(&number) {
            self.counts.reordered.fetch_add(1, Ordering::Relaxed);
        } else {
            self.counts.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(numbers: &[u64]) -> (u64, u64, u64) {
        let counts = Arc::new(Counts::default());
        let mut tally = Tally::new(Arc::clone(&counts));
        for &number in numbers {
            tally.take(number);
        }
        (counts.received(), counts.repeated(), counts.reordered())
    }

    #[test]
    fn repeated_and_late_messages_are_distinguished() {
        assert_eq!(counts(&[0, 1, 2, 3]), (4, 0, 0));
        assert_eq!(counts(&[0, 2, 1, 3]), (4, 0, 1));
        assert_eq!(counts(&[0, 1, 1, 2, 0]), (5, 2, 0));
        assert_eq!(counts(&[0, 5, 6]), (3, 0, 0));
    }

    #[test]
    fn a_forged_number_costs_bounded_memory() {
        let mut tally = Tally::new(Arc::default());
        tally.take(u64::MAX - 1);
        assert_eq!(tally.missing.len(), REMEMBERED);
    }
}
