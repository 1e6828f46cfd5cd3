//! A link: the caller's side of the conversation with one endpoint.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use meshzero_proto::calls::{CallId, Calls, Fate};
use meshzero_proto::catalogue::{Catalogue, Passage};
use meshzero_proto::codec::{self, EncodeError};
use meshzero_proto::frame::{self, Frame, Header, Kind};
use meshzero_proto::hello::Welcome;
use meshzero_proto::limits::Limits;
use meshzero_proto::refusal::Refusal;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time;

use crate::dial::Dialled;
use crate::ending::Ending;
use crate::inbound::{self, Outcome};
use crate::incoming::{Incoming, IncomingError};
use crate::message::NetMessage;
use crate::outbox::{Outbox, PushError, Turn};
use crate::socket;

/// The caller's side of a connection for requests. Shared by all handles of this process.
pub struct Link {
    /// Whom it leads to.
    pub welcome: Welcome,
    /// Where it leads to.
    pub address: SocketAddr,
    /// What the endpoint handles.
    pub catalogue: Catalogue,
    outbox: Outbox,
    calls: Mutex<Calls<oneshot::Sender<Ended>>>,
    /// One place for each call that may be under way; those who wait for one are served in order.
    places: Arc<Semaphore>,
    earlier: Notify,
    ending: Ending,
    max_bytes: usize,
}

