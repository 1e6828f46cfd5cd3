//! One item in the queue of one subscriber.

use bytes::Bytes;

/// A queued item.
#[derive(Debug)]
pub(super) struct QueuedItem {
    pub(super) frame: Bytes,
    /// The number of items before it that were skipped to obey the rate.
    pub(super) skipped: u64,
}

impl QueuedItem {
    pub(super) fn bytes(&self) -> u64 {
        self.frame.len() as u64
    }
}
