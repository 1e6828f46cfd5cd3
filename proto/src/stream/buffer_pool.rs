//! A pool of batch buffers for reuse.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The maximum number of pooled buffers: so few that they are still in the processor's cache.
const MAX_BUFFERS: usize = 4;

/// The smallest buffer that is worth pooling, and the largest that is pooled.
const MIN_BUFFER_BYTES: usize = 64 << 10;
const MAX_BUFFER_BYTES: usize = 1 << 20;

/// A pool of batch buffers that several streams share: they reuse a little memory in turn, while a buffer of each stream would
/// have left the cache before it is used again.
#[derive(Debug, Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// Returns a buffer for the next batch, which may grow to `bytes`.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let buffer = self.lock().pop();
        buffer.unwrap_or_else(|| Vec::with_capacity(bytes.min(MAX_BUFFER_BYTES)))
    }

    /// Returns the buffer of a finished batch to the pool, if there is room.
    pub(super) fn give(&self, mut batch: Vec<u8>) {
        if (MIN_BUFFER_BYTES..=MAX_BUFFER_BYTES).contains(&batch.capacity()) {
            batch.clear();
            let mut buffers = self.lock();
            if buffers.len() < MAX_BUFFERS {
                buffers.push(batch);
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
    fn buffers_are_reused_by_all_streams_and_their_number_is_bounded() {
        let (buffers, other) = (BufferPool::default(), BufferPool::default());
        let shared = buffers.clone();
        let mut batch = Vec::with_capacity(MIN_BUFFER_BYTES);
        batch.push(1);
        let address = batch.as_ptr();
        buffers.give(batch);
        let other_buffer = other.take(MIN_BUFFER_BYTES);
        assert_ne!(other_buffer.as_ptr(), address);
        let reused = shared.take(1);
        assert!(reused.as_ptr() == address && reused.is_empty());
        for bytes in [MIN_BUFFER_BYTES - 1, MAX_BUFFER_BYTES + 1]
            .into_iter()
            .chain([MAX_BUFFER_BYTES; MAX_BUFFERS + 1])
        {
            buffers.give(Vec::with_capacity(bytes));
        }
        assert_eq!(buffers.lock().len(), MAX_BUFFERS);
        assert_eq!(other.take(2 * MAX_BUFFER_BYTES).capacity(), MAX_BUFFER_BYTES);
    }
}
