//! Acknowledgements: the parts of the stream that were sent and received, and the frames that request or report them.

use meshzero_proto::stream::InvalidAck;
use meshzero_proto::wire::frame::FrameKind;

use super::{Flush, SendQueue};
use crate::runtime::sync::atomic::Ordering;
use crate::telemetry::stats::LinkTransport;

/// The statistics of a send queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueStats {
    /// The transport of the connection, or of the last one.
    pub transport: LinkTransport,
    /// Set if there is a connection.
    pub attached: bool,
    /// The number of connections after the first.
    pub resumed: u64,
    /// The bytes that were written.
    pub written: u64,
    /// The bytes of these that the other end has acknowledged.
    pub acknowledged: u64,
    /// The bytes that wait to be written.
    pub waiting: u64,
}

impl SendQueue {
    /// Returns the number of bytes that wait to be written.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().flow.pending_bytes()
    }

    /// Returns an upper bound of the bytes that the system has accepted: the other end cannot have any later ones.
    pub(crate) fn handed_to_kernel(&self) -> u64 {
        self.lock().flow.highest_written()
    }

    /// Returns the number of bytes that the other end has acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.lock().flow.acknowledged_bytes()
    }

    /// Returns the number of bytes that were written and that the other end has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        let state = self.lock();
        // A writer has written bytes before it reports them.
        state.flow.highest_written().saturating_sub(state.flow.acknowledged_bytes())
    }

    /// Returns the current statistics.
    pub(crate) fn stats(&self) -> QueueStats {
        let state = self.lock();
        QueueStats {
            transport: state.transport,
            attached: state.socket.is_some(),
            resumed: state.resumed,
            written: state.flow.total_written(),
            acknowledged: state.flow.acknowledged_bytes(),
            waiting: state.flow.pending_bytes(),
        }
    }

    /// Returns whether the other end has yet to acknowledge any bytes, other than those that maintain the link.
    pub(crate) fn has_unacked(&self) -> bool {
        self.lock().flow.has_unacked()
    }

    /// Makes [`SendQueue::bytes_sent`] return when bytes are next sent.
    pub(crate) fn watch(&self) {
        self.is_send_watched.store(true, Ordering::SeqCst);
    }

    /// Waits until bytes were sent since [`SendQueue::watch`]. There may be one waiter at a time.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn bytes_sent(&self) {
        self.bytes_left.notified().await;
    }

    /// Requests an acknowledgement from the other end.
    pub(crate) fn ping(&self) {
        self.push_control(FrameKind::Ping, 0);
    }

    /// Acknowledges the first `bytes` of the other end's stream.
    pub(crate) fn send_ack(&self, bytes: u64) {
        self.push_control(FrameKind::Ack, bytes);
    }

    /// Records that the other end has the first `bytes` of the stream.
    ///
    /// # Errors
    /// [`InvalidAck`]: more bytes than were sent.
    pub(crate) fn acknowledge(&self, bytes: u64) -> Result<(), InvalidAck> {
        let is_unblocked = self.lock().flow.acknowledge(bytes)?;
        if is_unblocked {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Stops waiting for acknowledgements before writing: the other end sends no more of them.
    pub(crate) fn lift_window(&self) {
        self.lock().flow.lift_window();
        self.filled.notify_one();
    }

    fn push_control(&self, kind: FrameKind, id: u64) {
        let mut state = self.lock();
        // A closed queue needs no control frames.
        if !state.closed {
            state.flow.append_keep_alive(kind, id);
            self.schedule_flush(state, Flush::Now, true);
        }
    }
}
