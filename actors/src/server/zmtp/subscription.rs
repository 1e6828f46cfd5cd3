//! A SUB socket at an endpoint: items of its topics are sent as two frames, the topic and its JSON. Bytes are sent as
//! they are.
//!
//! Items are filtered here, not at the publisher, so that they keep their order however many prefixes there are and
//! however they change. A socket that is too slow loses the oldest items, as every subscriber by default; ZMTP has no
//! way to report how many.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use meshzero_proto::codec::{self, DecodeLimits, Encoding, Json};
use meshzero_proto::name::Topic;
use meshzero_proto::news::{self, Policy, Subscribe};
use meshzero_proto::wire::frame::{FrameKind, Frames};
use meshzero_proto::zmtp::{self, ZmtpEvent};

use super::{ZmtpConnection, ZmtpConnectionError, is_disconnect};
use crate::server::publisher::SubscriberStream;
use crate::server::publisher::encoded::whole_frames;
use crate::server::service::Service;

/// The session of a socket that subscribes.
struct ZmtpSubscriptionSession<'a> {
    connection: ZmtpConnection,
    service: &'a Service,
    limits: DecodeLimits,
    prefixes: HashSet<Bytes>,
    /// The items of the publisher, once the socket has subscribed to anything.
    feed: Option<SubscriberStream>,
    /// The number of bytes that have been written.
    written: Arc<AtomicU64>,
}

/// Serves a socket until it leaves or the service has closed.
pub(super) async fn serve(connection: ZmtpConnection, service: &Service) -> Result<(), ZmtpConnectionError> {
    let mut session = ZmtpSubscriptionSession {
        connection,
        service,
        limits: DecodeLimits::untyped(service.limits()),
        prefixes: HashSet::new(),
        feed: None,
        written: Arc::default(),
    };
    match session.run().await {
        Err(error) if is_disconnect(&error) => Ok(()),
        ended => ended,
    }
}

impl ZmtpSubscriptionSession<'_> {
    async fn run(&mut self) -> Result<(), ZmtpConnectionError> {
        loop {
            let Self { connection: ZmtpConnection { reader, writer }, service, feed, .. } = self;
            let has_room = writer.has_room();
            let is_over = tokio::select! {
                biased;
                written = writer.flush() => {
                    written?;
                    self.written.store(writer.total(), Ordering::Relaxed);
                    false
                }
                event = reader.next(), if has_room => {
                    self.on_event(event?)?;
                    false
                }
                frames = published(feed.as_ref()), if has_room => match frames {
                    Some(frames) => {
                        self.pass_on(frames);
                        false
                    }
                    None => true,
                },
                () = service.closed(), if feed.is_none() => true,
            };
            if is_over {
                return self.connection.writer.flush_all().await;
            }
        }
    }

    fn on_event(&mut self, event: ZmtpEvent) -> Result<(), ZmtpConnectionError> {
        match event {
            ZmtpEvent::Subscribe(prefix) => {
                let max_prefixes = self.service.limits().subscriptions;
                // A copy, and not a slice of the buffer that arrived with it.
                self.prefixes.insert(Bytes::copy_from_slice(&prefix));
                if self.prefixes.len() > max_prefixes {
                    return Err(ZmtpConnectionError::TooManyPrefixes(max_prefixes));
                }
                self.start()?;
            }
            ZmtpEvent::Cancel(prefix) => {
                self.prefixes.remove(&prefix);
            }
            ZmtpEvent::Ping(context) => self.connection.writer.pong(&context),
            // Other events mean nothing from a subscribing socket.
            ZmtpEvent::Message(_) | ZmtpEvent::Ready { .. } => {}
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), ZmtpConnectionError> {
        if self.feed.is_none() {
            let prefix = Topic::new("").expect("the empty topic is one");
            let all = Subscribe { prefix, fingerprint: None, policy: Policy::default() };
            let feed =
                self.service.publisher.subscribe(&all).ok_or(ZmtpConnectionError::TooManySubscribers)?;
            let written = Arc::clone(&self.written);
            feed.watch(move || written.load(Ordering::Relaxed));
            self.feed = Some(feed);
        }
        Ok(())
    }

    fn pass_on(&mut self, frames: Vec<Bytes>) {
        for frames in whole_frames(frames) {
            for (header, payload) in Frames::new(&frames) {
                if let Some((topic, item)) = news::read_item(payload)
                    && header.kind == FrameKind::News
                    && self.prefixes.iter().any(|prefix| topic.starts_with(prefix))
                {
                    self.send(topic, item);
                }
            }
        }
    }

    fn send(&mut self, topic: &[u8], item: &[u8]) {
        let out = self.connection.writer.buffer();
        if let Some(bytes) = codec::whole_bytes(item) {
            return zmtp::write_message(out, [topic, bytes]);
        }
        match codec::decode::<Json>(item, Encoding::MessagePack, &self.limits) {
            Ok(json) => zmtp::write_message(out, [topic, json.text()]),
            Err(error) => {
                tracing::warn!(%error, "an item that JSON cannot represent was not sent to a SUB socket")
            }
        }
    }
}

/// Waits for the next items; waits forever if the socket has subscribed to nothing.
async fn published(feed: Option<&SubscriberStream>) -> Option<Vec<Bytes>> {
    match feed {
        Some(feed) => feed.next().await,
        None => std::future::pending().await,
    }
}
