//! How much of a stream has arrived, and when the other end should hear of it.

/// Bytes after which the other end is told without being asked: so many that telling costs nothing beside reading them.
/// The other end has to be ready to wait until twice as many have left.
pub const TELL_BYTES: usize = 512 << 10;

/// How much of a stream has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvCounter {
    bytes: u64,
    told: u64,
    every: u64,
}

impl Default for RecvCounter {
    fn default() -> Self {
        Self::every(TELL_BYTES)
    }
}

impl RecvCounter {
    /// Nothing yet. The other end is told after every so many bytes.
    pub fn every(bytes: usize) -> Self {
        Self { bytes: 0, told: 0, every: bytes as u64 }
    }

    /// Notes that so many more bytes have arrived.
    #[inline]
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// All that have arrived, which is the number of the byte that comes next.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the other end should be told now, if it is time.
    #[inline]
    pub fn tell(&mut self) -> Option<u64> {
        if self.bytes - self.told < self.every {
            return None;
        }
        Some(self.tell_now())
    }

    /// What the other end is told because it has asked.
    pub fn tell_now(&mut self) -> u64 {
        self.told = self.bytes;
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_hears_of_it_now_and_then_and_when_it_asks() {
        let mut received = RecvCounter::default();
        received.add(TELL_BYTES - 1);
        assert_eq!(received.tell(), None);
        received.add(2);
        assert_eq!(received.tell(), Some(TELL_BYTES as u64 + 1));
        assert_eq!(received.tell(), None);
        received.add(1);
        assert_eq!((received.tell(), received.tell_now()), (None, TELL_BYTES as u64 + 2));
    }
}
