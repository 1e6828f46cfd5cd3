//! The session of a link for one subscription, and the items that are published for it.

use std::sync::Arc;

use meshzero_proto::news::{Keep, Subscribe};
use meshzero_proto::wire::frame::{Frame, FrameKind, Header};

use super::{SessionError, send_frame};
use crate::link::reader::FrameReader;
use crate::link::run::{LinkProtocol, ReadEnd, handle_control_frame};
use crate::link::send_queue::SendQueue;
use crate::server::publisher::SubscriberStream;
use crate::server::service::Service;

/// The number of unsent bytes from which on items wait in the subscriber's backlog, where they can be dropped or
/// replaced.
const AHEAD_BYTES: usize = 64 << 10;

/// The session of a link for one subscription.
pub(super) struct SubscriptionSession {
    service: Arc<Service>,
    send_queue: Arc<SendQueue>,
    incoming: FrameReader,
    /// The stream of items for the client, once it has subscribed.
    feed: Option<SubscriberStream>,
}

impl SubscriptionSession {
    /// A session with a client that has not subscribed yet.
    pub(super) fn new(service: Arc<Service>, incoming: FrameReader, send_queue: &Arc<SendQueue>) -> Self {
        Self { service, send_queue: Arc::clone(send_queue), incoming, feed: None }
    }

    /// Ends the subscription.
    pub(super) fn into_incoming(self) -> FrameReader {
        self.incoming
    }

    fn subscribe(&self, id: u64, payload: &[u8]) -> Result<SubscriberStream, SessionError> {
        let subscribe = Subscribe::from_bytes(payload)
            .map_err(|problem| SessionError::Invalid { kind: FrameKind::Subscribe, problem })?;
        let feed = self.service.publisher.subscribe(&subscribe).ok_or(SessionError::TooManySubscribers)?;
        let send_queue = Arc::clone(&self.send_queue);
        feed.watch(move || send_queue.acknowledged());
        if let Keep::Last { items } = subscribe.policy.limited_by(self.service.limits()).keep {
            self.send_queue.keep_newest(items);
        }
        send_frame(&self.send_queue, FrameKind::Subscribed, id, b"");
        Ok(feed)
    }

    /// Handles a frame, and returns whether it ends the subscription.
    fn on_frame(&mut self, frame: Frame) -> Result<bool, SessionError> {
        let Frame { header: Header { kind, id, .. }, payload } = frame;
        match kind {
            FrameKind::Subscribe if self.feed.is_none() => self.feed = Some(self.subscribe(id, &payload)?),
            FrameKind::Subscribe => return Err(SessionError::SecondSubscription),
            kind if kind.is_keep_alive() => {
                return Ok(handle_control_frame(frame.header, &mut self.incoming, &self.send_queue)?);
            }
            other => return Err(SessionError::UnexpectedFrame(other)),
        }
        Ok(false)
    }
}

impl LinkProtocol for SubscriptionSession {
    type Error = SessionError;
    const WAITS_FOR_PEER: bool = false;

    fn incoming(&mut self) -> &mut FrameReader {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), ReadEnd<SessionError>> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.incoming.next() => frame?,
                () = pump(self.feed.as_ref(), &self.send_queue) => return Ok(()),
            };
            let Some(frame) = frame else {
                return Err(ReadEnd::Lost(std::io::ErrorKind::UnexpectedEof.into()));
            };
            if self.on_frame(frame).map_err(ReadEnd::Broken)? {
                return Ok(());
            }
        }
    }
}

/// Moves items from the backlog to the connection as fast as that accepts them; returns when there will be no more.
async fn pump(feed: Option<&SubscriberStream>, send_queue: &SendQueue) {
    let Some(feed) = feed else { return std::future::pending().await };
    while send_queue.room(AHEAD_BYTES).await.is_ok()
        && let Some(frames) = feed.next().await
        && send_queue.share(frames).is_ok()
    {}
}
