//! The turn of a thread that appends messages: the bytes after which its senders yield to the tasks that write them. They
//! yield before the next message, and not after the last one, so that a future that is dropped meanwhile has sent nothing.
//!
//! Without turns, a sender to many links fills a whole batch of each before the first is written, and by then the batches have
//! left the processor's cache.

use std::cell::Cell;

/// The bytes of one turn, over all links together. Measured with 10 links, the processor time of a message of 64 bytes is a fifth
/// less than without turns.
const TURN_BYTES: usize = 512 << 10;

/// The bytes for each batch that was begun in the turn, if those are more. Measured with 100 links: with a third of it the time of a
/// message is nearly twice as long, most of it in system calls; with more, only the memory grows.
const BATCH_BYTES: usize = 32 << 10;

thread_local! {
    /// Set if the turn of this thread is over, until one of its senders has yielded.
    static IS_OVER: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether senders on this thread should yield before their next message.
#[inline(always)]
pub(crate) fn is_over() -> bool {
    IS_OVER.get()
}

/// Begins the next turn of this thread.
pub(crate) fn begin() {
    IS_OVER.set(false);
}

/// Ends the turn of this thread.
#[cold]
pub(crate) fn end() {
    IS_OVER.set(true);
}

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
    /// Counts an appended message of `bytes`, which may begin a batch, and may end the turn.
    #[inline(always)]
    pub(crate) fn count(&mut self, bytes: usize, begins_batch: bool) {
        if begins_batch {
            self.begin_batch();
        }
        if self.bytes > bytes {
            self.bytes -= bytes;
        } else {
            *self = Self::default();
            end();
        }
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
        begin();
        let ends = |message: &usize| {
            turn.count(1 << 10, *message < links);
            is_over()
        };
        (0..1 << 20).find(ends).expect("a turn ends") + 1
    }

    #[test]
    fn a_turn_grows_with_the_number_of_links() {
        assert_eq!(messages_of_a_turn(1), 512);
        assert_eq!(messages_of_a_turn(10), 512);
        assert_eq!(messages_of_a_turn(100), 3_200);
        let mut turn = Turn::default();
        turn.count(TURN_BYTES, true);
        assert!(is_over());
        begin();
        turn.count(TURN_BYTES - 1, true);
        assert!(!is_over(), "the next turn has begun");
    }
}
