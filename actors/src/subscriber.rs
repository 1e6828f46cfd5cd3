//! A subscription as its owner sees it: it follows a name, a group or an address, through publishers that come and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use meshzero_proto::directory::{DirectoryEvent, Filter, Instance};
use meshzero_proto::hello::Purpose;
use meshzero_proto::id::InstanceId;
use meshzero_proto::news::Subscribe;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::arrivals::{self, Arrivals, Sink};
use crate::backoff::Backoff;
use crate::discovery::{Addresses, Seek, Watch, Watcher};
use crate::ending::Ending;
use crate::feed::{Feed, FeedError};
use crate::home::Gone;
use crate::premises::Premises;
use crate::route::Route;
use crate::subscribed::Subscribed;

/// Before a publisher that is still listed is asked again.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));

/// What discovery says of one publisher at the moment; `None` when it says that it is gone.
type Listed = watch::Receiver<Option<Instance>>;

/// Whose news are wanted.
#[derive(Clone)]
pub enum Publishers {
    /// All instances of a name, or all members of a group, now and later.
    Follow(Filter),
    /// Whoever listens at the address that this route leads to. The route is held as long as somebody listens: with it goes what
    /// stands in for a program of another protocol.
    Fixed(Arc<Route>),
}

/// Why a subscription does not stand.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeFault {
    /// None of the publishers that are known confirmed it; what the last of them said.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl SubscribeFault {
    /// Whether the same may succeed in a moment.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Feed(error) => error.may_pass(),
            Self::Gone(_) => false,
        }
    }
}

/// Subscribes to what `service` says, as people call it, and waits until the publishers named by `known` have confirmed it.
/// Works on any executor.
///
/// # Errors
/// [`SubscribeFault`] if there are known publishers and none of them confirmed.
///
/// # Cancel safety
/// Dropping the future ends the subscription.
pub async fn subscribe(
    context: &Arc<Premises>,
    service: &str,
    publishers: Publishers,
    known: Vec<Instance>,
    subscribe: Subscribe,
) -> Result<(Arrivals, Arc<Subscribed>), SubscribeFault> {
    let (sink, arrivals) = arrivals::pair(subscribe.policy);
    let subscribed = Arc::new(Subscribed::new(service.to_owned(), subscribe.prefix.clone()));
    let known_by = match publishers {
        Publishers::Follow(_) => KnownBy::Identity,
        Publishers::Fixed(_) => KnownBy::Address,
    };
    let of = Arc::clone(&subscribed);
    let follower = Follower { context: Arc::clone(context), subscribe, sink, subscribed: of, known_by };
    let confirmed = context.home.ask(move || follower.start(publishers, known)).await?;
    confirmed?;
    context.subscriptions.add(&subscribed);
    Ok((arrivals, subscribed))
}

#[derive(Clone)]
struct Follower {
    /// Not what keeps the node joined: it would never be left.
    context: Arc<Premises>,
    subscribe: Subscribe,
    sink: Sink,
    subscribed: Arc<Subscribed>,
    known_by: KnownBy,
}

/// What a publisher must still have when it is asked again.
#[derive(Clone, Copy)]
enum KnownBy {
    Identity,
    /// After a restart another instance listens at the address, and is as good.
    Address,
}

impl Follower {
    /// Opens the feeds of the known publishers, leaves the rest to a task, and says whether any confirmed.
    async fn start(self, publishers: Publishers, known: Vec<Instance>) -> Result<(), FeedError> {
        let mut opening = JoinSet::new();
        for instance in known {
            let follower = self.clone();
            opening.spawn_local(async move {
                let (tell, listed) = watch::channel(Some(instance.clone()));
                let opened = follower.open(&instance, &listed).await;
                (instance, (tell, listed), opened)
            });
        }
        let mut followed = Followed::default();
        let mut failed = None;
        while let Some(opened) = opening.join_next().await {
            match opened {
                Ok((instance, listed, opened)) => {
                    let feed = opened.map_err(|error| failed = Some(error)).ok();
                    followed.any_confirmed |= feed.is_some();
                    followed.keep(&self, instance.id, listed, feed);
                }
                Err(error) => tracing::error!(%error, "a subscription ended by itself"),
            }
        }
        if let Some(error) = failed
            && !followed.any_confirmed
        {
            return Err(error);
        }
        let ending = Arc::clone(&self.context.ending);
        actix::spawn(until(ending, self.follow(publishers, followed)));
        Ok(())
    }

