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
    /// The endpoint at the address of this route. The subscription keeps the route, which owns the proxy of a program
    /// that speaks another protocol.
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

/// Subscribes to `publishers`, and waits until those in `known` have confirmed. `service` is the display name. Works on
/// any executor.
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
    let (sink, events) = queue::pair(subscribe.policy);
    let counters = Arc::new(SubscriptionCounters::new(service.to_owned(), subscribe.prefix.clone()));
    let key = match publishers {
        Publishers::Follow(_) => PublisherKey::Instance,
        Publishers::Fixed(_) => PublisherKey::Address,
    };
    let task = SubscriptionTask {
        context: Arc::clone(context),
        subscribe,
        sink,
        counters: Arc::clone(&counters),
        key,
    };
    context.executor.run_async(move || task.start(publishers, known)).await??;
    context.subscriptions.add(&counters);
    Ok((events, counters))
}

#[derive(Clone)]
struct SubscriptionTask {
    /// Does not keep the node joined: otherwise it would never leave.
    context: Arc<NodeContext>,
    subscribe: Subscribe,
    sink: EventSink,
    counters: Arc<SubscriptionCounters>,
    key: PublisherKey,
}

/// The property by which a publisher is recognised when the subscription is established again.
#[derive(Clone, Copy)]
enum PublisherKey {
    /// The instance.
    Instance,
    /// The address: after a restart, another instance listens there, which is accepted as well.
    Address,
}

impl SubscriptionTask {
    /// Opens the feeds of the known publishers, leaves the rest to a task, and returns an error if publishers are known
    /// and none confirmed.
    async fn start(self, publishers: Publishers, known: Vec<Instance>) -> Result<(), FeedError> {
        let mut feeds = JoinSet::new();
        for instance in known {
            let task = self.clone();
            feeds.spawn_local(async move {
                let (sender, updates) = watch::channel(Some(instance.clone()));
                let result = task.open(&instance, &updates).await;
                (instance.id, (sender, updates), result)
            });
        }
        let mut followed = FollowedInstances::default();
        let (mut any_confirmed, mut last_error) = (false, None);
        while let Some(joined) = feeds.join_next().await {
            match joined {
                Ok((instance, (sender, updates), result)) => {
                    let feed = result.map_err(|error| last_error = Some(error)).ok();
                    any_confirmed |= feed.is_some();
                    followed.insert(instance, sender);
                    self.spawn_feed(feed, updates);
                }
                Err(error) => tracing::error!(%error, "a subscription panicked or was cancelled"),
            }
        }
        if let Some(error) = last_error
            && !any_confirmed
        {
            return Err(error);
        }
        let shutdown = Arc::clone(&self.context.shutdown);
        actix::spawn(until_shutdown(shutdown, self.follow(publishers, followed)));
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
                    followed.update(instance, |updates| self.spawn_feed(None, updates))
                }
                DirectoryEvent::Down { instance, .. } => followed.unlist(instance.id),
            }
        }
    }

    async fn open(&self, instance: &Instance, updates: &InstanceUpdates) -> Result<Feed, FeedError> {
        let services = &self.context.services;
        let (service, expected) = match self.key {
            PublisherKey::Instance => (services.get(instance.id), Some(instance.id)),
            PublisherKey::Address => {
                (instance.addresses.first().and_then(|address| services.at(*address)), None)
            }
        };
        if let Some(service) = service {
            return Feed::local(&service, &self.subscribe);
        }
        let hello = self.context.hello_for(expected, Purpose::News);
        let link_config = &self.context.link_config;
        Feed::remote(instance, Some(updates.clone()), &hello, &self.subscribe, link_config, &self.counters)
            .await
    }

    /// Starts a task for a publisher, with its feed if there is one already.
    fn spawn_feed(&self, feed: Option<Feed>, updates: InstanceUpdates) {
        let shutdown = Arc::clone(&self.context.shutdown);
        actix::spawn(until_shutdown(shutdown, self.clone().run_feed(feed, updates)));
    }

    /// Runs the feed of one publisher while that is listed.
    async fn run_feed(self, mut feed: Option<Feed>, updates: InstanceUpdates) {
        let round = async |instance: Instance, updates: &InstanceUpdates| {
            let result = match feed.take() {
                Some(feed) => Ok(feed),
                None => self.open(&instance, updates).await,
            };
            let next = match result {
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
        follow(updates, round).await;
    }
}

/// Runs `future` until it is done or the node leaves.
async fn until_shutdown(shutdown: Arc<ShutdownSignal>, future: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = shutdown.triggered() => {}
        () = future => {}
    }
}
