//! A link for requests, at the endpoint: what arrives goes to the service, as much of it as that has room for.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::frame::{self, Contents, Frames, Header, Kind};
use meshzero_proto::hello::Hello;
use meshzero_proto::refusal::Refusal;
use tokio::task::JoinHandle;

use super::{SessionError, tell};
use crate::answers::Answers;
use crate::carry::{Conversation, Stop, keep_up};
use crate::clock;
use crate::delivery::{self, Delivery};
use crate::describe;
use crate::incoming::Incoming;
use crate::outbox::Outbox;
use crate::overdue;
use crate::quota::{Quota, Taken};
use crate::service::Service;
use crate::stats::AskStats;

/// Nothing more is taken from a connection while as many bytes of messages that it brought have not been handled. The number
/// of messages is bounded for the whole service; this bounds the memory of large ones.
const AHEAD_BYTES: usize = 64 << 10;

/// So many answers that are not replies, in bytes, a client may still ask for while as much waits for it as may.
const UNREAD_BYTES: usize = 256 << 10;

/// A link for requests.
pub(super) struct Requests {
    service: Arc<Service>,
    outbox: Arc<Outbox>,
    answers: Arc<Answers>,
    incoming: Incoming,
    /// Room for bytes that have not been handled.
    ahead: Arc<Quota>,
    /// What has arrived and was not handed over yet.
    arrived: Option<Arrived>,
    /// Whether the client has said that it sends no more.
    is_over: bool,
    /// Bytes of answers that nothing bounds but the client's reading them, since it read them last.
    unread: usize,
    /// Tells that nothing handles.
    dropped: u64,
    /// Those who wait for a description that is being put together.
    asked: Rc<RefCell<Vec<u64>>>,
    /// Puts together what the node has counted.
    reporting: Option<JoinHandle<()>>,
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.answers.cut_off();
    }
}

/// Messages for the service.
struct Arrived {
    frames: Bytes,
    messages: usize,
    has_requests: bool,
    at: Instant,
    /// Room for their bytes, once there is some.
    room: Option<Arc<Taken>>,
}

impl Requests {
    /// Serves a client that has just said `hello`.
    pub(super) fn new(
        service: Arc<Service>,
        incoming: Incoming,
        outbox: &Arc<Outbox>,
        hello: &Hello,
    ) -> Self {
        let max_reply = service.limits().message_bytes.min(hello.message_bytes as usize);
        let (in_flight, counters) = (service.limits().requests_in_flight, Arc::clone(&service.counters));
        let mut answers = Answers::new(Arc::clone(outbox), in_flight, max_reply, counters);
        if hello.pieces {
            answers = answers.in_pieces();
        }
        tell(outbox, Kind::Catalogue, 0, &service.catalogue.to_bytes());
        Self {
            service,
            outbox: Arc::clone(outbox),
            answers: Arc::new(answers),
            incoming,
            ahead: Quota::new(AHEAD_BYTES),
            arrived: None,
            is_over: false,
            unread: 0,
            dropped: 0,
            asked: Rc::default(),
            reporting: None,
        }
    }

    /// Does what can be done without the service, and finds the messages for it. A request that was cancelled in the same
    /// breath is not handled.
    fn look_through(&mut self, frames: Bytes, contents: Contents) -> Result<(), SessionError> {
        let at = clock::now();
        let (mut messages, mut has_requests) = (contents.tells, false);
        let are_tells = contents.tells == contents.frames && contents.flags & frame::TRACED == 0;
        if !are_tells || !self.has_slot(contents.highest_slot) {
            messages = 0;
            let at = self.answers.expiry.millis(at);
            for (header, payload) in Frames::new(&frames) {
                messages += usize::from(delivery::is_message(&header));
                has_requests |= header.kind == Kind::Request;
                self.look_at(header, payload, at)?;
            }
        }
        if messages > 0 && self.service.is_draining() {
            self.service.turn_away(&frames, &self.answers, messages);
        } else if messages > 0 {
            self.arrived = Some(Arrived { frames, messages, has_requests, at, room: None });
        }
        Ok(())
    }

    fn look_at(&mut self, header: Header, payload: &[u8], at: u64) -> Result<(), SessionError> {
        match header.kind {
            Kind::Request => {
                let Some((within, _)) = untraced(header, payload).and_then(delivery::request) else {
                    return Err(too_short(Kind::Request));
                };
                if !overdue::owe(&self.answers, header.id, at, within) {
                    self.refuse(header.id, Refusal::Busy)?;
                } else if let Some(message) = self.unknown(header)
                    && self.answers.owed.forget(header.id)
                {
                    let handles = self.service.handles();
                    self.refuse(header.id, Refusal::NoHandler { message, handles })?;
                }
            }
            Kind::Tell => {
                if untraced(header, payload).is_none() {
                    return Err(too_short(Kind::Tell));
                }
                if let Some(message) = self.unknown(header) {
                    self.service.counters.no_handler.count();
                    self.dropped += 1;
                    // Once: a log is no place for a stranger to write to as it likes.
                    if self.dropped == 1 {
                        tracing::warn!(%message, "dropped a message that nothing handles, the first of this link");
                    }
                }
            }
            Kind::Cancel => self.answers.cancel(header.id),
            Kind::Describe => {
                if self.reads() {
                    self.describe(header.id)?;
                } else {
                    self.refuse(header.id, Refusal::Busy)?;
                }
            }
            Kind::Stats => self.report(header.id)?,
            kind if kind.is_upkeep() => {
                self.is_over |= keep_up(header, &mut self.incoming, &self.outbox)?;
            }
            other => return Err(SessionError::OutOfPlace(other)),
        }
        Ok(())
    }

