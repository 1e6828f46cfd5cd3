//! The turn of a thread that appends messages: the bytes after which its senders yield to the tasks that write them.
//!
//! Without turns, a sender to many links fills a whole batch of each before the first is written, and by then the batches have
//! left the processor's cache.

/// The bytes of one turn, over all links together. Measured with 10 links, the processor time of a message of 64 bytes is a fifth
/// less than without turns.
const TURN_BYTES: usize = 512 << 10;

/// The bytes for each batch that was begun in the turn, if those are more. Measured with 100 links: with a third of it the time of a
/// message is nearly twice as long, most of it in system calls; with more, only the memory grows.
const BATCH_BYTES: usize = 32 << 10;

/// The messages that a thread has appended in its turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The bytes that are left.
    bytes: usize,
    /// The number of batches that were begun.
    batches: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Self { bytes: TURN_BYTES, batches: 0 }
    }
}

impl Turn {
    /// Counts an appended message of `bytes`, which may begin a batch. Returns whether it ends the turn; then the next one begins.
    #[inline(always)]
    pub(crate) fn ends_with(&mut self, bytes: usize, begins_batch: bool) -> bool {
        if begins_batch {
            self.begin_batch();
        }
        let is_over = self.bytes <= bytes;
        if is_over {
            *self = Self::default();
        } else {
            self.bytes -= bytes;
        }
        is_over
    }

    #[cold]
    fn begin_batch(&mut self) {
        self.batches += 1;
        if self.batches * BATCH_BYTES > TURN_BYTES {
            self.bytes += BATCH_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends messages of 1 KiB to so many links in turn, and returns the number that one turn took.
    fn messages_of_a_turn(links: usize) -> usize {
        let mut turn = Turn::default();
        let ends = |message: &usize| turn.ends_with(1 << 10, *message < links);
        (0..1 << 20).find(ends).expect("a turn ends") + 1
    }

    #[test]
    fn a_turn_grows_with_the_number_of_links() {
        assert_eq!(messages_of_a_turn(1), 512);
        assert_eq!(messages_of_a_turn(10), 512);
        assert_eq!(messages_of_a_turn(100), 3_200);
        let mut turn = Turn::default();
        assert!(turn.ends_with(TURN_BYTES, true));
        assert!(!turn.ends_with(TURN_BYTES - 1, true), "the next turn has begun");
    }
}
