//! The subscriber's side of one subscription: a connection of its own to one publisher, or its feed in this process.
//!
//! With a link of its own for each subscription, TCP holds back the publisher's backlog for this subscriber alone:
//! there, items are dropped or replaced according to the subscriber's policy.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::name::ServiceName;
use meshzero_proto::news::Subscribe;
use meshzero_proto::stream::stall::Expectation;
use meshzero_proto::wire::frame::{self, Frames, Header};
use meshzero_proto::wire::hello::{Hello, Welcome};
use tokio::sync::watch;
use tokio::time;

use crate::client::link::watchdog::{Watchdog, WatchedLink};
use crate::client::subscription::queue::EventSink;
use crate::client::subscription::stats::{FeedLink, SubscriptionCounters};
use crate::link::attempt_record::AttemptRecord;
use crate::link::config::LinkConfig;
use crate::link::dial;
use crate::link::progress::ReceiveCounters;
use crate::link::reader::{FrameReader, FrameReaderError};
use crate::link::reconnect::Reconnector;
use crate::link::run::{
    ConnectionSource, LinkEnd, LinkProtocol, NextConnection, PeerError, ReadEnd, handle_control_frame,
    run_link,
};
use crate::link::send_queue::{Flush, SendQueue, SpaceNeeded};
use crate::net::connection::Connection;
use crate::runtime::clock;
use crate::server::publisher;
use crate::server::publisher::encoded::whole_frames;
use crate::server::service::Service;

/// The timeout of connecting to a publisher and having the subscription confirmed.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The interval at which a publisher that may be waiting for this subscriber is sent an acknowledgement. Otherwise it
/// would see progress only in what the connection accepts, which for small items comes in such large steps that a slow
/// subscriber would be mistaken for one that has stopped.
const ACK_INTERVAL: Duration = Duration::from_millis(200);

/// The reason why a subscription was not established.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The publisher cannot be reached.
    #[error(transparent)]
    Dial(#[from] dial::DialError),
    /// The connection ended before the subscription was confirmed.
    #[error("the publisher ended the connection{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Ended(Option<FrameReaderError>),
    /// The publisher has reached its subscription limit.
    #[error("the publisher has reached its subscription limit")]
    Full,
    /// The confirmation took too long.
    #[error("the publisher did not confirm in time")]
    TimedOut,
}

impl FeedError {
    /// Returns whether another attempt may succeed soon, at this publisher or at one that replaces it.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Ended(_) | Self::TimedOut => true,
            Self::Full => false,
        }
    }
}

/// A subscription that the publisher has confirmed.
pub(crate) struct Feed(FeedSource);

enum FeedSource {
    /// A feed in this process.
    Local(publisher::SubscriberStream),
    /// A feed over a link.
    Remote(Box<RemoteFeed>),
}

/// A subscription over a link.
struct RemoteFeed {
    incoming: FrameReader,
    link: CloseOnDrop,
    reconnector: Reconnector,
    watchdog: Watchdog,
    /// Set if the publisher may be waiting for this subscriber.
    publisher_waits: bool,
}

impl Feed {
    /// Subscribes to a service of this process.
    ///
    /// # Errors
    /// [`FeedError::Full`].
    pub(crate) fn local(service: &Service, subscribe: &Subscribe) -> Result<Self, FeedError> {
        let feed = service.publisher.subscribe(subscribe).ok_or(FeedError::Full)?;
        Ok(Self(FeedSource::Local(feed)))
    }