    async fn follow(self, publishers: Publishers, mut followed: Followed) {
        let sink = self.sink.clone();
        let filter = match publishers {
            Publishers::Follow(filter) => filter,
            Publishers::Fixed(_route) => return sink.closed().await,
        };
        if let Filter::Name(name) = &filter {
            self.context.discovery.do_send(Seek { name: name.clone() });
        }
        let Ok(events) = self.context.discovery.send(Watch { filter, addresses: Addresses::All }).await
        else {
            return;
        };
        tokio::select! {
            biased;
            () = self.hear(events, &mut followed) => {}
            () = sink.closed() => {}
        }
    }

    async fn hear(&self, mut events: Watcher, followed: &mut Followed) {
        while let Some(event) = events.recv().await {
            match event {
                DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => {
                    followed.add(self, instance)
                }
                DirectoryEvent::Down { instance, .. } => followed.remove(instance.id),
            }
        }
    }

    async fn open(&self, instance: &Instance, listed: &Listed) -> Result<Feed, FeedError> {
        let own = &self.context.own;
        let (service, expected) = match self.known_by {
            KnownBy::Identity => (own.get(instance.id), Some(instance.id)),
            KnownBy::Address => (instance.addresses.first().and_then(|address| own.at(*address)), None),
        };
        if let Some(service) = service {
            return Feed::local(&service, &self.subscribe);
        }
        let hello = self.context.hello_for(expected, Purpose::News);
        let carrying = &self.context.carrying;
        Feed::remote(instance, Some(listed.clone()), &hello, &self.subscribe, carrying, &self.subscribed)
            .await
    }

    /// Keeps the feed of one publisher, while it is listed.
    async fn keep(self, mut feed: Option<Feed>, mut listed: Listed) {
        let mut pauses = PAUSES;
        loop {
            let Some(instance) = listed.borrow_and_update().clone() else { return };
            let opened = match feed.take() {
                Some(feed) => Ok(feed),
                None => self.open(&instance, &listed).await,
            };
            match opened {
                Ok(feed) => {
                    pauses.reset();
                    feed.run(&instance.service, &self.sink).await;
                }
                Err(error) => {
                    tracing::debug!(service = %instance.service, %error, "cannot subscribe; trying again")
                }
            }
            if self.sink.is_closed() {
                return;
            }
            tokio::select! {
                biased;
                () = time::sleep(pauses.pause()) => {}
                changed = listed.changed() => match changed {
                    // What is new about it is a reason to try at once, and not later than before if that fails.
                    Ok(()) => pauses.reset(),
                    Err(_) => return,
                },
            }
        }
    }
}

/// Runs a part of a subscription until it is done or the node leaves.
async fn until(ending: Arc<Ending>, part: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = ending.come() => {}
        () = part => {}
    }
}

/// The publishers that are followed.
#[derive(Default)]
struct Followed {
    listed: HashMap<InstanceId, watch::Sender<Option<Instance>>>,
    any_confirmed: bool,
}

impl Followed {
    fn add(&mut self, follower: &Follower, instance: Instance) {
        let id = instance.id;
        if let Some(told) = self.listed.get(&id)
            && told.send(Some(instance.clone())).is_ok()
        {
            return;
        }
        self.keep(follower, id, watch::channel(Some(instance)), None);
    }

    /// Leaves a publisher to a task, with its feed if there is one already.
    fn keep(
        &mut self,
        follower: &Follower,
        id: InstanceId,
        (tell, told): (watch::Sender<Option<Instance>>, Listed),
        feed: Option<Feed>,
    ) {
        self.listed.retain(|_, told| !told.is_closed());
        self.listed.insert(id, tell);
        let ending = Arc::clone(&follower.context.ending);
        actix::spawn(until(ending, follower.clone().keep(feed, told)));
    }

    /// Not asked again once its feed has ended; a feed that works goes on, and is the only one should the publisher be listed
    /// again before.
    fn remove(&mut self, instance: InstanceId) {
        if let Some(told) = self.listed.get(&instance) {
            // A publisher's keeper that has ended needs no telling.
            let _ = told.send(None);
        }
    }
}
