//! The turn of a thread that appends messages: the bytes after which its senders yield to the tasks that write them.
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
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static BATCHES: Cell<usize> = const { Cell::new(0) };
}

/// Counts an appended message of `bytes`, which may begin a batch. Returns whether it ends the turn.
#[inline(always)]
pub(super) fn ends_with(bytes: usize, begins_batch: bool) -> bool {
    let bytes = BYTES.get() + bytes;
    let batches = BATCHES.get() + usize::from(begins_batch);
    if bytes >= TURN_BYTES.max(batches * BATCH_BYTES) {
        BYTES.set(0);
        BATCHES.set(0);
        return true;
    }
    BYTES.set(bytes);
    BATCHES.set(batches);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends messages of 1 KiB to so many links in turn, and returns the number that one turn took.
    fn messages_of_a_turn(links: usize) -> usize {
        let ends = |message: &usize| ends_with(1 << 10, *message < links);
        (0..1 << 20).find(ends).expect("a turn ends") + 1
    }

    #[test]
    fn a_turn_grows_with_the_number_of_links() {
        assert_eq!(messages_of_a_turn(1), 512);
        assert_eq!(messages_of_a_turn(10), 512);
        assert_eq!(messages_of_a_turn(100), 3_200);
        assert!(ends_with(TURN_BYTES, true));
        assert!(!ends_with(TURN_BYTES - 1, true), "the next turn has begun");
    }
}
