//! The received part of a stream, and the times at which it is acknowledged.

/// The number of bytes after which an acknowledgement is sent without a request: large enough to cost little compared with reading
/// them, and few, because the other end stores them until then. It must allow twice as many unacknowledged bytes.
pub const ACK_BYTES: usize = 256 << 10;

/// The number of received bytes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvCounter {
    bytes: u64,
    acknowledged: u64,
    interval: u64,
}

impl Default for RecvCounter {
    fn default() -> Self {
        Self::with_interval(ACK_BYTES)
    }
}

impl RecvCounter {
    /// Creates a counter that asks for an acknowledgement after every `bytes`.
    pub fn with_interval(bytes: usize) -> Self {
        Self { bytes: 0, acknowledged: 0, interval: bytes as u64 }
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
    pub fn take_ack(&mut self) -> Option<u64> {
        if self.bytes - self.acknowledged < self.interval {
            return None;
        }
        Some(self.take_ack_now())
    }

    /// Returns the number to acknowledge at the other end's request.
    pub fn take_ack_now(&mut self) -> u64 {
        self.acknowledged = self.bytes;
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_due_at_intervals_and_on_request() {
        let mut received = RecvCounter::default();
        received.add(ACK_BYTES - 1);
        assert_eq!(received.take_ack(), None);
        received.add(2);
        assert_eq!(received.take_ack(), Some(ACK_BYTES as u64 + 1));
        assert_eq!(received.take_ack(), None);
        received.add(1);
        assert_eq!((received.take_ack(), received.take_ack_now()), (None, ACK_BYTES as u64 + 2));
    }
}
