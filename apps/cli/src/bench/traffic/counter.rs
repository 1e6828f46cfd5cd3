//! Counts of received packets: new, repeated, reordered and damaged.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::packet::{Packet, Pattern};

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
}

/// A counter of one stream of packets.
#[derive(Debug, Default)]
pub(crate) struct PacketCounter {
    counts: PacketCounts,
    /// One more than the highest number so far.
    next: u64,
    /// The numbers below `next` that have not arrived, in order.
    gaps: VecDeque<Range<u64>>,
}

impl PacketCounter {
    /// Counts one packet of a stream whose packets have `size` bytes.
    pub(crate) fn count(&mut self, packet: &Packet, size: usize, pattern: &Pattern) {
        if !self.is_new(packet.number) {
            self.counts.repeated += 1;
            return;
        }
        self.counts.received += 1;
        if !pattern.is_intact(packet, size) {
            self.counts.damaged += 1;
        }
    }

    /// Returns the counts so far.
    pub(crate) fn counts(&self) -> PacketCounts {
        self.counts
    }

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
        let mut counter = PacketCounter::default();
        for &number in numbers {
            counter.count(&pattern.packet(0, number, 16), 16, &pattern);
        }
        let PacketCounts { received, repeated, reordered, damaged } = counter.counts();
        assert_eq!(damaged, 0);
        (received, repeated, reordered)
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
        let mut counter = PacketCounter::default();
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
        let mut counter = PacketCounter::default();
        counter.count(&pattern.packet(0, 0, 64), 65, &pattern);
        assert_eq!(counter.counts(), PacketCounts { received: 1, damaged: 1, ..PacketCounts::default() });
    }

    #[test]
    fn receivers_add_up() {
        let mut sum = PacketCounts { received: 2, repeated: 1, ..PacketCounts::default() };
        sum.add(PacketCounts { received: 3, damaged: 4, reordered: 5, ..PacketCounts::default() });
        assert_eq!(sum, PacketCounts { received: 5, repeated: 1, reordered: 5, damaged: 4 });
    }
}
