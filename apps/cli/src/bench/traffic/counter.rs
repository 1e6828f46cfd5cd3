//! Counts of received packets: new, repeated, reordered and damaged. The mesh and its baselines use the same counter.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::pattern::Pattern;

/// The limit of gaps in the numbers that are kept; packets that fill an older gap count as repeated.
const GAPS: usize = 4_096;

/// The counts of one stream of packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PacketCounts {
    /// Packets received, each counted once.
    pub(crate) received: u64,
    /// Packets received more than once.
    pub(crate) repeated: u64,
    /// Packets received after one with a higher number.
    pub(crate) reordered: u64,
    /// Received packets with wrong bytes.
    pub(crate) damaged: u64,
}

impl PacketCounts {
    /// Adds the counts of another receiver.
    pub(crate) fn add(&mut self, other: Self) {
        self.received += other.received;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
    }

    /// The length of the counts as bytes.
    pub(crate) const LENGTH: usize = 4 * size_of::<u64>();

    /// Returns the counts as bytes, for bare TCP.
    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let Self { received, repeated, reordered, damaged } = self;
        let mut bytes = [0; Self::LENGTH];
        for (place, count) in
            bytes.chunks_exact_mut(size_of::<u64>()).zip([received, repeated, reordered, damaged])
        {
            place.copy_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    /// Reads the counts from bytes.
    pub(crate) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let (counts, _) = bytes.as_chunks();
        let count = |place: usize| counts.get(place).map_or(0, |count| u64::from_le_bytes(*count));
        Self { received: count(0), repeated: count(1), reordered: count(2), damaged: count(3) }
    }
}

/// A counter of one stream of packets. It checks the number and the length of every packet, and the bytes of as many as
/// [`Pattern::is_intact`] compares.
#[derive(Debug)]
pub(crate) struct PacketCounter {
    size: usize,
    pattern: Pattern,
    counts: PacketCounts,
    /// One more than the highest number so far.
    next: u64,
    /// The numbers below `next` that have not arrived, in order.
    gaps: VecDeque<Range<u64>>,
}

impl PacketCounter {
    /// Creates a counter of packets of `size` bytes, cut from `pattern`.
    pub(crate) fn new(size: usize, pattern: Pattern) -> Self {
        Self { size, pattern, counts: PacketCounts::default(), next: 0, gaps: VecDeque::new() }
    }

    /// Counts the packet with this number and these bytes after it.
    #[inline]
    pub(crate) fn count(&mut self, number: u64, body: &[u8]) {
        if number == self.next {
            self.next = number.saturating_add(1);
        } else if !self.is_new(number) {
            self.counts.repeated += 1;
            return;
        }
        self.counts.received += 1;
        if !self.pattern.is_intact(number, body, self.size) {
            self.counts.damaged += 1;
        }
    }

    /// Returns the counts so far.
    pub(crate) fn counts(&self) -> PacketCounts {
        self.counts
    }

    /// Records the number of a packet out of turn, and returns whether it is new.
    #[cold]
    fn is_new(&mut self, number: u64) -> bool {
        if number >= self.next {
            if number > self.next {
                if self.gaps.len() == GAPS {
                    self.gaps.pop_front();
                }
                self.gaps.push_back(self.next..number);
            }
            self.next = number.saturating_add(1);
            return true;
        }
        let Some(place) = self.gaps.iter().position(|gap| gap.contains(&number)) else { return false };
        let gap = self.gaps[place].clone();
        let parts = [gap.start..number, number + 1..gap.end];
        self.gaps.remove(place);
        for part in parts.into_iter().rev().filter(|part| !part.is_empty()) {
            self.gaps.insert(place, part);
        }
        self.counts.reordered += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: &[u64]) -> (u64, u64, u64) {
        let pattern = Pattern::new(16);
        let mut counter = PacketCounter::new(16, pattern.clone());
        for &number in numbers {
            counter.count(number, pattern.body(number, 16));
        }
        let PacketCounts { received, repeated, reordered, damaged } = counter.counts();
        assert_eq!(damaged, 0);
        (received, repeated, reordered)
    }

    #[test]
    fn a_lost_a_repeated_and_a_reordered_packet_show() {
        let whole: Vec<u64> = (0..1_000).collect();
        assert_eq!(counted(&whole), (1_000, 0, 0));
        let lost: Vec<u64> = (0..1_000).filter(|number| *number != 123).collect();
        assert_eq!(counted(&lost), (999, 0, 0));
        let repeated: Vec<u64> =
            (0..1_000).flat_map(|number| vec![number; 1 + usize::from(number == 123)]).collect();
        assert_eq!(counted(&repeated), (1_000, 1, 0));
        let mut reordered = whole;
        reordered.swap(123, 124);
        assert_eq!(counted(&reordered), (1_000, 0, 1));
    }

    #[test]
    fn order_and_repetition_are_told_apart() {
        assert_eq!(counted(&[0, 1, 2, 3]), (4, 0, 0));
        assert_eq!(counted(&[0, 2, 1, 3]), (4, 0, 1));
        assert_eq!(counted(&[0, 1, 1, 0]), (2, 2, 0));
        assert_eq!(counted(&[5, 0, 3, 3, 4, 1, 2, 5]), (6, 2, 5));
        assert_eq!(counted(&[0, 9]), (2, 0, 0));
    }

    #[test]
    fn gaps_without_end_are_bounded() {
        let mut counter = PacketCounter::new(8, Pattern::new(8));
        for number in (0..).step_by(2).take(3 * GAPS) {
            assert!(counter.is_new(number));
        }
        assert_eq!(counter.gaps.len(), GAPS);
        assert!(counter.is_new(u64::MAX));
        assert!(!counter.is_new(u64::MAX - 1) || counter.gaps.len() <= GAPS + 1);
    }

    #[test]
    fn wrong_bytes_are_counted() {
        let pattern = Pattern::new(64);
        let mut counter = PacketCounter::new(65, pattern.clone());
        counter.count(0, pattern.body(0, 64));
        assert_eq!(counter.counts(), PacketCounts { received: 1, damaged: 1, ..PacketCounts::default() });
    }

    #[test]
    fn receivers_add_up() {
        let mut sum = PacketCounts { received: 2, repeated: 1, ..PacketCounts::default() };
        sum.add(PacketCounts { received: 3, damaged: 4, reordered: 5, ..PacketCounts::default() });
        assert_eq!(sum, PacketCounts { received: 5, repeated: 1, reordered: 5, damaged: 4 });
        assert_eq!(PacketCounts::from_bytes(sum.to_bytes()), sum);
    }
}
