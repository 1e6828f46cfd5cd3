//! A pool of batch buffers for reuse.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The maximum number of pooled buffers. They are still in the processor's cache.
const MAX_BUFFERS: usize = 4;

/// The smallest buffer that is worth pooling, and the largest that is pooled.
const MIN_BUFFER_BYTES: usize = 64 << 10;
const LARGEST_BYTES: usize = 1 << 20;

/// A pool of batch buffers that several streams share: they use a little memory in turns, instead of each its own, which would be
/// cold whenever it is used again.
#[derive(Debug, Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// Returns a buffer for the next batch, which may grow to `bytes`.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let spare = self.lock().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(bytes.min(LARGEST_BYTES)))
    }

    /// Returns the buffer of a finished batch to the pool, if there is room.
    pub(super) fn give(&self, mut batch: Vec<u8>) {
        if (MIN_BUFFER_BYTES..=LARGEST_BYTES).contains(&batch.capacity()) {
            batch.clear();
            let mut spares = self.lock();
            if spares.len() < MAX_BUFFERS {
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
    fn memory_is_reused_by_all_streams_and_only_a_useful_amount_is_kept() {
        let (spares, other) = (BufferPool::default(), BufferPool::default());
        let shared = spares.clone();
        let mut batch = Vec::with_capacity(MIN_BUFFER_BYTES);
        batch.push(1);
        let place = batch.as_ptr();
        spares.give(batch);
        let elsewhere = other.take(MIN_BUFFER_BYTES);
        assert_ne!(elsewhere.as_ptr(), place);
        let again = shared.take(1);
        assert!(again.as_ptr() == place && again.is_empty());
        for bytes in
            [MIN_BUFFER_BYTES - 1, LARGEST_BYTES + 1].into_iter().chain([LARGEST_BYTES; MAX_BUFFERS + 1])
        {
            spares.give(Vec::with_capacity(bytes));
        }
        assert_eq!(spares.lock().len(), MAX_BUFFERS);
        assert_eq!(other.take(2 * LARGEST_BYTES).capacity(), LARGEST_BYTES);
    }
}
