//! The subscriber's side of one subscription: a connection of its own to one publisher, or its feed in this process.
//!
//! One connection for each subscription lets TCP hold up the publisher's backlog for this subscriber and for no
//! other: there items are dropped or replaced as the subscriber chose.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use meshzero_proto::directory::Instance;
use meshzero_proto::frame::{self, Frame, Header, Kind};
use meshzero_proto::hello::Hello;
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::{GapReason, Next, Subscribe};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time;

use crate::arrivals::{Event, Sink};
use crate::dial;
use crate::inbound;
use crate::incoming::Incoming;
use crate::service::Service;
use crate::socket;
use crate::traffic::Carrying;

/// How long it may take to reach a publisher and have the subscription confirmed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a subscription does not stand.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The publisher cannot be reached.
    #[error(transparent)]
    Dial(#[from] dial::DialError),
    /// The connection ended before the subscription was confirmed.
    #[error("the publisher ended the connection{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Ended(Option<crate::incoming::IncomingError>),
    /// As many subscribe as the publisher allows.
    #[error("as many subscribe to it as may")]
    Full,
    /// It took too long.
    #[error("the publisher did not confirm in time")]
    TimedOut,
}

/// A subscription that the publisher has confirmed.
pub enum Feed {
    /// In this process.
    Local(Arc<Service>, Arc<crate::publisher::Feed>, Arc<Notify>),
    /// Over a connection.
    Remote(Incoming, tokio::net::tcp::OwnedWriteHalf),
}

impl Feed {
    /// Subscribes to a service of this process.
    ///
    /// # Errors
    /// [`FeedError::Full`].
    pub fn local(service: Arc<Service>, subscribe: Subscribe) -> Result<Self, FeedError> {
        let filled = Arc::new(Notify::new());
        let feed = service.publisher.subscribe(subscribe, Arc::clone(&filled)).ok_or(FeedError::Full)?;
        Ok(Self::Local(service, feed, filled))
    }

    /// Subscribes over a connection of its own and waits for the publisher's word.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn remote(
        instance: &Instance,
        hello: &Hello,
        subscribe: &Subscribe,
        carrying: &Carrying,
    ) -> Result<Self, FeedError> {
        time::timeout(PATIENCE, connect(instance, hello, subscribe, carrying))
            .await
            .unwrap_or(Err(FeedError::TimedOut))
    }

    /// Passes events on until the publisher is gone (which is passed on as well) or nobody takes them any more.
    pub async fn run(self, from: &ServiceName, sink: &Sink) {
        match self {
            Self::Local(service, feed, filled) => {
                tokio::select! {
                    () = run_local(&feed, &filled, from, sink) => {}
                    () = sink.closed() => {}
                }
                service.publisher.unsubscribe(&feed);
            }
            Self::Remote(incoming, writer) => {
                tokio::select! {
                    () = run_remote(incoming, from, sink) => {}
                    () = sink.closed() => {}
                }
                drop(writer);
            }
        }
        // Nobody to tell where this fails.
        let _ = sink.send(from, Event::Lost).await;
    }
}

async fn connect(
    instance: &Instance,
    hello: &Hello,
    subscribe: &Subscribe,
    carrying: &Carrying,
) -> Result<Feed, FeedError> {
    let dialled = dial::dial(&instance.addresses, hello, PATIENCE).await?;
    let ended = |error: std::io::Error| FeedError::Ended(Some(error.into()));
    socket::prepare(&dialled.stream, carrying.limits.keep_alive).map_err(ended)?;
    let (reader, mut writer) = dialled.stream.into_split();
    let mut ask = Vec::new();
    frame::write(&mut ask, Header::new(Kind::Subscribe, 1), &subscribe.to_bytes());
    writer.write_all(&ask).await.map_err(ended)?;
    let mut incoming = Incoming::new(reader, carrying.limits.message_bytes, carrying);
    loop {
        match incoming.next().await {
            Ok(Some(Frame { header: Header { kind: Kind::Subscribed, .. }, .. })) => {
                return Ok(Feed::Remote(incoming, writer));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(FeedError::Ended(None)),
            Err(error) => return Err(FeedError::Ended(Some(error))),
        }
    }
}

async fn run_local(feed: &crate::publisher::Feed, filled: &Notify, from: &ServiceName, sink: &Sink) {
    loop {
        let Some(next) = feed.next() else {
            if feed.is_closed() {
                return;
            }
            filled.notified().await;
            continue;
        };
        let event = match next {
            Next::Item(item) => Event::Item { topic: item.topic, encoding: item.encoding, bytes: item.bytes },
            Next::Gap(count, reason) => Event::Gap(count, reason),
        };
        if sink.send(from, event).await.is_err() {
            return;
        }
    }
}

async fn run_remote(mut incoming: Incoming, from: &ServiceName, sink: &Sink) {
    loop {
        let frame = match incoming.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%from, %error, "a subscription was lost"),
        };
        let event = match frame.header.kind {
            Kind::News => item(frame),
            Kind::Gap => gap(frame.payload),
            // Nothing else belongs here, and nothing else is worth losing the news for.
            _ => continue,
        };
        let Some(event) = event else { return tracing::warn!(%from, "a publisher broke the protocol") };
        if sink.send(from, event).await.is_err() {
            return;
        }
    }
}

fn item(Frame { header, mut payload }: Frame) -> Option<Event> {
    let length = usize::from(payload.try_get_u8().ok()?);
    if payload.len() < length {
        return None;
    }
    let topic = payload.split_to(length);
    let topic = Topic::new(std::str::from_utf8(&topic).ok()?).ok()?;
    Some(Event::Item { topic, encoding: inbound::encoding(header.flags, frame::BINCODE), bytes: payload })
}

fn gap(mut payload: Bytes) -> Option<Event> {
    let count = payload.try_get_u64_le().ok()?;
    Some(Event::Gap(count, GapReason::from_byte(payload.try_get_u8().ok()?)?))
}
