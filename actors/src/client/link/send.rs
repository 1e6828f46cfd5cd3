//! The frames sent on a link: requests, messages without a reply, and queries to the endpoint itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

use meshzero_proto::buffer::{Buffer, WriteBuffer};
use meshzero_proto::call::in_flight::{CallId, InFlight};
use meshzero_proto::codec::{EncodeError, Encoding};
use meshzero_proto::wire::catalogue::NegotiatedType;
use meshzero_proto::wire::frame::{self, FrameKind, FrameWriter, Header};
use parking_lot::MutexGuard;

use super::{InFlightCall, Link, ReplyFuture};
use crate::client::link::negotiated_types;
use crate::client::link::outgoing::{Deadline, OutgoingMessage};
use crate::link::send_queue::{Flush, PushError, SendPermit, SpaceNeeded, WrittenRange};
use crate::message::NetMessage;
use crate::message::packed;
use crate::message::written::EncodedParts;

/// A query that the endpoint answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    /// The messages and topics of its service.
    Description,
    /// The statistics of its node.
    Stats,
}

/// The reason why a message was not sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection has ended.
    Closed,
    /// The send queue is full, or too many calls are open.
    Full,
    /// The endpoint does not handle it.
    NoHandler,
    /// The message cannot be encoded, or is too long.
    Encode(EncodeError),
}

impl From<PushError<EncodeError>> for SendError {
    fn from(error: PushError<EncodeError>) -> Self {
        match error {
            PushError::Closed => Self::Closed,
            PushError::Full => Self::Full,
            PushError::Frame(error) => Self::Encode(error),
        }
    }
}

impl Link {
    /// Sends a request if there is room at once.
    ///
    /// # Errors
    /// [`SendError`]; the endpoint will not see it.
    pub(crate) fn try_call<M: NetMessage>(
        self: &Arc<Self>,
        message: OutgoingMessage<'_, M>,
        caller: &Waker,
    ) -> Result<ReplyFuture, SendError> {
        if !self.send_queue.has_space_for(SpaceNeeded::Limit)
            || (self.was_full.load(Ordering::Relaxed) && !self.has_room())
        {
            return Err(SendError::Full);
        }
        EncodedParts::with(|encoded| {
            self.write_request(&message, encoded)?;
            self.open_call(message.deadline.map(|deadline| deadline.at), caller, |link, id, flush| {
                frame::set_id(encoded.bytes_mut(), id.to_wire());
                Ok(link.send_queue.push_encoded::<EncodeError>(SpaceNeeded::Limit, flush, encoded)?)
            })
        })
    }

