//! The receive counters of one link: updated by its reader, read by the tasks that watch the connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use meshzero_proto::stream::stall::ReceivedSoFar;
use tokio::sync::Notify;

/// Counters of the bytes and frames that have arrived on one link. One task writes them; readers may see values that are
/// slightly out of date.
#[derive(Debug, Default)]
pub(crate) struct ReceiveCounters {
    bytes: AtomicU64,
    reads: AtomicU64,
    acks: AtomicU64,
    is_reading: AtomicBool,
    is_awaited: AtomicBool,
    arrived: Notify,
}

impl ReceiveCounters {
    /// Records whether the reader waits for bytes: otherwise it is handling those that have arrived.
    pub(crate) fn set_reading(&self, is_reading: bool) {
        self.is_reading.store(is_reading, Ordering::Relaxed);
    }

    /// Records a read after which `bytes` have arrived in total.
    pub(crate) fn record_read(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.reads.store(self.reads.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if self.is_awaited.load(Ordering::Relaxed) {
            self.is_awaited.store(false, Ordering::Relaxed);
            self.arrived.notify_one();
        }
    }

    /// Records that an acknowledgement has arrived.
    pub(crate) fn acknowledged(&self) {
        self.acks.store(self.acks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Returns whether the reader waits for bytes.
    pub(crate) fn is_reading(&self) -> bool {
        self.is_reading.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that have arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns all counters.
    pub(crate) fn received_so_far(&self) -> ReceivedSoFar {
        ReceivedSoFar {
            bytes: self.bytes(),
            reads: self.reads.load(Ordering::Relaxed),
            acks: self.acks.load(Ordering::Relaxed),
        }
    }

    /// Waits for the next read. Returns at once if one happened during an earlier wait that was dropped. There may be one
    /// waiter at a time, in the task that reads.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn arrived(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
        self.arrived.notified().await;
    }
}
