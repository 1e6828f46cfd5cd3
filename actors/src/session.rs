//! The endpoint's side of one connection: requests go to the service, answers and news come back.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use meshzero_proto::frame::{self, Frame, Header, Kind};
use meshzero_proto::hello::{Hello, Purpose};
use meshzero_proto::news::{Next, Subscribe};
use meshzero_proto::refusal::Refusal;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::describe;
use crate::inbound::{self, Answers, Inbound, ReplyTo};
use crate::incoming::{Incoming, IncomingError};
use crate::outbox::Outbox;
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
    let (reader, mut writer) = stream.into_split();
    let outbox = Arc::new(Outbox::new(service.limits.send_queue_bytes));
    let max_reply = service.limits.message_bytes.min(hello.message_bytes as usize);
    let session = Session {
        answers: Arc::new(Answers::new(Arc::clone(&outbox), service.limits.requests_in_flight, max_reply)),
        incoming: Incoming::new(reader, service.limits.message_bytes),
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
        let written = outbox.write_to(&mut writer).await;
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
            let frame = tokio::select! {
                biased;
                frame = self.incoming.next() => frame?,
                // What has been answered is still written.
                () = self.service.closed() => return Ok(()),
            };
            let Some(Frame { header, payload }) = frame else { return Ok(()) };
            match header.kind {
                Kind::Request => self.request(header, payload).await?,
                Kind::Tell => self.deliver(header, payload, None, None).await,
                Kind::Cancel => drop(self.answers.forget(header.id)),
                Kind::Describe => {
                    self.tell(Kind::Reply, header.id, &describe::describe(&self.service).to_bytes())
                }
                other => return Err(SessionError::OutOfPlace(other)),
            }
        }
    }

    async fn request(&self, header: Header, mut payload: Bytes) -> Result<(), SessionError> {
        let within = payload
            .try_get_u32_le()
            .map_err(|error| SessionError::Invalid { kind: Kind::Request, problem: error.to_string() })?;
        let deadline = (within > 0).then(|| Instant::now() + Duration::from_millis(within.into()));
        if !self.answers.owe(header.id) {
            self.answers.refuse(header.id, &Refusal::Busy);
            return Ok(());
        }
        let preferred = inbound::encoding(header.flags, frame::REPLY_BINCODE);
        let reply = ReplyTo::wire(Arc::clone(&self.answers), header.id, preferred);
        self.deliver(header, payload, Some(reply), deadline).await;
        Ok(())
    }

    /// Hands a message to the service, when that has room for it. Until then nothing more is read, and the sender
    /// feels it.
    async fn deliver(
        &self,
        header: Header,
        payload: Bytes,
        reply: Option<ReplyTo>,
        deadline: Option<Instant>,
    ) {
        let slot = usize::from(header.slot);
        if self.service.catalogue.entry(slot).is_none() {
            let message = format!("message type number {slot}");
            match reply {
                Some(reply) => reply.refuse(Refusal::NoHandler { message, handles: self.service.handles() }),
                None => tracing::warn!(%message, "dropped a message that nothing handles"),
            }
            return;
        }
        let Some(permit) = self.service.permit().await else {
            if let Some(reply) = reply {
                reply.refuse(Refusal::Draining);
            }
            return;
        };
        let encoding = inbound::encoding(header.flags, frame::BINCODE);
        self.service.deliver(slot, Inbound { payload, encoding, reply, deadline, permit });
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
        let _ = self.outbox.push::<std::convert::Infallible>(|out| {
            frame::write(out, Header::new(kind, id), payload);
            Ok(())
        });
    }
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
        let pushed = outbox.push::<std::convert::Infallible>(|out| {
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
