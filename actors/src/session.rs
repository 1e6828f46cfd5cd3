//! The endpoint's side of one connection: requests go to the service, answers and news come back.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::frame::{self, Contents, Frame, Frames, Header, Kind};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::news::Subscribe;
use meshzero_proto::refusal::Refusal;
use tokio::net::TcpStream;

use crate::answers::Answers;
use crate::delivery::{self, Delivery};
use crate::describe;
use crate::incoming::{Incoming, IncomingError};
use crate::outbox::{Outbox, Pace, Room};
use crate::publisher::Feed;
use crate::quota::Quota;
use crate::service::Service;

/// News wait in the subscriber's backlog, where they can be dropped or replaced, until fewer bytes than this wait
/// for the socket.
const NEWS_AHEAD_BYTES: usize = 64 << 10;

/// Nothing more is taken from a connection while as many bytes of messages that it brought have not been handled. The number
/// of messages is bounded for the whole service; this bounds the memory of large ones.
const AHEAD_BYTES: usize = 64 << 10;

/// Why a session ended, when the peer did not just leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error("a frame of the kind {0:?} does not belong on this connection")]
    OutOfPlace(Kind),
    #[error("a {kind:?} frame that does not decode: {problem}")]
    Invalid { kind: Kind, problem: String },
    #[error("it asked for a second subscription on one connection")]
    SecondSubscription,
    #[error("as many subscribe as may")]
    TooManySubscribers,
}

/// Serves a connection that has shaken hands, until either end closes it.
pub(crate) async fn serve(
    stream: TcpStream,
    hello: &Hello,
    service: Arc<Service>,
) -> Result<(), SessionError> {
    let (reader, writer) = stream.into_split();
    let carrying = service.carrying.clone();
    let outbox = Arc::new(Outbox::new(writer, service.limits().send_queue_bytes, &carrying));
    let max_reply = service.limits().message_bytes.min(hello.message_bytes as usize);
    let session = Session {
        answers: Arc::new(Answers::new(Arc::clone(&outbox), service.limits().requests_in_flight, max_reply)),
        incoming: Incoming::new(reader, service.limits().message_bytes, &carrying),
        ahead: Quota::new(AHEAD_BYTES),
        outbox,
        service,
    };
    let outbox = Arc::clone(&session.outbox);
    let read = async {
        let result = match hello.purpose {
            Purpose::Requests => session.requests().await,
            Purpose::News => session.news().await,
            Purpose::Peer { .. } | Purpose::Probe => Ok(()),
        };
        outbox.close();
        result
    };
    // The writer ends when the outbox is closed and written, or when the socket fails; then reading fails as well.
    let (read, written) = tokio::join!(read, async {
        let written = outbox.keep_writing().await;
        outbox.close();
        written
    });
    read?;
    Ok(written?)
}

/// What there is for the service in what a connection brought.
struct Found {
    messages: usize,
    has_requests: bool,
}

struct Session {
    service: Arc<Service>,
    outbox: Arc<Outbox>,
    answers: Arc<Answers>,
    incoming: Incoming,
    /// Room for bytes that have not been handled.
    ahead: Arc<Quota>,
}

impl Session {
    async fn requests(mut self) -> Result<(), SessionError> {
        self.tell(Kind::Catalogue, 0, &self.service.catalogue.to_bytes());
        loop {
            let frames = tokio::select! {
                biased;
                frames = self.incoming.batch() => frames?,
                // What has been answered is still written.
                () = self.service.closed() => return Ok(()),
            };
            let Some((frames, contents)) = frames else { return Ok(()) };
            let arrived = Instant::now();
            let found = self.look_through(&frames, contents)?;
            self.deliver(frames, found, arrived).await;
        }
    }

