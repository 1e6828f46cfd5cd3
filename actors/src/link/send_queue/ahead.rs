//! The bytes that senders that can wait put in front of the sockets of a node's links. More only cost memory and cache, so many
//! links share what a few have for themselves.

use crate::runtime::sync::atomic::{AtomicUsize, Ordering};
use crate::runtime::sync::{Arc, Mutex};

/// The most bytes in front of one socket.
const MAX_BYTES: usize = 2 << 20;

/// The bytes in front of all sockets together. Measured with 100 links whose receiver is slower than the sender: with
/// [`MAX_BYTES`] for each, the sender's memory is up to three times as much, and the rate is the same.
const TOTAL_BYTES: usize = 8 << 20;

/// The bytes that each link has in any case: twice what a sender to many links appends to each in one turn.
const MIN_BYTES: usize = 64 << 10;

/// The bytes that each link of a node may have in front of its socket.
#[derive(Debug)]
pub(crate) struct AheadShare {
    /// The number of links. Locked while `bytes` is computed, so that it is that of the latest number.
    links: Mutex<usize>,
    /// Follows from the number, and is stored because every message that is told reads it.
    bytes: AtomicUsize,
}

/// A link that has a share, until this is dropped.
#[derive(Debug)]
pub(crate) struct AheadMember(Arc<AheadShare>);

impl Default for AheadShare {
    fn default() -> Self {
        Self { links: Mutex::new(0), bytes: AtomicUsize::new(MAX_BYTES) }
    }
}

impl AheadShare {
    /// Divides the bytes among one link more.
    pub(crate) fn join(share: &Arc<Self>) -> AheadMember {
        share.change(|links| links + 1);
        AheadMember(Arc::clone(share))
    }

    /// Returns the bytes that each link may have.
    #[inline(always)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut links = self.links.lock();
        *links = change(*links);
        let bytes = (TOTAL_BYTES / (*links).max(1)).clamp(MIN_BYTES, MAX_BYTES);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Drop for AheadMember {
    fn drop(&mut self) {
        self.0.change(|links| links - 1);
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use super::*;

    #[test]
    fn many_links_share_what_a_few_have_for_themselves() {
        let share = Arc::<AheadShare>::default();
        assert_eq!(share.bytes(), MAX_BYTES);
        let mut members = Vec::new();
        for (links, bytes) in [
            (1, MAX_BYTES),
            (4, MAX_BYTES),
            (8, TOTAL_BYTES / 8),
            (100, TOTAL_BYTES / 100),
            (1_000, MIN_BYTES),
        ] {
            members.resize_with(links, || AheadShare::join(&share));
            assert_eq!(share.bytes(), bytes, "{links} links");
        }
        members.truncate(8);
        assert_eq!(share.bytes(), TOTAL_BYTES / 8);
        members.clear();
        assert_eq!(share.bytes(), MAX_BYTES);
    }
}
