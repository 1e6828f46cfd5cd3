//! What sets out on a link: requests, messages without a reply, and questions to the endpoint itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::task::Waker;
use std::time::Instant;

use meshzero_proto::buffer::{Buffer, WriteBuffer};
use meshzero_proto::call::in_flight::{CallId, Calls};
use meshzero_proto::codec::{EncodeError, Encoding};
use meshzero_proto::wire::catalogue::Passage;
use meshzero_proto::wire::frame::{self, Header, Kind, Writing};

use super::{Link, Reply, Waiting};
use crate::client::link::negotiated;
use crate::client::link::outgoing::{Deadline, Outward};
use crate::link::send_queue::{Pace, Placed, PushError, Room, Turn};
use crate::message::NetMessage;
use crate::message::packed;
use crate::message::written::Written;

/// What an endpoint tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What it handles and publishes.
    Description,
    /// What its node has counted.
    Stats,
}

/// Why a message did not set out.
#[derive(Debug)]
pub enum Unsent {
    /// The connection has ended.
    Closed,
    /// As much is under way as may be.
    Full,
    /// The endpoint does not handle it.
    NoHandler,
    /// The message cannot be encoded, or is too long.
    Encode(EncodeError),
}

impl From<PushError<EncodeError>> for Unsent {
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
    /// [`Unsent`]; the endpoint will not see it.
    pub fn try_call<M: NetMessage>(
        self: &Arc<Self>,
        message: Outward<'_, M>,
        caller: &Waker,
    ) -> Result<Reply, Unsent> {
        if !self.outbox.may_have(Room::Limit) || (self.was_full.load(Ordering::Relaxed) && !self.has_room()) {
            return Err(Unsent::Full);
        }
        Written::with(|written| {
            self.write_request(&message, written)?;
            self.begin(message.deadline.map(|deadline| deadline.at), caller, |link, id, pace| {
                frame::set_id(written.bytes_mut(), id.to_wire());
                Ok(link.outbox.place::<EncodeError>(Room::Limit, pace, written)?)
            })
        })
    }

