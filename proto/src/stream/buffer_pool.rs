//! Memory of batches that are no longer needed, for the next ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches whose memory is kept. They are in the processor's cache still.
const MOST: usize = 4;

/// How much memory a batch has that is worth keeping, and how much at most.
const SMALLEST_BYTES: usize = 64 << 10;
const LARGEST_BYTES: usize = 1 << 20;

/// Memory for batches, of all streams that share it: so many streams use a little of it in turns, and not each of them some of
/// its own, which would be cold whenever it is used again.
#[derive(Debug, Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// Memory for the next batch, which may become as long as `bytes`.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let spare = self.lock().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(bytes.min(LARGEST_BYTES)))
    }

    /// Keeps the memory of a batch that is no longer needed, if there is room.
    pub(super) fn give(&self, mut batch: Vec<u8>) {
        if (SMALLEST_BYTES..=LARGEST_BYTES).contains(&batch.capacity()) {
            batch.clear();
            let mut spares = self.lock();
            if spares.len() < MOST {
                spares.push(batch);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_by_whoever_shares_it_and_no_more_is_kept_than_is_worth_it() {
        let (spares, other) = (BufferPool::default(), BufferPool::default());
        let shared = spares.clone();
        let mut batch = Vec::with_capacity(SMALLEST_BYTES);
        batch.push(1);
        let place = batch.as_ptr();
        spares.give(batch);
        let elsewhere = other.take(SMALLEST_BYTES);
        assert_ne!(elsewhere.as_ptr(), place);
        let again = shared.take(1);
        assert!(again.as_ptr() == place && again.is_empty());
        for bytes in [SMALLEST_BYTES - 1, LARGEST_BYTES + 1].into_iter().chain([LARGEST_BYTES; MOST + 1]) {
            spares.give(Vec::with_capacity(bytes));
        }
        assert_eq!(spares.lock().len(), MOST);
        assert_eq!(other.take(2 * LARGEST_BYTES).capacity(), LARGEST_BYTES);
    }
}