    /// Subscribes over a link of its own to an instance, whose address updates come from `updates`, waits for the
    /// publisher's confirmation, and adds the link to those of `counters`.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(crate) async fn remote(
        instance: &Instance,
        updates: Option<watch::Receiver<Option<Instance>>>,
        hello: &Hello,
        subscribe: &Subscribe,
        link_config: &LinkConfig,
        counters: &SubscriptionCounters,
    ) -> Result<Self, FeedError> {
        let open = RemoteFeed::open(instance, updates, hello, subscribe, link_config);
        let remote = time::timeout(SUBSCRIBE_TIMEOUT, open).await.unwrap_or(Err(FeedError::TimedOut))?;
        counters.add(&remote.link.0);
        Ok(Self(FeedSource::Remote(Box::new(remote))))
    }

    /// Passes events on until the publisher is gone, which is an event as well, or the subscription has ended.
    pub(crate) async fn run(self, from: &ServiceName, sink: &EventSink) {
        tokio::select! {
            biased;
            () = self.pass_on(from, sink) => {}
            () = sink.closed() => {}
        }
        // Fails if the subscription has ended.
        let _ = sink.send_lost(from).await;
    }

    async fn pass_on(self, from: &ServiceName, sink: &EventSink) {
        match self.0 {
            FeedSource::Local(feed) => {
                let items_taken = Arc::new(AtomicU64::new(0));
                let progress = Arc::clone(&items_taken);
                feed.watch(move || progress.load(Ordering::Relaxed));
                while let Some(frames) = feed.next().await {
                    for mut frames in whole_frames(frames) {
                        if sink.send(from, &mut frames).await.is_err() {
                            return;
                        }
                        items_taken.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            FeedSource::Remote(remote) => remote.pass_on(from, sink).await,
        }
    }
}

impl RemoteFeed {
    async fn open(
        instance: &Instance,
        updates: Option<watch::Receiver<Option<Instance>>>,
        hello: &Hello,
        subscribe: &Subscribe,
        link_config: &LinkConfig,
    ) -> Result<Self, FeedError> {
        let (network, addresses) = (&link_config.network, &instance.addresses);
        let record = AttemptRecord::default();
        let dial = dial::dial_listed(network, addresses, updates.clone(), hello, SUBSCRIBE_TIMEOUT, &record);
        let handshaken = dial.await?;
        let reconnector = Reconnector::new(hello, &handshaken, updates, link_config);
        let round_trip = handshaken.round_trip;
        let to_error = |error: FrameReaderError| FeedError::Ended(Some(error));
        let connection = handshaken.connection.into_used();
        connection.keep_alive(link_config.limits.keep_alive);
        let Connection { reader, writer } = connection;
        let Welcome { node, .. } = handshaken.welcome;
        let link = FeedLink::new(link_config.send_queue(writer), node, handshaken.address);
        let link = CloseOnDrop(Arc::new(link));
        let send_queue = &link.0.send_queue;
        let mut incoming = FrameReader::new(reader, link_config.limits.message_bytes, link_config);
        let sent = send_queue.push::<Infallible>(SpaceNeeded::Any, Flush::Now, |out| {
            frame::write(out, Header::new(frame::FrameKind::Subscribe, 1), &subscribe.to_bytes());
            Ok(())
        });
        if sent.is_err() {
            return Err(FeedError::Ended(None));
        }
        loop {
            let next = tokio::select! {
                biased;
                next = incoming.next() => next.map_err(to_error)?,
                written = send_queue.run_flush() => {
                    return Err(FeedError::Ended(written.err().map(FrameReaderError::from)));
                }
            };
            match next {
                Some(frame) if frame.header.kind == frame::FrameKind::Subscribed => {
                    let publisher_waits = subscribe.policy.is_waited_for();
                    let watchdog = Watchdog::new(incoming.progress(), round_trip, link_config);
                    return Ok(Self { incoming, link, reconnector, watchdog, publisher_waits });
                }
                Some(_) => {}
                None => return Err(FeedError::Ended(None)),
            }
        }
    }

    async fn pass_on(self, from: &ServiceName, sink: &EventSink) {
        let Self { incoming, link, reconnector, watchdog, publisher_waits } = self;
        let send_queue = &link.0.send_queue;
        let progress = Arc::clone(incoming.progress());
        let mut reader = FeedReader {
            incoming,
            send_queue,
            from,
            sink,
            frames: Bytes::new(),
            is_over: false,
            last_ack: publisher_waits.then(clock::now),
        };
        let watched = WatchedFeed { link: &link.0, progress };
        match run_link(&mut reader, send_queue, &mut FeedReconnect { watched, reconnector, watchdog }).await {
            LinkEnd::Over => {}
            LinkEnd::Lost(reason) => tracing::debug!(%from, %reason, "a subscription was lost"),
            LinkEnd::Broken(error) => tracing::warn!(%from, %error, "a subscription was given up"),
        }
    }
}

/// Closes the link when the subscription ends, so that the publisher frees its backlog.
struct CloseOnDrop(Arc<FeedLink>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.send_queue.close();
    }
}

/// The source of new connections, and the current connection's watchdog.
struct FeedReconnect<'a> {
    watched: WatchedFeed<'a>,
    reconnector: Reconnector,
    watchdog: Watchdog,
}

/// The link as its watchdog sees it.
struct WatchedFeed<'a> {
    link: &'a FeedLink,
    progress: Arc<ReceiveCounters>,
}

impl WatchedLink for WatchedFeed<'_> {
    fn send_queue(&self) -> &SendQueue {
        &self.link.send_queue
    }

    /// Expects items, unless the subscriber is too slow to take more.
    fn expects(&self) -> Expectation {
        if self.progress.is_reading() { Expectation::News } else { Expectation::Nothing }
    }
}

impl ConnectionSource for FeedReconnect<'_> {
    async fn watch(&mut self) {
        self.watchdog.watch(&self.watched, &mut self.reconnector).await;
    }

    async fn next(&mut self, received: u64) -> Result<NextConnection, String> {
        let next = self.reconnector.next(received).await?;
        self.watched.link.set_address(self.reconnector.address());
        Ok(next)
    }
}

/// The reader that passes items from a link to the subscriber.
struct FeedReader<'a> {
    incoming: FrameReader,
    send_queue: &'a SendQueue,
    from: &'a ServiceName,
    sink: &'a EventSink,
    /// The frames that have arrived and not been passed on yet.
    frames: Bytes,
    is_over: bool,
    /// The time of the last acknowledgement, if the publisher may be waiting.
    last_ack: Option<Instant>,
}

impl FeedReader<'_> {
    /// Acknowledges the items that have been passed on, if the interval is over.
    fn acknowledge(&mut self) {
        if let Some(last_ack) = &mut self.last_ack
            && clock::now() - *last_ack >= ACK_INTERVAL
        {
            *last_ack = clock::now();
            self.send_queue.send_ack(self.incoming.received().take_ack_now());
        }
    }
}

impl LinkProtocol for FeedReader<'_> {
    type Error = PeerError;
    const WAITS_FOR_PEER: bool = false;

    fn incoming(&mut self) -> &mut FrameReader {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), ReadEnd<PeerError>> {
        loop {
            if self.sink.send(self.from, &mut self.frames).await.is_err() || self.is_over {
                return Ok(());
            }
            self.acknowledge();
            let (frames, contents) = self.incoming.read_batch(self.send_queue).await?;
            if contents.keep_alives > 0 {
                for (header, _) in Frames::new(&frames) {
                    self.is_over |= handle_control_frame(header, &mut self.incoming, self.send_queue)?;
                }
            }
            self.frames = frames;
        }
    }
}
