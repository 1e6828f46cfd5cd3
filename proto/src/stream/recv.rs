//! The received part of a stream, and the times at which it is acknowledged.

/// The number of bytes after which an acknowledgement is sent without a request: large enough to cost nothing beside reading
/// them. The other end has to be ready to wait until twice as many have been sent.
pub const TELL_BYTES: usize = 512 << 10;

/// The number of received bytes of a stream.
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
    /// Creates a counter that asks for an acknowledgement after every `bytes`.
    pub fn every(bytes: usize) -> Self {
        Self { bytes: 0, told: 0, every: bytes as u64 }
    }

    /// Adds newly received bytes.
    #[inline]
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Returns the number of received bytes, which is the number of the next byte.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number to acknowledge now, if it is time.
    #[inline]
    pub fn tell(&mut self) -> Option<u64> {
        if self.bytes - self.told < self.every {
            return None;
        }
        Some(self.tell_now())
    }

    /// Returns the number to acknowledge at the other end's request.
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