    /// Whether the client reads what it is answered, as far as can be seen.
    fn reads(&mut self) -> bool {
        let reads = self.outbox.waiting() < self.service.limits().send_queue_bytes as u64;
        if reads {
            self.unread = 0;
        }
        reads
    }

    /// Refuses a request that is not owed an answer. Of those there may be any number, so that a client which asks on and on
    /// and does not read is given up.
    #[cold]
    fn refuse(&mut self, id: u64, refusal: Refusal) -> Result<(), SessionError> {
        let refusal = if self.reads() { refusal } else { Refusal::Busy };
        if self.unread > UNREAD_BYTES {
            return Err(SessionError::DoesNotRead);
        }
        self.unread += frame::HEADER_BYTES + refusal.to_bytes().len();
        self.answers.refuse(id, &refusal);
        Ok(())
    }

    /// Answers with what the service says of itself, as soon as that has been put together.
    fn describe(&mut self, id: u64) -> Result<(), SessionError> {
        if let Some(description) = describe::encoded_already(&self.service) {
            tell(&self.outbox, Kind::Reply, id, &description);
            return Ok(());
        }
        let most = self.service.limits().requests_in_flight;
        let mut asked = self.asked.borrow_mut();
        if asked.len() >= most {
            drop(asked);
            return self.refuse(id, Refusal::Busy);
        }
        asked.push(id);
        if asked.len() == 1 {
            let (service, outbox) = (Arc::clone(&self.service), Arc::clone(&self.outbox));
            let asked = Rc::clone(&self.asked);
            actix::spawn(async move {
                let description = describe::encoded(&service).await;
                for id in asked.take() {
                    tell(&outbox, Kind::Reply, id, &description);
                }
            });
        }
        Ok(())
    }

    /// Answers with what the node has counted, when that has been put together: for one question at a time.
    fn report(&mut self, id: u64) -> Result<(), SessionError> {
        let is_reporting = self.reporting.as_ref().is_some_and(|reporting| !reporting.is_finished());
        if is_reporting || !self.reads() {
            return self.refuse(id, Refusal::Busy);
        }
        let (node, answers, outbox) =
            (self.service.node_stats.clone(), Arc::clone(&self.answers), Arc::clone(&self.outbox));
        self.reporting = Some(actix::spawn(async move {
            let stats = match node.upgrade() {
                Some(node) => node.send(AskStats).await.ok(),
                None => None,
            };
            match stats {
                Some(stats) => tell(&outbox, Kind::Reply, id, &stats.to_bytes()),
                // The node has left.
                None => answers.refuse(id, &Refusal::Draining),
            }
        }));
        Ok(())
    }

    fn has_slot(&self, slot: u16) -> bool {
        self.service.catalogue.entry(usize::from(slot)).is_some()
    }

    /// What to call a message type that the service does not have.
    fn unknown(&self, header: Header) -> Option<String> {
        (!self.has_slot(header.slot)).then(|| format!("message type number {}", header.slot))
    }

    /// Hands messages to the service, as many at a time as that has room for. Until then nothing more is read, and the
    /// sender feels it.
    ///
    /// # Cancel safety
    /// What was not handed over is kept.
    pub(super) async fn deliver(&mut self) {
        while let Some(arrived) = &mut self.arrived {
            let room = match &arrived.room {
                Some(room) => room,
                None => match self.ahead.take(arrived.frames.len()).await {
                    Some(room) => arrived.room.insert(Arc::new(room)),
                    // It is never closed.
                    None => return,
                },
            };
            let Some(places) = self.service.places(arrived.messages).await else {
                delivery::refuse_all(&arrived.frames, &self.answers);
                self.arrived = None;
                return;
            };
            let rest = match arrived.messages - places.count() {
                0 => Bytes::new(),
                _ => arrived.frames.split_off(end(&arrived.frames, places.count())),
            };
            let frames = std::mem::replace(&mut arrived.frames, rest);
            arrived.messages -= places.count();
            let (answers, at, has_requests) = (Arc::clone(&self.answers), arrived.at, arrived.has_requests);
            self.service.deliver(Delivery::new(frames, at, has_requests, answers, places, room));
            if arrived.messages == 0 {
                self.arrived = None;
            }
        }
    }
}

impl Conversation for Requests {
    type Error = SessionError;
    const LINGERS: bool = false;

    fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), Stop<SessionError>> {
        loop {
            self.deliver().await;
            if self.is_over {
                return Ok(());
            }
            let (frames, contents) = tokio::select! {
                biased;
                frames = self.incoming.batch(&self.outbox) => frames?,
                // What has been answered is still written.
                () = self.service.closed() => {
                    self.answers.turn_away();
                    return Ok(());
                }
            };
            self.look_through(frames, contents).map_err(Stop::Broken)?;
        }
    }
}

/// The payload of a message without its trace; `None` if it is too short for one.
fn untraced(header: Header, payload: &[u8]) -> Option<&[u8]> {
    frame::divide(header.flags, payload).map(|(_, rest)| rest)
}

fn too_short(kind: Kind) -> SessionError {
    SessionError::Invalid { kind, problem: "it ends before its message begins".to_owned() }
}

/// Where the first `messages` messages in `frames` end.
fn end(frames: &[u8], messages: usize) -> usize {
    let mut rest = Frames::new(frames);
    let mut seen = 0;
    while seen < messages
        && let Some((header, _)) = rest.next()
    {
        seen += usize::from(delivery::is_message(&header));
    }
    frames.len() - rest.left()
}
