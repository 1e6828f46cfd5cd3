//! The successive connections of a send queue: bytes that the other end has not received are sent again on the next one.

use meshzero_proto::news;
use meshzero_proto::stream::InvalidAck;

use super::{SendQueue, transport_of};
use crate::net::connection::WriteHalf;
use crate::runtime::sync::Arc;

impl SendQueue {
    /// Drops the connection. Bytes that are appended wait for the next one.
    pub(crate) fn detach(&self) {
        let mut state = self.lock();
        state.socket = None;
        (state.is_blocked, state.has_short_kernel_queue) = (false, false);
    }

    /// Drops the connection and all bytes: the link has ended.
    pub(crate) fn abandon(&self) {
        self.detach();
        self.lock().flow.abandon();
    }

    /// Continues over another connection, from the byte numbered `from`, which the other end expects next. Where news items are
    /// [dropped in favour of newer ones](SendQueue::keep_newest), the stream is revised first, if the other end no longer reads
    /// from any earlier connection (`is_latest`).
    ///
    /// # Errors
    /// [`InvalidAck`]: the other end cannot expect that byte.
    ///
    /// # Cancel safety
    /// This method is not cancel safe: dropping the future leaves the queue without a connection.
    pub(crate) async fn attach(
        &self,
        socket: WriteHalf,
        from: u64,
        is_latest: bool,
    ) -> Result<(), InvalidAck> {
        let socket = Arc::new(socket);
        loop {
            let drained = self.drained.notified();
            {
                let mut state = self.lock();
                if !state.flow.has_writer() {
                    state.flow.go_back(from)?;
                    if let Some(items) = state.newest.filter(|_| is_latest) {
                        state.flow.revise(|frames| news::newest(frames, items));
                    }
                    state.transport = transport_of(&socket);
                    state.socket = Some(socket);
                    state.resumed += 1;
                    state.keep_kernel_short();
                    break;
                }
            }
            // A sender's write is about to return.
            drained.await;
        }
        self.filled.notify_one();
        Ok(())
    }
}