    /// Does what can be done without the service, and counts the messages for it. A request that was cancelled in the
    /// same breath is not handled.
    fn look_through(&self, frames: &[u8], contents: Contents) -> Result<Found, SessionError> {
        if contents.tells == contents.frames && self.has_slot(contents.highest_slot) {
            return Ok(Found { messages: contents.tells, has_requests: false });
        }
        let (mut messages, mut has_requests) = (0, false);
        for (header, payload) in Frames::new(frames) {
            match header.kind {
                Kind::Request => {
                    messages += 1;
                    has_requests = true;
                    if delivery::request(payload).is_none() {
                        let problem = "it ends before its message begins".to_owned();
                        return Err(SessionError::Invalid { kind: Kind::Request, problem });
                    }
                    if !self.answers.owed.owe(header.id) {
                        self.answers.refuse(header.id, &Refusal::Busy);
                    } else if let Some(message) = self.unknown(header)
                        && self.answers.owed.forget(header.id)
                    {
                        let handles = self.service.handles();
                        self.answers.refuse(header.id, &Refusal::NoHandler { message, handles });
                    }
                }
                Kind::Tell => {
                    messages += 1;
                    if let Some(message) = self.unknown(header) {
                        tracing::warn!(%message, "dropped a message that nothing handles");
                    }
                }
                Kind::Cancel => drop(self.answers.owed.forget(header.id)),
                Kind::Describe => {
                    self.tell(Kind::Reply, header.id, &describe::describe(&self.service).to_bytes())
                }
                other => return Err(SessionError::OutOfPlace(other)),
            }
        }
        Ok(Found { messages, has_requests })
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
    async fn deliver(&self, mut frames: Bytes, found: Found, arrived: Instant) {
        let Found { mut messages, has_requests } = found;
        // It is never closed.
        let Some(room) = self.ahead.take(frames.len()).await.map(Arc::new) else { return };
        while messages > 0 {
            let Some(places) = self.service.places(messages).await else {
                return delivery::refuse_all(&frames, &self.answers);
            };
            messages -= places.count();
            let rest =
                if messages == 0 { Bytes::new() } else { frames.split_off(end(&frames, places.count())) };
            let answers = Arc::clone(&self.answers);
            self.service.deliver(Delivery::new(frames, arrived, has_requests, answers, places, &room));
            frames = rest;
        }
    }

    async fn news(mut self) -> Result<(), SessionError> {
        let feed = match self.incoming.next().await? {
            Some(Frame { header: Header { kind: Kind::Subscribe, id, .. }, payload }) => {
                self.subscribe(id, &payload)?
            }
            Some(frame) => return Err(SessionError::OutOfPlace(frame.header.kind)),
            None => return Ok(()),
        };
        tokio::select! {
            frame = self.incoming.next() => match frame?.map(|frame| frame.header.kind) {
                Some(Kind::Subscribe) => Err(SessionError::SecondSubscription),
                Some(other) => Err(SessionError::OutOfPlace(other)),
                None => Ok(()),
            },
            () = pump(&feed, &self.outbox) => Ok(()),
        }
    }

    fn subscribe(&self, id: u64, payload: &[u8]) -> Result<Feed, SessionError> {
        let subscribe = Subscribe::from_bytes(payload)
            .map_err(|problem| SessionError::Invalid { kind: Kind::Subscribe, problem })?;
        let feed = self.service.publisher.subscribe(&subscribe).ok_or(SessionError::TooManySubscribers)?;
        self.tell(Kind::Subscribed, id, b"");
        Ok(feed)
    }

    fn tell(&self, kind: Kind, id: u64, payload: &[u8]) {
        // Once the connection is closed nobody listens, and the reader is about to find out.
        let _ = self.outbox.push::<std::convert::Infallible>(Room::Any, Pace::Gathered, |out| {
            frame::write(out, Header::new(kind, id), payload);
            Ok(())
        });
    }
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

/// Moves news from the backlog to the connection as fast as that takes them; returns when there will be none.
async fn pump(feed: &Feed, outbox: &Outbox) {
    while outbox.room(NEWS_AHEAD_BYTES).await.is_ok()
        && let Some(frames) = feed.next().await
        && outbox.share(frames).is_ok()
    {}
}
