//! The endpoint's side of one connection: requests go to the service, answers and news come back.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::frame::{self, Frame, Frames, Header, Kind};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::news::{Next, Subscribe};
use meshzero_proto::refusal::Refusal;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::answers::Answers;
use crate::delivery::{self, Delivery};
use crate::describe;
use crate::inbound;
use crate::incoming::{Incoming, IncomingError};
use crate::outbox::{Outbox, Pace};
use crate::publisher::{Feed, Item};
use crate::service::Service;

/// News wait in the subscriber's backlog, where they can be dropped or replaced, until fewer bytes than this wait
/// for the socket.
const NEWS_AHEAD_BYTES: usize = 64 << 10;

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
    let outbox = Arc::new(Outbox::new(writer, service.limits.send_queue_bytes, &carrying));
    let max_reply = service.limits.message_bytes.min(hello.message_bytes as usize);
    let session = Session {
        answers: Arc::new(Answers::new(Arc::clone(&outbox), service.limits.requests_in_flight, max_reply)),
        incoming: Incoming::new(reader, service.limits.message_bytes, &carrying),
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

struct Session {
    service: Arc<Service>,
    outbox: Arc<Outbox>,
    answers: Arc<Answers>,
    incoming: Incoming,
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
            let Some(frames) = frames else { return Ok(()) };
            let arrived = Instant::now();
            let messages = self.look_through(&frames)?;
            self.deliver(frames, messages, arrived).await;
        }
    }

    /// Does what can be done without the service, and counts the messages for it. A request that was cancelled in the
    /// same breath is not handled.
    fn look_through(&self, frames: &[u8]) -> Result<usize, SessionError> {
        let mut messages = 0;
        for (header, payload) in Frames::new(frames) {
            match header.kind {
                Kind::Request => {
                    messages += 1;
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
        Ok(messages)
    }

    /// What to call a message type that the service does not have.
    fn unknown(&self, header: Header) -> Option<String> {
        match self.service.catalogue.entry(usize::from(header.slot)) {
            Some(_) => None,
            None => Some(format!("message type number {}", header.slot)),
        }
    }

    /// Hands messages to the service, as many at a time as that has room for. Until then nothing more is read, and the
    /// sender feels it.
    async fn deliver(&self, mut frames: Bytes, mut messages: usize, arrived: Instant) {
        while messages > 0 {
            let Some(permit) = self.service.permits(messages).await else {
                return self.refuse_all(&frames);
            };
            messages -= permit.num_permits();
            let rest = if messages == 0 {
                Bytes::new()
            } else {
                frames.split_off(end(&frames, permit.num_permits()))
            };
            self.service.deliver(Delivery::new(frames, arrived, Arc::clone(&self.answers), permit));
            frames = rest;
        }
    }

    fn refuse_all(&self, frames: &[u8]) {
        for (header, _) in Frames::new(frames) {
            if header.kind == Kind::Request && self.answers.owed.forget(header.id) {
                self.answers.refuse(header.id, &Refusal::Draining);
            }
        }
    }

    async fn news(mut self) -> Result<(), SessionError> {
        let filled = Arc::new(Notify::new());
        let mut subscription: Option<(u64, Arc<Feed>)> = None;
        loop {
            let pump = async {
                match &subscription {
                    Some((id, feed)) => pump(*id, feed, &filled, &self.outbox).await,
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                frame = self.incoming.next() => frame,
                () = pump => Ok(None),
            };
            let result = match frame {
                Ok(Some(Frame { header, payload })) => match header.kind {
                    Kind::Subscribe if subscription.is_some() => Err(SessionError::SecondSubscription),
                    Kind::Subscribe => self.subscribe(header.id, &payload, &filled).map(|feed| {
                        subscription = Some((header.id, feed));
                    }),
                    other => Err(SessionError::OutOfPlace(other)),
                },
                Ok(None) => break,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = result {
                self.unsubscribe(subscription.take());
                return Err(error);
            }
        }
        self.unsubscribe(subscription.take());
        Ok(())
    }

    fn subscribe(&self, id: u64, payload: &[u8], filled: &Arc<Notify>) -> Result<Arc<Feed>, SessionError> {
        let subscribe = Subscribe::from_bytes(payload)
            .map_err(|problem| SessionError::Invalid { kind: Kind::Subscribe, problem })?;
        let feed = self
            .service
            .publisher
            .subscribe(subscribe, Arc::clone(filled))
            .ok_or(SessionError::TooManySubscribers)?;
        self.tell(Kind::Subscribed, id, b"");
        Ok(feed)
    }

    fn unsubscribe(&self, subscription: Option<(u64, Arc<Feed>)>) {
        if let Some((_, feed)) = subscription {
            self.service.publisher.unsubscribe(&feed);
        }
    }

    fn tell(&self, kind: Kind, id: u64, payload: &[u8]) {
        // Once the connection is closed nobody listens, and the reader is about to find out.
        let _ = self.outbox.push::<std::convert::Infallible>(Pace::Gathered, |out| {
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
async fn pump(id: u64, feed: &Feed, filled: &Notify, outbox: &Outbox) {
    loop {
        if outbox.room(NEWS_AHEAD_BYTES).await.is_err() {
            return;
        }
        let Some(next) = feed.next() else {
            if feed.is_closed() {
                return;
            }
            filled.notified().await;
            continue;
        };
        let pushed = outbox.push::<std::convert::Infallible>(Pace::Gathered, |out| {
            match next {
                Next::Item(item) => write_item(out, id, &item),
                Next::Gap(count, reason) => {
                    let mut payload = count.to_le_bytes().to_vec();
                    payload.push(reason.to_byte());
                    frame::write(out, Header::new(Kind::Gap, id), &payload);
                }
            }
            Ok(())
        });
        if pushed.is_err() {
            return;
        }
    }
}

fn write_item(out: &mut Vec<u8>, id: u64, item: &Item) {
    let header = Header { flags: inbound::flags(item.encoding), ..Header::new(Kind::News, id) };
    let written = frame::write_with::<std::convert::Infallible>(out, header, |out| {
        out.push(u8::try_from(item.topic.len()).expect("a topic has at most 128 bytes"));
        out.extend_from_slice(item.topic.as_bytes());
        out.extend_from_slice(&item.bytes);
        Ok(0)
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}
