//! A link: the caller's side of the conversation with one endpoint.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use meshzero_proto::calls::{CallId, Calls, Fate};
use meshzero_proto::catalogue::{Catalogue, Passage};
use meshzero_proto::codec::{self, EncodeError, Encoding};
use meshzero_proto::frame::{self, Frame, Header, Kind, Writing};
use meshzero_proto::hello::Welcome;
use meshzero_proto::id::InstanceId;
use meshzero_proto::pieces::{Pieces, PiecesError};
use tokio::sync::Notify;
use tokio::time;

use crate::clock;
use crate::connection::Connection;
use crate::dial::Dialled;
use crate::ending::Ending;
use crate::inbound::Outcome;
use crate::incoming::{Incoming, IncomingError};
use crate::message::NetMessage;
use crate::outbox::{Outbox, Pace, Placed, PushError, Room, Turn};
use crate::outward::{Deadline, Outward};
use crate::passages::{self, Passages};
use crate::redial::Redial;
use crate::socket;
use crate::stats::{Carries, LinkStats};
use crate::traffic::Carrying;

mod keeping;

use self::keeping::Keeping;

/// The caller's side of a link for requests. Shared by all handles of this process.
pub struct Link {
    /// Whom it leads to.
    pub welcome: Welcome,
    /// What the endpoint handles.
    pub catalogue: Catalogue,
    outbox: Outbox,
    /// Where it leads to at the moment.
    address: Mutex<SocketAddr>,
    is_attached: AtomicBool,
    /// Bytes that have arrived, as of the last whole frame.
    received: AtomicU64,
    calls: Mutex<Calls<Waiting>>,
    passages: Passages,
    /// Told when a call has ended while others wait for its place.
    freed: Notify,
    earlier: Notify,
    closing: AtomicBool,
    ending: Ending,
    max_bytes: usize,
}

/// A call that waits for its end, or for its caller to take note of it.
struct Waiting {
    caller: Waker,
    ended: Option<Ended>,
    /// What has arrived of a reply that comes in pieces.
    pieces: Option<Box<Pieces>>,
}

impl Waiting {
    /// Ends the call, once; the caller is to be woken.
    #[inline(always)]
    fn end(&mut self, ended: impl FnOnce() -> Ended) -> Option<Waker> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(ended());
        Some(std::mem::replace(&mut self.caller, Waker::noop().clone()))
    }

    /// Takes a piece of the reply; gives the reply when that is whole.
    #[cold]
    fn piece(
        &mut self,
        header: Header,
        piece: &[u8],
        expected: Expected,
    ) -> Result<Option<Frame>, PiecesError> {
        if self.ended.is_some() {
            return Ok(None);
        }
        self.pieces.get_or_insert_default().add(piece, expected.guess, expected.limit)?;
        if header.flags & frame::LAST == 0 {
            return Ok(None);
        }
        self.pieces.take().map(|pieces| pieces.reply(header.id)).transpose()
    }
}

/// How long a reply in pieces becomes.
#[derive(Debug, Clone, Copy)]
struct Expected {
    /// As long as the one before.
    guess: usize,
    /// At most so long.
    limit: usize,
}

/// What an endpoint tells about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What it handles and publishes.
    Description,
    /// What its node has counted.
    Stats,
}

/// What a call ended in.
#[derive(Debug)]
pub enum Ended {
    /// The endpoint answered.
    Answered(Outcome),
    /// The deadline passed.
    TimedOut,
    /// The deadline passed before the request had left, and now it will not.
    Withdrawn,
    /// The link ended.
    Lost(Fate),
}

