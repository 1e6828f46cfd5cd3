//! The incoming progress of one link: counted where it is read, observed by what watches the connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use meshzero_proto::stream::stall::ReceivedSoFar;
use tokio::sync::Notify;

/// Counters of what has arrived on one link. One task writes them; what others read may be slightly out of date.
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
    /// Notes whether bytes are waited for: otherwise what has arrived is being handled.
    pub(crate) fn reads(&self, is_reading: bool) {
        self.is_reading.store(is_reading, Ordering::Relaxed);
    }

    /// Notes a read after which so many bytes have arrived.
    pub(crate) fn arrive(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.reads.store(self.reads.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if self.is_awaited.load(Ordering::Relaxed) {
            self.is_awaited.store(false, Ordering::Relaxed);
            self.arrived.notify_one();
        }
    }

    /// Notes that one of the frames that have arrived is an acknowledgement.
    pub(crate) fn acknowledged(&self) {
        self.acks.store(self.acks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Returns whether bytes are waited for.
    pub(crate) fn is_reading(&self) -> bool {
        self.is_reading.load(Ordering::Relaxed)
    }

    /// Bytes that have arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// All that has arrived.
    pub(crate) fn seen(&self) -> ReceivedSoFar {
        ReceivedSoFar {
            bytes: self.bytes(),
            reads: self.reads.load(Ordering::Relaxed),
            acks: self.acks.load(Ordering::Relaxed),
        }
    }

    /// Waits for the next read, or not at all if one came while somebody waited before. For one at a time, in the task that
    /// reads.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn arrived(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
        self.arrived.notified().await;
    }
}