/// What a call ended in.
#[derive(Debug)]
pub enum Ended {
    /// The endpoint answered.
    Answered(Outcome),
    /// The deadline passed.
    TimedOut,
    /// The connection ended.
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
    /// Opens a link over a connection that has shaken hands, and keeps it in a task of its own on this thread.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn open(dialled: Dialled, limits: &Limits) -> Result<Arc<Self>, LinkError> {
        let Dialled { stream, welcome, address } = dialled;
        socket::prepare(&stream, limits.keep_alive).map_err(IncomingError::Io)?;
        let (reader, mut writer) = stream.into_split();
        let mut incoming = Incoming::new(reader, limits.message_bytes);
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
            address,
            catalogue,
            outbox: Outbox::new(limits.send_queue_bytes),
            calls: Mutex::new(Calls::new(limits.requests_in_flight)),
            places: Arc::new(Semaphore::new(limits.requests_in_flight)),
            earlier: Notify::new(),
            ending: Ending::default(),
        });
        let kept = Arc::clone(&link);
        actix::spawn(async move {
            tokio::select! {
                ended = kept.outbox.write_to(&mut writer) => note(&kept, ended.map_err(IncomingError::Io)),
                ended = kept.read(incoming) => note(&kept, ended),
                () = kept.watch_deadlines() => {}
            }
            kept.end();
        });
        Ok(link)
    }

    /// Whether no more messages set out here: the connection has ended, or is about to.
    pub fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// Waits until the connection has ended.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn closed(&self) {
        self.ending.come().await;
    }

    /// How many calls wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.lock().len()
    }

    /// Ends the connection once what waits has been written.
    pub fn close(&self) {
        // First, so that a caller who finds the connection closed does not pick this link again.
        self.places.close();
        self.outbox.close();
    }

    /// How messages of type `M` known as `name` travel here; `None` if the endpoint does not handle them.
    pub fn passage<M: NetMessage>(&self, name: &str) -> Option<Passage> {
        let (message, reply) = (codec::type_info::<M>(), codec::type_info::<M::Result>());
        self.catalogue.passage(name, message.fingerprint(), reply.fingerprint())
    }

    /// Sends a request if there is room at once.
    ///
    /// # Errors
    /// [`Unsent`]; the endpoint will not see it.
    pub fn try_call<M: NetMessage>(
        self: &Arc<Self>,
        passage: Passage,
        message: &M,
        deadline: Option<Instant>,
    ) -> Result<Reply, Unsent> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Unsent::Full)?;
        self.begin(place, deadline, |link, id| {
            link.outbox.try_push(|out| link.write(out, id, passage, message, deadline))
        })
    }

    /// Waits for room for one call, behind those who waited before, for as long as the endpoint takes; `None` when the
    /// connection has ended.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn room(&self) -> Option<Room<'_>> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let turn = self.outbox.turn().await.ok()?;
        Some(Room { place, turn })
    }

    /// Sends a request where there is room for it.
    ///
    /// # Errors
    /// As [`Link::try_call`], without [`Unsent::Full`].
    pub fn call<M: NetMessage>(
        self: &Arc<Self>,
        room: Room<'_>,
        passage: Passage,
        message: &M,
        deadline: Option<Instant>,
    ) -> Result<Reply, Unsent> {
        let Room { place, turn } = room;
        self.begin(place, deadline, |link, id| {
            turn.push(|out| link.write(out, id, passage, message, deadline))
        })
    }

    /// Asks the endpoint for its description, which comes as a reply of JSON.
    ///
    /// # Errors
    /// [`Unsent`].
    pub fn describe(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Reply, Unsent> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Unsent::Full)?;
        self.begin(place, deadline, |link, id| {
            link.outbox.push(|out| {
                frame::write(out, Header::new(Kind::Describe, id.to_wire()), b"");
                Ok(())
            })
        })
    }

    /// Sends a message without a reply if there is room at once.
    ///
    /// # Errors
    /// [`Unsent`]; the endpoint will not see it.
    pub fn try_tell<M: NetMessage>(&self, passage: Passage, message: &M) -> Result<(), Unsent> {
        let header = Header { slot: passage.slot, ..Header::new(Kind::Tell, 0) };
        self.outbox.try_push(|out| {
            frame::write_with(out, header, |out| {
                Ok(inbound::flags(codec::encode_preferring(message, passage.message, self.max_bytes, out)?))
            })
        })?;
        Ok(())
    }

    fn begin(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        deadline: Option<Instant>,
        push: impl FnOnce(&Self, CallId) -> Result<u64, PushError<EncodeError>>,
    ) -> Result<Reply, Unsent> {
        let (tell, told) = oneshot::channel();
        let mut calls = self.lock();
        // Under the lock: an ended link has drained its calls, and none may be opened after that.
        if self.is_closed() {
            return Err(Unsent::Closed);
        }
        let before = calls.poll_timeout();
        let id = calls.open(tell, deadline).map_err(|_| Unsent::Full)?;
        match push(self, id) {
            Ok(end) => calls.placed(id, end),
            Err(error) => {
                calls.close(id);
                return Err(error.into());
            }
        }
        if calls.poll_timeout() != before {
            self.earlier.notify_one();
        }
        drop(calls);
        Ok(Reply { link: Some(Arc::clone(self)), id, told, _place: place })
    }

    fn write<M: NetMessage>(
        &self,
        out: &mut Vec<u8>,
        id: CallId,
        passage: Passage,
        message: &M,
        deadline: Option<Instant>,
    ) -> Result<(), EncodeError> {
        let header = Header {
            kind: Kind::Request,
            flags: if inbound::flags(passage.reply) == 0 { 0 } else { frame::REPLY_BINCODE },
            slot: passage.slot,
            id: id.to_wire(),
        };
        frame::write_with(out, header, |out| {
            out.extend_from_slice(&remaining_millis(deadline).to_le_bytes());
            Ok(inbound::flags(codec::encode_preferring(message, passage.message, self.max_bytes, out)?))
        })
    }

    async fn read(&self, mut incoming: Incoming) -> Result<(), IncomingError> {
        while let Some(Frame { header, payload }) = incoming.next().await? {
            match header.kind {
                Kind::Reply => {
                    let encoding = inbound::encoding(header.flags, frame::BINCODE);
                    self.settle(header.id, Outcome::Reply(encoding, payload));
                }
                Kind::Refusal => self.settle(header.id, Outcome::Refused(Refusal::from_bytes(&payload))),
                other => tracing::debug!(kind = ?other, "a frame that means nothing here"),
            }
        }
        Ok(())
    }

    fn settle(&self, id: u64, outcome: Outcome) {
        let call = self.lock().close(CallId::from_wire(id));
        if let Some(call) = call {
            // The caller may have given up just now.
            let _ = call.send(Ended::Answered(outcome));
        }
    }

    async fn watch_deadlines(&self) {
        loop {
            let next = self.lock().poll_timeout();
            tokio::select! {
                () = self.earlier.notified() => {}
                () = until(next) => {
                    let expired = self.lock().expire(Instant::now());
                    for (id, call) in expired {
                        self.tell(Kind::Cancel, id.to_wire());
                        let _ = call.send(Ended::TimedOut);
                    }
                }
            }
        }
    }

    fn tell(&self, kind: Kind, id: u64) {
        // On a connection that has ended there is nobody to tell.
        let _ = self.outbox.push::<Infallible>(|out| {
            frame::write(out, Header::new(kind, id), b"");
            Ok(())
        });
    }

    fn end(&self) {
        self.close();
        // Under the lock no call is half begun, and afterwards none begins.
        let drained = self.lock().drain(self.outbox.written());
        self.ending.tell();
        for (call, fate) in drained {
            // The caller may have given up just now.
            let _ = call.send(Ended::Lost(fate));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls<oneshot::Sender<Ended>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(link: &Link, ended: Result<(), IncomingError>) {
    match ended {
        Ok(()) => tracing::debug!(address = %link.address, "a link has ended"),
        Err(error) => tracing::debug!(address = %link.address, %error, "a link was lost"),
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// The time that remains, as it travels: at least a millisecond, and 0 for no deadline.
fn remaining_millis(deadline: Option<Instant>) -> u32 {
    let Some(deadline) = deadline else { return 0 };
    let remaining = deadline.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// Room for one call on a connection.
pub struct Room<'a> {
    place: OwnedSemaphorePermit,
    turn: Turn<'a>,
}

/// The reply to one call. Dropped before it came, it cancels the call at the endpoint.
pub struct Reply {
    link: Option<Arc<Link>>,
    id: CallId,
    told: oneshot::Receiver<Ended>,
    /// Given back after the endpoint was told of a cancelled call, so that it never counts more calls than this end.
    _place: OwnedSemaphorePermit,
}

impl Reply {
    /// Waits for the end of the call, on any executor.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    pub async fn ended(mut self) -> Ended {
        let ended = (&mut self.told).await.unwrap_or(Ended::Lost(Fate::Unknown));
        self.link = None;
        ended
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            let open = link.lock().close(self.id).is_some();
            if open {
                link.tell(Kind::Cancel, self.id.to_wire());
            }
        }
    }
}
