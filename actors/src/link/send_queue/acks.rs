//! Acknowledgements: how much of the stream has left and arrived, and the frames that ask for that or tell it.

use meshzero_proto::stream::InvalidAck;
use meshzero_proto::wire::frame::FrameKind;

use super::{Flush, SendQueue};
use crate::runtime::sync::atomic::Ordering;

/// The numbers that an outbox is shown by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueStats {
    /// Set if there is a connection.
    pub attached: bool,
    /// The number of connections after the first.
    pub resumed: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Bytes of these that the other end has acknowledged.
    pub acknowledged: u64,
    /// Bytes that wait to be written.
    pub waiting: u64,
}

impl SendQueue {
    /// Bytes that wait to be written.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().flow.waiting()
    }

    /// Bytes that the system has taken since the beginning, at most: what comes behind them, the other end does not have.
    pub(crate) fn handed_to_kernel(&self) -> u64 {
        self.lock().flow.handed()
    }

    /// Bytes that the other end is known to have.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.lock().flow.acknowledged()
    }

    /// Returns the numbers of this moment.
    pub(crate) fn stats(&self) -> QueueStats {
        let state = self.lock();
        QueueStats {
            attached: state.socket.is_some(),
            resumed: state.resumed,
            written: state.flow.wrote(),
            acknowledged: state.flow.acknowledged(),
            waiting: state.flow.waiting(),
        }
    }

    /// Returns whether the other end has not acknowledged all that was sent, besides what keeps the link going.
    pub(crate) fn has_unacked(&self) -> bool {
        self.lock().flow.has_unacked()
    }

    /// From now on [`SendQueue::peer_closed`] returns when bytes have left.
    pub(crate) fn watch(&self) {
        self.is_watched.store(true, Ordering::SeqCst);
    }

    /// Waits until bytes have left since [`SendQueue::watch`]. For one at a time.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn peer_closed(&self) {
        self.left.notified().await;
    }

    /// Asks the other end how much has arrived.
    pub(crate) fn ping(&self) {
        self.keep_up(FrameKind::Ping, 0);
    }

    /// Tells the other end that so many bytes of its stream have arrived.
    pub(crate) fn send_ack(&self, bytes: u64) {
        self.keep_up(FrameKind::Ack, bytes);
    }

    /// The other end has the first `bytes` of the stream.
    ///
    /// # Errors
    /// [`InvalidAck`]: that cannot be.
    pub(crate) fn acknowledge(&self, bytes: u64) -> Result<(), InvalidAck> {
        let goes_on = self.lock().flow.acknowledge(bytes)?;
        if goes_on {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Writes from now on without acknowledgements: the other end sends none any more.
    pub(crate) fn lift_window(&self) {
        self.lock().flow.lift_window();
        self.filled.notify_one();
    }

    fn keep_up(&self, kind: FrameKind, id: u64) {
        let mut state = self.lock();
        // Once it is closed nobody wants to know.
        if !state.closed {
            state.flow.keep_up(kind, id);
            self.schedule_flush(state, Flush::AtOnce, true);
        }
    }
}
