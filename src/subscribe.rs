//! A subscription about to be made.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use meshzero_actors::caller::deadline_in;
use meshzero_actors::discovery::List;
use meshzero_actors::node::Node;
use meshzero_actors::route::{Route, Target};
use meshzero_actors::subscriber::{self, Publishers};
use meshzero_proto::codec::{Wire, type_info};
use meshzero_proto::directory::Filter;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{self, Policy};
use tokio::sync::oneshot;

use crate::error::SubscribeError;
use crate::listening::{SubscriptionGuard, forward};
use crate::subscription::{News, Subscription};

/// How long is waited for a publisher that is not connected yet.
const PATIENCE: Duration = Duration::from_secs(5);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A subscription about to be made. When awaited it ends as soon as every publisher that is connected has confirmed it:
/// everything published after that arrives or is counted. Publishers that come later join in by themselves.
///
/// The prefix is plain text, and the empty one takes all topics: `pose` takes `pose/left`, and `poses` as well. The item
/// type may be [`Value`](crate::Value), which takes items of any type.
///
/// While no publisher of a single service is connected, it waits for one, 5 s at most; for members of a group it does not
/// wait.
///
/// # Errors
/// [`SubscribeError`]: an impossible prefix, nobody to subscribe to, nobody who confirms, or a mesh that has been left.
///
/// # Cancel safety
/// Dropping the future ends the subscription.
///
/// ```no_run
/// # async fn run(robot: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
/// let mut poses = robot.subscribe::<(f32, f32)>("pose").latest().await?;
/// while let Some(news) = poses.next().await {
///     let news = news?;
///     println!("{} is at {:?}", news.from, news.item);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a subscription is made when this is awaited"]
pub struct Subscribe<T> {
    node: Arc<Node>,
    whom: Whom,
    prefix: String,
    policy: Policy,
    item: PhantomData<fn() -> T>,
}

enum Whom {
    Service(Arc<Route>),
    Group { name: String, filter: Filter },
}

impl<T: Wire> Subscribe<T> {
    pub(crate) fn to_service(node: Arc<Node>, route: Arc<Route>, prefix: &str) -> Self {
        Self::new(node, Whom::Service(route), prefix)
    }

    pub(crate) fn to_group(node: Arc<Node>, name: String, filter: Filter, prefix: &str) -> Self {
        Self::new(node, Whom::Group { name, filter }, prefix)
    }

    fn new(node: Arc<Node>, whom: Whom, prefix: &str) -> Self {
        Self { node, whom, prefix: prefix.to_owned(), policy: Policy::default(), item: PhantomData }
    }

    /// Only the newest item of each topic matters: while this subscriber is busy, a newer one replaces it. How many were
    /// replaced says [`News::skipped`].
    pub fn latest(mut self) -> Self {
        self.policy = Policy::Latest;
        self
    }

    /// While this subscriber is busy, the publisher keeps so many items for it and drops the oldest beyond, which is
    /// told as [`NewsError::Missed`](crate::NewsError::Missed). Default: 1,024 items. It never keeps more than 4 MiB,
    /// besides the newest item.
    ///
    /// ```no_run
    /// # async fn run(log: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// use meshzero::NewsError;
    ///
    /// let mut lines = log.subscribe::<String>("line").keep(10_000).await?;
    /// while let Some(news) = lines.next().await {
    ///     match news {
    ///         Ok(line) => println!("{}", line.item),
    ///         Err(NewsError::Missed { count, .. }) => println!("({count} lines are missing here)"),
    ///         Err(error) => println!("({error})"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep(mut self, items: u32) -> Self {
        self.policy = Policy::DropOldest { items };
        self
    }

    /// Sends the items to an actor, as [`subscribe_to`](crate::ServiceRef::subscribe_to) does, also those of a group.
    ///
    /// ```no_run
    /// # use actix::Recipient;
    /// # use meshzero::News;
    /// # async fn run(mesh: meshzero::Mesh, window: Recipient<News<String>>) -> Result<(), meshzero::SubscribeError> {
    /// let chat = mesh.discover_group("chat").subscribe::<String>("line");
    /// let subscription = chat.keep(100).forward(window).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn forward(self, recipient: Recipient<News<T>>) -> SubscribeTo<T> {
        SubscribeTo { subscribe: self, recipient }
    }

    async fn run(self) -> Result<Subscription<T>, SubscribeError> {
        let subscribe = news::Subscribe {
            prefix: Topic::new(&self.prefix)?,
            fingerprint: type_info::<T>().fingerprint(),
            policy: self.policy,
        };
        let (name, publishers, known) = match self.whom {
            Whom::Service(route) => {
                let name = route.target().to_string();
                let alarm = self.node.alarms().at(deadline_in(PATIENCE));
                tokio::select! {
                    _ = route.ready() => {}
                    () = alarm => return Err(SubscribeError::Nobody { service: name }),
                }
                let known: Vec<_> = route.members().iter().map(|member| member.instance().clone()).collect();
                let publishers = match route.target() {
                    Target::Name(name) => Publishers::Follow(Filter::Name(name.clone())),
                    Target::Address(_) => Publishers::Fixed(known.clone()),
                };
                (name, publishers, known)
            }
            Whom::Group { name, filter } => {
                let list = List { filter: filter.clone(), within: Duration::ZERO };
                let known = self.node.discovery().send(list).await.unwrap_or_default();
                (name, Publishers::Follow(filter), known)
            }
        };
        let events = subscriber::subscribe(&self.node, publishers, known, subscribe)
            .await
            .map_err(|fault| SubscribeError::new(name, fault))?;
        Ok(Subscription::new(self.node, events))
    }
}

impl<T: Wire> IntoFuture for Subscribe<T> {
    type Output = Result<Subscription<T>, SubscribeError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A subscription of an actor, about to be made: by [`subscribe_to`](crate::ServiceRef::subscribe_to), where there is an
/// example, or by [`Subscribe::forward`]. Awaiting it is as awaiting a [`Subscribe`].
#[must_use = "a subscription is made when this is awaited"]
pub struct SubscribeTo<T: Send + 'static> {
    subscribe: Subscribe<T>,
    recipient: Recipient<News<T>>,
}

impl<T: Wire> SubscribeTo<T> {
    async fn run(self) -> Result<SubscriptionGuard, SubscribeError> {
        let node = Arc::clone(&self.subscribe.node);
        let mut subscription = self.subscribe.await?;
        let recipient = self.recipient;
        let (guard, mut dropped) = oneshot::channel();
        node.home().spawn(move || async move {
            tokio::select! {
                () = forward(&mut subscription, &recipient) => {}
                // Only ever dropped, never told.
                _ = &mut dropped => {}
            }
        })?;
        Ok(SubscriptionGuard::new(guard))
    }
}

impl<T: Wire> IntoFuture for SubscribeTo<T> {
    type Output = Result<SubscriptionGuard, SubscribeError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
