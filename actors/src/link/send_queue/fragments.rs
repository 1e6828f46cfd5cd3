//! Long replies, sent in fragments so that short ones do not wait behind them.

use bytes::Bytes;

use super::{Flush, SendQueue, SendState};
use crate::runtime::sync::MutexGuard;

impl SendQueue {
    /// Queues a complete frame, the reply to the request `id`, to be sent in fragments. Other frames may be sent between
    /// them. A closed queue drops it.
    pub(crate) fn push_fragmented(&self, id: u64, frame: Bytes) {
        let mut state = self.lock();
        if !state.closed {
            state.flow.append_long(id, [frame]);
            self.begin_bulk(state);
        }
    }

    /// Drops the unsent remainder of a long reply to the request `id`, which is no longer wanted.
    pub(crate) fn revoke(&self, id: u64) {
        let mut state = self.lock();
        if state.flow.has_long_frames() {
            state.flow.revoke(id);
            let is_over = state.flow.pending_bytes() == 0;
            drop(state);
            if is_over {
                self.drained.notify_waiters();
            }
        }
    }

    /// Queues the fragments of a frame with the long replies.
    #[cold]
    pub(super) fn push_fragments(
        &self,
        mut state: MutexGuard<'_, SendState>,
        id: u64,
        fragments: Vec<Bytes>,
    ) {
        state.flow.append_long(id, fragments);
        self.begin_bulk(state);
    }

    fn begin_bulk(&self, mut state: MutexGuard<'_, SendState>) {
        state.keep_kernel_short();
        self.schedule_flush(state, Flush::Now, true);
    }
}

impl SendState {
    /// Keeps the system's queue short while long replies wait here, because other frames cannot overtake bytes that the system
    /// has.
    pub(super) fn keep_kernel_short(&mut self) {
        if self.flow.has_long_frames()
            && !self.has_short_kernel_queue
            && let Some(writer) = &self.socket
        {
            self.has_short_kernel_queue = true;
            writer.set_notsent_lowat();
        }
    }
}
