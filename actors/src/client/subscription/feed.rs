//! The subscriber's side of one subscription: a connection of its own to one publisher, or its feed in this process.
//!
//! A link for each subscription lets TCP hold up the publisher's backlog for this subscriber and for no
//! other: there items are dropped or replaced as the subscriber chose.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::name::ServiceName;
use meshzero_proto::news::Subscribe;
use meshzero_proto::stream::stall::Expects;
use meshzero_proto::wire::frame::{self, Frames, Header};
use meshzero_proto::wire::hello::Hello;
use tokio::sync::watch;
use tokio::time;

use crate::client::link::watchdog::{Watchdog, Watched};
use crate::client::subscription::queue::Sink;
use crate::client::subscription::stats::{FeedLink, Subscribed};
use crate::link::config::Carrying;
use crate::link::dial;
use crate::link::progress::Progress;
use crate::link::reader::{Incoming, IncomingError};
use crate::link::reconnect::Redial;
use crate::link::run::{Carried, Conversation, Onward, Stop, Way, Wrong, carry, keep_up};
use crate::link::send_queue::{Outbox, Pace, Room};
use crate::link::trail::Record;
use crate::net::connection::Connection;
use crate::runtime::clock;
use crate::server::publisher;
use crate::server::publisher::encoded::whole;
use crate::server::service::Service;

/// How long it may take to reach a publisher and have the subscription confirmed.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a publisher that may be waiting for this subscriber hears that it goes on. Otherwise it would hear of it by what
/// the connection takes, which for small items is so much at a time that a slow subscriber would be taken for one that has
/// stopped.
const SIGN_OF_LIFE: Duration = Duration::from_millis(200);

/// Why a subscription does not stand.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The publisher cannot be reached.
    #[error(transparent)]
    Dial(#[from] dial::DialError),
    /// The connection ended before the subscription was confirmed.
    #[error("the publisher ended the connection{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Ended(Option<IncomingError>),
    /// As many subscribe as the publisher allows.
    #[error("as many subscribe to it as may")]
    Full,
    /// It took too long.
    #[error("the publisher did not confirm in time")]
    TimedOut,
}

impl FeedError {
    /// Whether another try may succeed in a moment, at this publisher or at one that takes its place.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Dial(error) => error.may_pass(),
            Self::Ended(_) | Self::TimedOut => true,
            Self::Full => false,
        }
    }
}

/// A subscription that the publisher has confirmed.
pub struct Feed(Kind);

enum Kind {
    /// In this process.
    Local(publisher::Feed),
    /// Over a link.
    Remote(Box<Remote>),
}

/// A subscription over a link.
struct Remote {
    incoming: Incoming,
    link: Arc<FeedLink>,
    redial: Redial,
    watchdog: Watchdog,
    /// Whether the publisher may be waiting for this subscriber.
    is_waited_for: bool,
}

impl Feed {
    /// Subscribes to a service of this process.
    ///
    /// # Errors
    /// [`FeedError::Full`].
    pub fn local(service: &Service, subscribe: &Subscribe) -> Result<Self, FeedError> {
        let feed = service.publisher.subscribe(subscribe).ok_or(FeedError::Full)?;
        Ok(Self(Kind::Local(feed)))
    }