    /// Waits for room for one call, behind those who waited before, for as long as the endpoint takes; `None` when the
    /// connection has ended.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn room(&self) -> Option<Turn<'_>> {
        let turn = self.outbox.turn().await.ok()?;
        loop {
            let freed = self.freed.notified();
            if self.is_closed() {
                return None;
            }
            if self.has_room() {
                return Some(turn);
            }
            freed.await;
        }
    }

    /// Whether one more call may be open.
    fn has_room(&self) -> bool {
        let mut calls = self.lock();
        if calls.is_full() {
            self.make_room(&mut calls);
        }
        let is_full = calls.is_full();
        self.was_full.store(is_full, Ordering::Relaxed);
        !is_full
    }

    /// Sends a request when it is its turn.
    ///
    /// # Errors
    /// As [`Link::try_call`], without [`Unsent::Full`].
    pub fn call<M: NetMessage>(
        self: &Arc<Self>,
        turn: Turn<'_>,
        message: Outward<'_, M>,
        caller: &Waker,
    ) -> Result<Reply, Unsent> {
        Written::with(|written| {
            self.write_request(&message, written)?;
            self.begin(message.deadline.map(|deadline| deadline.at), caller, |_, id, pace| {
                frame::set_id(written.bytes_mut(), id.to_wire());
                Ok(turn.place::<EncodeError>(pace, written)?)
            })
        })
    }

    /// Asks the endpoint about itself, which comes as a reply of JSON.
    ///
    /// # Errors
    /// [`Unsent`].
    pub fn ask(
        self: &Arc<Self>,
        question: Question,
        deadline: Option<Instant>,
        caller: &Waker,
    ) -> Result<Reply, Unsent> {
        let kind = match question {
            Question::Description => Kind::Describe,
            Question::Stats => Kind::Stats,
        };
        self.begin(deadline, caller, |link, id, pace| {
            Ok(link.outbox.push(Room::Any, pace, |out| {
                frame::write(out, Header::new(kind, id.to_wire()), b"");
                Ok(())
            })?)
        })
    }

    /// Sends a message without a reply if there is room at once.
    ///
    /// # Errors
    /// [`Unsent`]; the endpoint will not see it.
    pub fn try_tell<M: NetMessage>(&self, message: Outward<'_, M>) -> Result<Placed, Unsent> {
        let passage = self.passage(&message)?;
        Ok(self.outbox.push(Room::Limit, Pace::Gathered, |out| self.write_tell(out, passage, &message))?)
    }

    /// As [`Link::try_tell`], for senders that can wait: there is room for them while less is ahead of them.
    ///
    /// # Errors
    /// [`Unsent`]; the endpoint will not see it.
    #[inline(always)]
    pub fn tell_ahead<M: NetMessage>(&self, message: Outward<'_, M>) -> Result<Placed, Unsent> {
        let passage = self.passage(&message)?;
        Ok(self.outbox.push(Room::Ahead, Pace::Gathered, |out| self.write_tell(out, passage, &message))?)
    }

    /// Waits for room for one message, behind those who waited before; `None` when the connection has ended.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn room_to_tell(&self) -> Option<Turn<'_>> {
        self.outbox.turn().await.ok()
    }

    /// Sends a message without a reply when it is its turn.
    ///
    /// # Errors
    /// As [`Link::try_tell`], without [`Unsent::Full`].
    pub fn tell<M: NetMessage>(&self, turn: Turn<'_>, message: Outward<'_, M>) -> Result<Placed, Unsent> {
        let passage = self.passage(&message)?;
        Ok(turn.push(Pace::Gathered, |out| self.write_tell(out, passage, &message))?)
    }

    #[inline(always)]
    fn passage<M: NetMessage>(&self, message: &Outward<'_, M>) -> Result<Passage, Unsent> {
        let passage = match message.name {
            None => self.passages.of::<M>(&self.catalogue),
            Some(name) => negotiated::find::<M>(&self.catalogue, name),
        };
        passage.ok_or(Unsent::NoHandler)
    }

    #[inline]
    fn begin(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        caller: &Waker,
        push: impl FnOnce(&Self, CallId, Pace) -> Result<Placed, Unsent>,
    ) -> Result<Reply, Unsent> {
        let mut calls = self.lock();
        // Under the lock: an ended link has ended its calls, and none may be opened after that.
        if self.is_closed() {
            return Err(Unsent::Closed);
        }
        let before = calls.poll_timeout();
        let waiting = Waiting::new(caller);
        if calls.is_full() {
            self.make_room(&mut calls);
        }
        let id = calls.open(waiting, deadline).map_err(|_| {
            self.was_full.store(true, Ordering::Relaxed);
            Unsent::Full
        })?;
        // A call that is alone has nothing to gain from waiting for others.
        let pace = if calls.len() == 1 { Pace::AtOnce } else { Pace::Gathered };
        let mut begun = Begun { calls, id, placed: false };
        let placed = push(self, id, pace)?;
        begun.placed = true;
        begun.calls.placed(id, placed.bytes());
        if begun.calls.poll_timeout() != before {
            self.earlier.notify_one();
        }
        drop(begun);
        Ok(Reply::new(self, id))
    }

    /// Writes a request, before anything is locked; it gets its id when its call is open.
    #[inline]
    fn write_request<M: NetMessage>(
        &self,
        message: &Outward<'_, M>,
        written: &mut Written,
    ) -> Result<(), Unsent> {
        let passage = self.passage(message)?;
        let header = Header {
            kind: Kind::Request,
            flags: if frame::flags(passage.reply) == 0 { 0 } else { frame::REPLY_BINCODE },
            slot: passage.slot,
            id: 0,
        };
        let result = written.write(|out| {
            let writing = Writing::new(out, header);
            if let Some(context) = message.trace {
                writing.trace(out, *context);
            }
            let within = message.deadline.map_or(0, Deadline::to_wire);
            out.put(&within.to_le_bytes());
            let encoded = self.encode(message.message, passage, out);
            writing.end(out, encoded)
        });
        result.map_err(Unsent::Encode)
    }

    #[inline(always)]
    fn write_tell<M: NetMessage>(
        &self,
        out: &mut Buffer,
        passage: Passage,
        message: &Outward<'_, M>,
    ) -> Result<(), EncodeError> {
        let header = Header { slot: passage.slot, ..Header::new(Kind::Tell, 0) };
        let writing = Writing::new(out, header);
        if let Some(context) = message.trace {
            writing.trace(out, *context);
        }
        let encoded = self.encode(message.message, passage, out);
        writing.end(out, encoded)
    }

    #[inline(always)]
    fn encode<M: NetMessage>(
        &self,
        message: &M,
        passage: Passage,
        out: &mut Buffer,
    ) -> Result<Encoding, EncodeError> {
        packed::encode_preferring(message, passage.message, self.max_bytes, out)
    }
}

/// A call whose request is being written. Unless that succeeds, it is closed again.
struct Begun<'a> {
    calls: MutexGuard<'a, Calls<Waiting>>,
    id: CallId,
    placed: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.placed {
            self.calls.close(self.id);
        }
    }
}
