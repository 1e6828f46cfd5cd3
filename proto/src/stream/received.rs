//! How much of a stream has arrived, and when the other end should hear of it.

/// Bytes after which the other end is told without being asked: few enough that it need not stop for want of word, and so
/// many that telling costs nothing beside reading them.
const TELL_BYTES: u64 = 512 << 10;

/// How much of a stream has arrived.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    bytes: u64,
    told: u64,
}

impl Received {
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
        if self.bytes - self.told < TELL_BYTES {
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
        let mut received = Received::default();
        received.add(TELL_BYTES as usize - 1);
        assert_eq!(received.tell(), None);
        received.add(2);
        assert_eq!(received.tell(), Some(TELL_BYTES + 1));
        assert_eq!(received.tell(), None);
        received.add(1);
        assert_eq!((received.tell(), received.tell_now()), (None, TELL_BYTES + 2));
    }
}
