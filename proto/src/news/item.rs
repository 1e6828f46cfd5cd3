//! One item that waits for one subscriber.

use bytes::Bytes;

/// An item that waits.
#[derive(Debug)]
pub(super) struct QueuedItem {
    pub(super) frame: Bytes,
    /// Items before it that were left out for the sake of the rate.
    pub(super) thinned: u64,
}

impl QueuedItem {
    pub(super) fn bytes(&self) -> u64 {
        self.frame.len() as u64
    }
}
