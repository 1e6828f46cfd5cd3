//! The subscriber's side of one subscription: a connection of its own to one publisher, or its feed in this process.
//!
//! One connection for each subscription lets TCP hold up the publisher's backlog for this subscriber and for no
//! other: there items are dropped or replaced as the subscriber chose.

use std::time::Duration;

use meshzero_proto::directory::Instance;
use meshzero_proto::frame::{self, Frame, Header, Kind};
use meshzero_proto::hello::Hello;
use meshzero_proto::name::ServiceName;
use meshzero_proto::news::Subscribe;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time;

use crate::arrivals::Sink;
use crate::dial;
use crate::incoming::{Incoming, IncomingError};
use crate::publisher;
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
    Ended(Option<IncomingError>),
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
    Local(publisher::Feed),
    /// Over a connection.
    Remote(Incoming, OwnedWriteHalf),
}

impl Feed {
    /// Subscribes to a service of this process.
    ///
    /// # Errors
    /// [`FeedError::Full`].
    pub fn local(service: &Service, subscribe: &Subscribe) -> Result<Self, FeedError> {
        service.publisher.subscribe(subscribe).map(Self::Local).ok_or(FeedError::Full)
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
        tokio::select! {
            () = self.pass_on(from, sink) => {}
            () = sink.closed() => {}
        }
        // Nobody to tell where this fails.
        let _ = sink.lost(from).await;
    }

    async fn pass_on(self, from: &ServiceName, sink: &Sink) {
        match self {
            Self::Local(feed) => {
                while let Some(frames) = feed.next().await {
                    for frames in frames {
                        if sink.send(from, frames).await.is_err() {
                            return;
                        }
                    }
                }
            }
            // The other half is kept, or the connection would be half closed.
            Self::Remote(mut incoming, _writer) => loop {
                match incoming.batch().await {
                    Ok(Some((frames, _))) => {
                        if sink.send(from, frames).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => return tracing::debug!(%from, %error, "a subscription was lost"),
                }
            },
        }
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