    /// Waits for room for one call, behind tasks that began to wait before, without a timeout; `None` when the link has
    /// ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the position in the queue.
    pub(crate) async fn reserve_call(&self) -> Option<SendPermit<'_>> {
        let permit = self.send_queue.reserve().await.ok()?;
        loop {
            let freed = self.slot_freed.notified();
            if self.is_closed() {
                return None;
            }
            if self.has_room() {
                return Some(permit);
            }
            freed.await;
        }
    }

    /// Returns whether one more call may be open.
    fn has_room(&self) -> bool {
        let mut calls = self.lock();
        if calls.is_full() {
            self.make_room(&mut calls);
        }
        let is_full = calls.is_full();
        self.was_full.store(is_full, Ordering::Relaxed);
        !is_full
    }

    /// Sends a request with a permit from [`Link::reserve_call`].
    ///
    /// # Errors
    /// As [`Link::try_call`], without [`SendError::Full`].
    pub(crate) fn call<M: NetMessage>(
        self: &Arc<Self>,
        permit: SendPermit<'_>,
        message: OutgoingMessage<'_, M>,
        caller: &Waker,
    ) -> Result<ReplyFuture, SendError> {
        EncodedParts::with(|encoded| {
            self.write_request(&message, encoded)?;
            self.open_call(message.deadline.map(|deadline| deadline.at), caller, |_, id, flush| {
                frame::set_id(encoded.bytes_mut(), id.to_wire());
                Ok(permit.push_encoded::<EncodeError>(flush, encoded)?)
            })
        })
    }

    /// Asks the endpoint about itself, which replies in JSON.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) fn query(
        self: &Arc<Self>,
        query: Query,
        deadline: Option<Instant>,
        caller: &Waker,
    ) -> Result<ReplyFuture, SendError> {
        let kind = match query {
            Query::Description => FrameKind::Describe,
            Query::Stats => FrameKind::Stats,
        };
        self.open_call(deadline, caller, |link, id, flush| {
            Ok(link.send_queue.push(SpaceNeeded::Any, flush, |out| {
                frame::write(out, Header::new(kind, id.to_wire()), b"");
                Ok(())
            })?)
        })
    }

    /// Sends a message without a reply if there is room at once. Senders that can wait pass [`SpaceNeeded::Ahead`]: they
    /// get room only while little is queued ahead of them.
    ///
    /// # Errors
    /// [`SendError`]; the endpoint will not see it.
    #[inline(always)]
    pub(crate) fn try_tell<M: NetMessage>(
        &self,
        message: OutgoingMessage<'_, M>,
        space: SpaceNeeded,
    ) -> Result<WrittenRange, SendError> {
        let negotiated = self.negotiated(&message)?;
        Ok(self.send_queue.push(space, Flush::Batched, |out| self.write_tell(out, negotiated, &message))?)
    }

    /// Waits for room for one message, behind tasks that began to wait before; `None` when the link has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the position in the queue.
    pub(crate) async fn reserve_tell(&self) -> Option<SendPermit<'_>> {
        self.send_queue.reserve().await.ok()
    }

    /// Sends a message without a reply with a permit from [`Link::reserve_tell`].
    ///
    /// # Errors
    /// As [`Link::try_tell`], without [`SendError::Full`].
    pub(crate) fn tell<M: NetMessage>(
        &self,
        permit: SendPermit<'_>,
        message: OutgoingMessage<'_, M>,
    ) -> Result<WrittenRange, SendError> {
        let negotiated = self.negotiated(&message)?;
        Ok(permit.push(Flush::Batched, |out| self.write_tell(out, negotiated, &message))?)
    }

    #[inline(always)]
    fn negotiated<M: NetMessage>(
        &self,
        message: &OutgoingMessage<'_, M>,
    ) -> Result<NegotiatedType, SendError> {
        let negotiated = match message.name {
            None => self.negotiated.get::<M>(&self.catalogue),
            Some(name) => negotiated_types::find::<M>(&self.catalogue, name),
        };
        negotiated.ok_or(SendError::NoHandler)
    }

    #[inline]
    fn open_call(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        caller: &Waker,
        push: impl FnOnce(&Self, CallId, Flush) -> Result<WrittenRange, SendError>,
    ) -> Result<ReplyFuture, SendError> {
        let mut calls = self.lock();
        // Under the lock: a link that has ended has ended its calls, and none may be opened after that.
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        let next_deadline = calls.poll_timeout();
        let call = InFlightCall::new(caller);
        if calls.is_full() {
            self.make_room(&mut calls);
        }
        let id = calls.open(call, deadline).map_err(|_| {
            self.was_full.store(true, Ordering::Relaxed);
            SendError::Full
        })?;
        // A single call gains nothing from waiting for others.
        let flush = if calls.len() == 1 { Flush::Now } else { Flush::Batched };
        let mut guard = RequestGuard { calls, id, is_written: false };
        let range = push(self, id, flush)?;
        guard.is_written = true;
        guard.calls.set_bytes(id, range.bytes());
        if guard.calls.poll_timeout() != next_deadline {
            self.deadline_changed.notify_one();
        }
        drop(guard);
        Ok(ReplyFuture::new(self, id))
    }

    /// Encodes a request before anything is locked; it gets its id when its call is open.
    #[inline]
    fn write_request<M: NetMessage>(
        &self,
        message: &OutgoingMessage<'_, M>,
        encoded: &mut EncodedParts,
    ) -> Result<(), SendError> {
        let negotiated = self.negotiated(message)?;
        let header = Header {
            kind: FrameKind::Request,
            flags: if frame::flags(negotiated.reply) == 0 { 0 } else { frame::REPLY_BINCODE },
            slot: negotiated.slot,
            id: 0,
        };
        let result = encoded.write(|out| {
            let writer = FrameWriter::new(out, header);
            if let Some(context) = message.trace {
                writer.trace(out, *context);
            }
            let within = message.deadline.map_or(0, Deadline::to_wire);
            out.put(&within.to_le_bytes());
            let result = self.encode(message.message, negotiated, out);
            writer.end(out, result)
        });
        result.map_err(SendError::Encode)
    }

    #[inline(always)]
    fn write_tell<M: NetMessage>(
        &self,
        out: &mut Buffer,
        negotiated: NegotiatedType,
        message: &OutgoingMessage<'_, M>,
    ) -> Result<(), EncodeError> {
        let header = Header { slot: negotiated.slot, ..Header::new(FrameKind::Tell, 0) };
        let writer = FrameWriter::new(out, header);
        if let Some(context) = message.trace {
            writer.trace(out, *context);
        }
        let result = self.encode(message.message, negotiated, out);
        writer.end(out, result)
    }

    #[inline(always)]
    fn encode<M: NetMessage>(
        &self,
        message: &M,
        negotiated: NegotiatedType,
        out: &mut Buffer,
    ) -> Result<Encoding, EncodeError> {
        packed::encode_message(message, negotiated.message, self.max_bytes, out)
    }
}

/// A call whose request is being written. Unless that succeeds, the call is closed again.
struct RequestGuard<'a> {
    calls: MutexGuard<'a, InFlight<InFlightCall>>,
    id: CallId,
    is_written: bool,
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.calls.close(self.id);
        }
    }
}
