//! Refusals of requests that are not pending: an unlimited number while the client reads.

use std::sync::Arc;

use meshzero_proto::wire::frame;
use meshzero_proto::wire::refusal::Refusal;

use super::SessionError;
use crate::link::send_queue::SendQueue;
use crate::server::request::responder::Responder;

/// The bytes of refusals that a client may still cause while its send queue is full.
const UNREAD_BYTES: usize = 256 << 10;

/// The refusals of one link. They are bounded only by the client's reading, so a client that keeps sending requests
/// without reading is disconnected.
pub(super) struct Refusals {
    responder: Arc<Responder>,
    send_queue: Arc<SendQueue>,
    /// The bytes that may wait for a client that reads.
    send_queue_bytes: usize,
    /// The bytes of refusals since the client was last seen to read.
    unread: usize,
}

impl Refusals {
    pub(super) fn new(
        responder: Arc<Responder>,
        send_queue: Arc<SendQueue>,
        send_queue_bytes: usize,
    ) -> Self {
        Self { responder, send_queue, send_queue_bytes, unread: 0 }
    }

    /// Returns whether the client reads its replies, as far as can be seen.
    pub(super) fn are_read(&mut self) -> bool {
        let are_read = self.send_queue.waiting() < self.send_queue_bytes as u64;
        if are_read {
            self.unread = 0;
        }
        are_read
    }

    /// Refuses a request that is not pending.
    ///
    /// # Errors
    /// [`SessionError::DoesNotRead`].
    #[cold]
    pub(super) fn refuse(&mut self, id: u64, refusal: Refusal) -> Result<(), SessionError> {
        let refusal = if self.are_read() { refusal } else { Refusal::Busy };
        if self.unread > UNREAD_BYTES {
            return Err(SessionError::DoesNotRead);
        }
        self.unread += frame::HEADER_BYTES + refusal.to_bytes().len();
        self.responder.refuse(id, &refusal);
        Ok(())
    }
}
