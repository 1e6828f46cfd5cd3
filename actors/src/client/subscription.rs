//! A subscription as its owner sees it: it follows a name, a group or an address while publishers come and go.

pub mod establish;
pub mod feed;
pub(crate) mod latest;
pub mod queue;
pub mod stats;

use std::sync::Arc;

use meshzero_proto::discovery::directory::{DirectoryEvent, Filter, Instance};
use meshzero_proto::news::Subscribe;
use meshzero_proto::wire::hello::Purpose;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::follow::{FollowedInstances, Next, follow, watch_listings};
use crate::client::route::Route;
use crate::client::subscription::feed::{Feed, FeedError};
use crate::client::subscription::queue::{EventQueue, EventSink};
use crate::client::subscription::stats::SubscriptionCounters;
use crate::context::NodeContext;
use crate::discovery::Watcher;
use crate::link::dial::InstanceUpdates;
use crate::runtime::executor::MeshClosed;
use crate::runtime::shutdown::ShutdownSignal;

/// The publishers that a subscription is for.
#[derive(Clone)]
pub(crate) enum Publishers {
    /// All instances of a name, or all members of a group, now and later.
    Follow(Filter),
    /// The endpoint at the address of this route. The route is held while the subscription lives: it owns the proxy of
    /// a program that speaks another protocol.
    Fixed(Arc<Route>),
}

/// The reason why a subscription was not established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeAttemptError {
    /// None of the known publishers confirmed it; the error of the last one.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
}

impl SubscribeAttemptError {
    /// Returns whether another attempt may succeed soon.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Feed(error) => error.is_transient(),
            Self::Gone(_) => false,
        }
    }
}

/// Subscribes to the publishers of `service`, its display name, and waits until those in `known` have confirmed. Works
/// on any executor.
///
/// # Errors
/// [`SubscribeAttemptError`] if there are known publishers and none of them confirmed.
///
/// # Cancel safety
/// This function is cancel safe: dropping the future ends the subscription.
pub(crate) async fn subscribe(
    context: &Arc<NodeContext>,
    service: &str,
    publishers: Publishers,
    known: Vec<Instance>,
    subscribe: Subscribe,
) -> Result<(EventQueue, Arc<SubscriptionCounters>), SubscribeAttemptError> {
    let (sink, arrivals) = queue::pair(subscribe.policy);
    let subscribed = Arc::new(SubscriptionCounters::new(service.to_owned(), subscribe.prefix.clone()));
    let identity = match publishers {
        Publishers::Follow(_) => PublisherIdentity::Identity,
        Publishers::Fixed(_) => PublisherIdentity::Address,
    };
    let of = Arc::clone(&subscribed);
    let follower =
        SubscriptionTask { context: Arc::clone(context), subscribe, sink, subscribed: of, identity };
    let confirmed = context.executor.run_async(move || follower.start(publishers, known)).await?;
    confirmed?;
    context.subscriptions.add(&subscribed);
    Ok((arrivals, subscribed))
}

#[derive(Clone)]
struct SubscriptionTask {
    /// Does not keep the node joined: otherwise it would never leave.
    context: Arc<NodeContext>,
    subscribe: Subscribe,
    sink: EventSink,
    subscribed: Arc<SubscriptionCounters>,
    identity: PublisherIdentity,
}

/// The property by which a publisher is recognised when it is asked again.
#[derive(Clone, Copy)]
enum PublisherIdentity {
    Identity,
    /// After a restart, another instance listens at the address, and will do as well.
    Address,
}

impl SubscriptionTask {
    /// Opens the feeds of the known publishers, leaves the rest to a task, and returns an error if publishers are known
    /// and none confirmed.
    async fn start(self, publishers: Publishers, known: Vec<Instance>) -> Result<(), FeedError> {
        let mut opening = JoinSet::new();
        for instance in known {
            let follower = self.clone();
            opening.spawn_local(async move {
                let (task, listed) = watch::channel(Some(instance.clone()));
                let opened = follower.open(&instance, &listed).await;
                (instance.id, (task, listed), opened)
            });
        }
        let mut followed = FollowedInstances::default();
        let (mut any_confirmed, mut failed) = (false, None);
        while let Some(opened) = opening.join_next().await {
            match opened {
                Ok((instance, (task, listed), opened)) => {
                    let feed = opened.map_err(|error| failed = Some(error)).ok();
                    any_confirmed |= feed.is_some();
                    followed.insert(instance, task);
                    self.spawn_feed(feed, listed);
                }
                Err(error) => tracing::error!(%error, "a subscription panicked or was cancelled"),
            }
        }
        if let Some(error) = failed
            && !any_confirmed
        {
            return Err(error);
        }
        let ending = Arc::clone(&self.context.shutdown);
        actix::spawn(until(ending, self.follow(publishers, followed)));
        Ok(())
    }

    async fn follow(self, publishers: Publishers, mut followed: FollowedInstances) {
        let sink = self.sink.clone();
        let filter = match publishers {
            Publishers::Follow(filter) => filter,
            Publishers::Fixed(_route) => return sink.closed().await,
        };
        let Some(events) = watch_listings(&self.context.discovery, filter).await else { return };
        tokio::select! {
            biased;
            () = self.handle_events(events, &mut followed) => {}
            () = sink.closed() => {}
        }
    }

    async fn handle_events(&self, mut events: Watcher, followed: &mut FollowedInstances) {
        while let Some(event) = events.recv().await {
            match event {
                DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => {
                    followed.update(instance, |listed| self.spawn_feed(None, listed))
                }
                DirectoryEvent::Down { instance, .. } => followed.unlist(instance.id),
            }
        }
    }

    async fn open(&self, instance: &Instance, listed: &InstanceUpdates) -> Result<Feed, FeedError> {
        let own = &self.context.services;
        let (service, expected) = match self.identity {
            PublisherIdentity::Identity => (own.get(instance.id), Some(instance.id)),
            PublisherIdentity::Address => {
                (instance.addresses.first().and_then(|address| own.at(*address)), None)
            }
        };
        if let Some(service) = service {
            return Feed::local(&service, &self.subscribe);
        }
        let hello = self.context.hello_for(expected, Purpose::News);
        let link_config = &self.context.link_config;
        Feed::remote(instance, Some(listed.clone()), &hello, &self.subscribe, link_config, &self.subscribed)
            .await
    }

    /// Starts a task for a publisher, with its feed if there is one already.
    fn spawn_feed(&self, feed: Option<Feed>, listed: InstanceUpdates) {
        let ending = Arc::clone(&self.context.shutdown);
        actix::spawn(until(ending, self.clone().run_feed(feed, listed)));
    }

    /// Runs the feed of one publisher while that is listed.
    async fn run_feed(self, mut feed: Option<Feed>, listed: InstanceUpdates) {
        let round = async |instance: Instance, listed: &InstanceUpdates| {
            let opened = match feed.take() {
                Some(feed) => Ok(feed),
                None => self.open(&instance, listed).await,
            };
            let next = match opened {
                Ok(feed) => {
                    feed.run(&instance.service, &self.sink).await;
                    Next::Soon
                }
                Err(error) => {
                    tracing::debug!(service = %instance.service, %error, "cannot subscribe; trying again");
                    Next::Later
                }
            };
            if self.sink.is_closed() { Next::Stop } else { next }
        };
        follow(listed, round).await;
    }
}

/// Runs a part of a subscription until it is done or the node leaves.
async fn until(ending: Arc<ShutdownSignal>, part: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = ending.triggered() => {}
        () = part => {}
    }
}