/// Why a link could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection failed.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// The endpoint did not say what it handles.
    #[error("the endpoint did not say what it handles: {0}")]
    NoCatalogue(String),
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
    /// Opens a link over a connection that has shaken hands, and keeps it in a task of its own on this thread. When the
    /// connection is lost it goes on over those that `redial` brings.
    ///
    /// # Errors
    /// [`LinkError`].
    pub(crate) async fn open(
        dialled: Dialled,
        redial: Redial,
        carrying: &Carrying,
    ) -> Result<Arc<Self>, LinkError> {
        let limits = &carrying.limits;
        let Dialled { connection, welcome, address } = dialled;
        socket::prepare(&connection, limits.keep_alive).map_err(IncomingError::Io)?;
        let Connection { reader, writer } = connection;
        let mut incoming = Incoming::new(reader, limits.message_bytes, carrying);
        let catalogue = match incoming.next().await? {
            Some(Frame { header: Header { kind: Kind::Catalogue, .. }, payload }) => {
                Catalogue::from_bytes(&payload).map_err(LinkError::NoCatalogue)?
            }
            Some(frame) => {
                return Err(LinkError::NoCatalogue(format!("{:?} came instead", frame.header.kind)));
            }
            None => return Err(LinkError::NoCatalogue("it closed the connection".to_owned())),
        };
        let link = Arc::new(Self {
            max_bytes: limits.message_bytes.min(welcome.message_bytes as usize),
            welcome,
            catalogue,
            outbox: Outbox::new(writer, carrying),
            address: Mutex::new(address),
            is_attached: AtomicBool::new(true),
            received: AtomicU64::new(0),
            calls: Mutex::new(Calls::new(limits.requests_in_flight)),
            passages: Passages::default(),
            freed: Notify::new(),
            earlier: Notify::new(),
            closing: AtomicBool::new(false),
            ending: Ending::default(),
        });
        actix::spawn(Keeping::new(Arc::clone(&link), incoming, redial, carrying).run());
        Ok(link)
    }

    /// Where it leads to at the moment.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a connection. Without one, messages wait for the next.
    pub fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Relaxed)
    }

    /// Whether no more messages set out here: the connection has ended, or is about to.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits until the connection has ended.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn closed(&self) {
        self.ending.come().await;
    }

    /// How it is now.
    pub fn stats(&self) -> LinkStats {
        self.outbox.stats(LinkStats::new(self.welcome.node, self.address(), Carries::Requests))
    }

    /// How many calls wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.lock().len()
    }

    /// How many calls have set out here so far.
    pub fn calls(&self) -> u64 {
        self.lock().opened()
    }

    /// Ends the connection once what waits has been written.
    pub fn close(&self) {
        // First, so that a caller who finds the connection closed does not pick this link again.
        self.closing.store(true, Ordering::Release);
        self.outbox.close();
        self.freed.notify_waiters();
    }

    /// Sends a request if there is room at once.
    ///
    /// # Errors
    /// [`Unsent`]; the endpoint will not see it.
    pub fn try_call<M: NetMessage>(
        self: &Arc<Self>,
        message: Outward<'_, M>,
        caller: &Waker,
    ) -> Result<Reply, Unsent> {
        if self.outbox.is_awaited() {
            return Err(Unsent::Full);
        }
        self.begin(message.deadline.map(|deadline| deadline.at), caller, |link, id, pace| {
            let passage = link.passage(&message)?;
            Ok(link.outbox.push(Room::Limit, pace, |out| link.write_request(out, id, passage, &message))?)
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
            if !self.lock().is_full() {
                return Some(turn);
            }
            freed.await;
        }
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
        self.begin(message.deadline.map(|deadline| deadline.at), caller, |link, id, pace| {
            let passage = link.passage(&message)?;
            Ok(turn.push(pace, |out| link.write_request(out, id, passage, &message))?)
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
            Some(name) => passages::find::<M>(&self.catalogue, name),
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
        let waiting = Waiting { caller: caller.clone(), ended: None, pieces: None };
        let id = calls.open(waiting, deadline).map_err(|_| Unsent::Full)?;
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
        Ok(Reply { link: Arc::clone(self), id, open: true })
    }

    fn write_request<M: NetMessage>(
        &self,
        out: &mut Vec<u8>,
        id: CallId,
        passage: Passage,
        message: &Outward<'_, M>,
    ) -> Result<(), EncodeError> {
        let header = Header {
            kind: Kind::Request,
            flags: if frame::flags(passage.reply) == 0 { 0 } else { frame::REPLY_BINCODE },
            slot: passage.slot,
            id: id.to_wire(),
        };
        let writing = Writing::new(out, header);
        if let Some(context) = message.trace {
            writing.trace(out, *context);
        }
        let within = message.deadline.map_or(0, Deadline::to_wire);
        out.extend_from_slice(&within.to_le_bytes());
        let encoded = self.encode(message.message, passage, out);
        writing.end(out, encoded)
    }

    #[inline(always)]
    fn write_tell<M: NetMessage>(
        &self,
        out: &mut Vec<u8>,
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
        out: &mut Vec<u8>,
    ) -> Result<Encoding, EncodeError> {
        codec::encode_preferring(message, passage.message, self.max_bytes, out)
    }

    async fn watch_deadlines(&self) {
        loop {
            let next = self.lock().poll_timeout();
            tokio::select! {
                biased;
                () = self.earlier.notified() => {}
                () = until(next) => {
                    let mut expired = Vec::new();
                    self.lock().expire(clock::now(), |id, waiting, request| {
                        let is_withdrawn = self.outbox.withdraw(request);
                        let ended = || if is_withdrawn { Ended::Withdrawn } else { Ended::TimedOut };
                        expired.extend(waiting.end(ended).map(|caller| ((!is_withdrawn).then_some(id), caller)));
                    });
                    for (left, caller) in expired {
                        if let Some(id) = left {
                            self.cancel(id);
                        }
                        caller.wake();
                    }
                }
            }
        }
    }

    fn cancel(&self, id: CallId) {
        // On a connection that has ended there is nobody to tell.
        let _ = self.outbox.push::<Infallible>(Room::Any, Pace::Gathered, |out| {
            frame::write(out, Header::new(Kind::Cancel, id.to_wire()), b"");
            Ok(())
        });
    }

    fn end(&self) {
        self.close();
        let mut callers = Vec::new();
        // Under the lock no call is half begun, and afterwards none begins.
        self.lock().end(self.outbox.handed(), |waiting, fate| {
            callers.extend(waiting.end(|| Ended::Lost(fate)));
        });
        self.ending.tell();
        callers.into_iter().for_each(Waker::wake);
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Calls<Waiting>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// The reply to one call. Dropped before it came, it cancels the call at the endpoint.
pub struct Reply {
    link: Arc<Link>,
    id: CallId,
    open: bool,
}

impl Reply {
    /// The instance that the call went to.
    pub fn instance(&self) -> InstanceId {
        self.link.welcome.instance
    }

    /// Looks whether the call has ended, on any executor. Not to be called again after it has.
    pub fn poll_ended(&mut self, task: &mut Context<'_>) -> Poll<Ended> {
        let mut calls = self.link.lock();
        let mut is_open = false;
        let ended = calls.close_with(self.id, |waiting| {
            is_open = true;
            if waiting.ended.is_none() && !waiting.caller.will_wake(task.waker()) {
                waiting.caller = task.waker().clone();
            }
            waiting.ended.take()
        });
        let Some(ended) = ended else {
            return if is_open { Poll::Pending } else { Poll::Ready(Ended::Lost(Fate::Unknown)) };
        };
        self.open = false;
        drop(calls);
        self.give_place();
        Poll::Ready(ended)
    }

    /// Waits for the end of the call, on any executor.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    pub async fn ended(mut self) -> Ended {
        poll_fn(|task| self.poll_ended(task)).await
    }

    fn give_place(&self) {
        if self.link.outbox.is_awaited() {
            self.link.freed.notify_waiters();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.open {
            let mut calls = self.link.lock();
            let request = calls.bytes(self.id);
            let waited = calls.close_with(self.id, |waiting| Some(waiting.ended.is_none()));
            drop(calls);
            if waited == Some(true) && !request.is_some_and(|request| self.link.outbox.withdraw(request)) {
                self.link.cancel(self.id);
            }
            self.give_place();
        }
    }
}