    /// Subscribes over a link of its own to an instance that discovery tells of by `listed`, waits for the publisher's word,
    /// and notes the link as one of `subscribed`.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn remote(
        instance: &Instance,
        listed: Option<watch::Receiver<Option<Instance>>>,
        hello: &Hello,
        subscribe: &Subscribe,
        carrying: &Carrying,
        subscribed: &Subscribed,
    ) -> Result<Self, FeedError> {
        let opening = Remote::open(instance, listed, hello, subscribe, carrying);
        let remote = time::timeout(PATIENCE, opening).await.unwrap_or(Err(FeedError::TimedOut))?;
        subscribed.add(&remote.link);
        Ok(Self(Kind::Remote(Box::new(remote))))
    }

    /// Passes events on until the publisher is gone (which is passed on as well) or nobody takes them any more.
    pub async fn run(self, from: &ServiceName, sink: &Sink) {
        tokio::select! {
            biased;
            () = self.pass_on(from, sink) => {}
            () = sink.closed() => {}
        }
        // Nobody to tell where this fails.
        let _ = sink.lost(from).await;
    }

    async fn pass_on(self, from: &ServiceName, sink: &Sink) {
        match self.0 {
            Kind::Local(feed) => {
                let passed_on = Arc::new(AtomicU64::new(0));
                let progress = Arc::clone(&passed_on);
                feed.watch(move || progress.load(Ordering::Relaxed));
                while let Some(frames) = feed.next().await {
                    for mut frames in whole(frames) {
                        if sink.send(from, &mut frames).await.is_err() {
                            return;
                        }
                        passed_on.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Kind::Remote(remote) => remote.pass_on(from, sink).await,
        }
    }
}

impl Remote {
    async fn open(
        instance: &Instance,
        listed: Option<watch::Receiver<Option<Instance>>>,
        hello: &Hello,
        subscribe: &Subscribe,
        carrying: &Carrying,
    ) -> Result<Self, FeedError> {
        let (network, addresses) = (&carrying.network, &instance.addresses);
        let record = Record::default();
        let dialling = dial::dial_listed(network, addresses, listed.clone(), hello, PATIENCE, &record);
        let dialled = dialling.await?;
        let redial = Redial::new(hello, &dialled, listed, carrying);
        let round_trip = dialled.round_trip;
        let ended = |error: IncomingError| FeedError::Ended(Some(error));
        dialled.connection.keep_alive(carrying.limits.keep_alive);
        let Connection { reader, writer } = dialled.connection;
        let outbox = carrying.outbox(writer);
        let mut incoming = Incoming::new(reader, carrying.limits.message_bytes, carrying);
        let asked = outbox.push::<Infallible>(Room::Any, Pace::AtOnce, |out| {
            frame::write(out, Header::new(frame::Kind::Subscribe, 1), &subscribe.to_bytes());
            Ok(())
        });
        if asked.is_err() {
            return Err(FeedError::Ended(None));
        }
        loop {
            let next = tokio::select! {
                biased;
                next = incoming.next() => next.map_err(ended)?,
                written = outbox.keep_writing() => {
                    return Err(FeedError::Ended(written.err().map(IncomingError::from)));
                }
            };
            match next {
                Some(frame) if frame.header.kind == frame::Kind::Subscribed => {
                    let is_waited_for = subscribe.policy.is_waited_for();
                    let link = Arc::new(FeedLink::new(outbox, dialled.welcome.node, dialled.address));
                    let watchdog = Watchdog::new(incoming.progress(), round_trip, carrying);
                    return Ok(Self { incoming, link, redial, watchdog, is_waited_for });
                }
                Some(_) => {}
                None => return Err(FeedError::Ended(None)),
            }
        }
    }

    async fn pass_on(self, from: &ServiceName, sink: &Sink) {
        let Self { incoming, link, redial, watchdog, is_waited_for } = self;
        let link = Parting(link);
        let outbox = &link.0.outbox;
        let progress = Arc::clone(incoming.progress());
        let mut passing = Passing {
            incoming,
            outbox,
            from,
            sink,
            arrived: Bytes::new(),
            is_over: false,
            told: is_waited_for.then(clock::now),
        };
        let listening = Listening { link: &link.0, progress };
        match carry(&mut passing, outbox, &mut Moving { listening, redial, watchdog }).await {
            Carried::Over => {}
            Carried::Lost(why) => tracing::debug!(%from, %why, "a subscription was lost"),
            Carried::Broken(error) => tracing::warn!(%from, %error, "a subscription was given up"),
        }
    }
}

/// Says goodbye when nobody listens any more, so that the publisher keeps nothing for this subscription.
struct Parting(Arc<FeedLink>);

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.outbox.close();
    }
}

/// Where connections come from, and where the one of the moment leads to.
struct Moving<'a> {
    listening: Listening<'a>,
    redial: Redial,
    watchdog: Watchdog,
}

/// The link as its watchdog sees it.
struct Listening<'a> {
    link: &'a FeedLink,
    progress: Arc<Progress>,
}

impl Watched for Listening<'_> {
    fn outbox(&self) -> &Outbox {
        &self.link.outbox
    }

    /// News, unless the subscriber is too slow to take more of them.
    fn expects(&self) -> Expects {
        if self.progress.is_reading() { Expects::News } else { Expects::Nothing }
    }
}

impl Way for Moving<'_> {
    async fn watch(&mut self) {
        self.watchdog.watch(&self.listening, &mut self.redial).await;
    }

    async fn next(&mut self, received: u64) -> Result<Onward, String> {
        let next = self.redial.next(received).await?;
        self.listening.link.moved(self.redial.address());
        Ok(next)
    }
}

/// News on their way from a link to the subscriber.
struct Passing<'a> {
    incoming: Incoming,
    outbox: &'a Outbox,
    from: &'a ServiceName,
    sink: &'a Sink,
    /// What has arrived and was not passed on yet.
    arrived: Bytes,
    is_over: bool,
    /// When the publisher was last told how much has been passed on, if it may be waiting.
    told: Option<Instant>,
}

impl Passing<'_> {
    /// Tells the publisher now and then how much has been passed on.
    fn tell(&mut self) {
        if let Some(told) = &mut self.told
            && clock::now() - *told >= SIGN_OF_LIFE
        {
            *told = clock::now();
            self.outbox.tell_received(self.incoming.received().tell_now());
        }
    }
}

impl Conversation for Passing<'_> {
    type Error = Wrong;
    const LINGERS: bool = false;

    fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), Stop<Wrong>> {
        loop {
            if self.sink.send(self.from, &mut self.arrived).await.is_err() || self.is_over {
                return Ok(());
            }
            self.tell();
            let (frames, contents) = self.incoming.batch(self.outbox).await?;
            if contents.upkeep > 0 {
                for (header, _) in Frames::new(&frames) {
                    self.is_over |= keep_up(header, &mut self.incoming, self.outbox)?;
                }
            }
            self.arrived = frames;
        }
    }
}
