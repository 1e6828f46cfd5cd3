//! Long replies: they leave in pieces, so that short ones do not wait behind them.

use bytes::Bytes;

use super::{Flush, SendQueue, SendState};
use crate::runtime::sync::MutexGuard;

impl SendQueue {
    /// Lets a whole frame, the reply to the request `id`, leave in pieces. Others may leave between them. A closed connection
    /// drops it.
    pub(crate) fn push_fragmented(&self, id: u64, frame: Bytes) {
        let mut state = self.lock();
        if !state.closed {
            state.flow.bulk(id, [frame]);
            self.begin_bulk(state);
        }
    }

    /// Lets nothing more leave of a long reply to the request `id`: nobody wants it.
    pub(crate) fn revoke(&self, id: u64) {
        let mut state = self.lock();
        if state.flow.has_bulk() {
            state.flow.revoke(id);
            let is_over = state.flow.waiting() == 0;
            drop(state);
            if is_over {
                self.drained.notify_waiters();
            }
        }
    }

    /// Puts the pieces of a frame where long replies wait.
    #[cold]
    pub(super) fn set_aside(&self, mut state: MutexGuard<'_, SendState>, id: u64, pieces: Vec<Bytes>) {
        state.flow.bulk(id, pieces);
        self.begin_bulk(state);
    }

    fn begin_bulk(&self, mut state: MutexGuard<'_, SendState>) {
        state.keep_kernel_short();
        self.schedule_flush(state, Flush::AtOnce, true);
    }
}

impl SendState {
    /// Sees to it that little waits in the system, where nothing can leave before it, if long replies wait here.
    pub(super) fn keep_kernel_short(&mut self) {
        if self.flow.has_bulk()
            && !self.is_kept_short
            && let Some(writer) = &self.socket
        {
            self.is_kept_short = true;
            writer.set_notsent_lowat();
        }
    }
}
