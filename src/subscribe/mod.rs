//! Subscriptions: the builder here, the stream of items, and the ways in which an actor receives them.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use meshzero_actors::client::route::Route;
use meshzero_actors::client::subscription::establish::{SubscriptionTarget, establish};
use meshzero_actors::node::Node;
use meshzero_proto::codec::{WireType, type_info};
use meshzero_proto::discovery::directory::Filter;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{self, Keep, Policy};
use tokio::sync::oneshot;

pub use self::actor::SubscriptionGuard;
use self::actor::forward;
pub use self::subscription::{News, Subscription};
use crate::error::SubscribeError;

mod actor;
mod subscription;

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A builder of a subscription. Awaiting it completes as soon as every connected publisher has confirmed the subscription: every
/// item published after that arrives or is counted as missed. Publishers that come later are added automatically.
///
/// The prefix is plain text, and the empty one matches all topics: `pose` matches `pose/left`, and `poses` as well. The item type
/// may be [`Value`](crate::Value), which accepts items of any type.
///
/// Each subscriber chooses what happens when it is slower than a publisher. The publisher applies that policy for each subscriber
/// separately, so that none delays another:
///
/// | | keeps | beyond that |
/// |---|---|---|
/// | by default, [`keep`](Self::keep) | the newest 1,024 items, or the number given | the oldest are dropped |
/// | [`latest`](Self::latest), [`last`](Self::last) | the newest one, or few, of each topic | newer ones replace older ones |
/// | [`wait`](Self::wait) | 1,024 items, or the number given | the publisher waits, or cannot publish |
///
/// Each can be combined with [`at_most`](Self::at_most), a rate for each topic, and [`keep_bytes`](Self::keep_bytes). Items that do
/// not arrive are counted exactly and reported in their place, with the reason: those that this subscriber asked to leave out by
/// [`News::skipped`] and [`News::thinned`], all others by [`NewsError::Missed`](crate::NewsError::Missed).
///
/// While no publisher of a single service is connected, this waits for one, 5 s at most; it does not wait for members of a group.
/// For the same time it retries if no publisher confirms because the connection was lost, or the only publisher is closing: another
/// may be about to take its place.
///
/// # Errors
/// [`SubscribeError`]: a prefix that is not valid, no publisher, no confirmation, or a mesh that has been left.
///
/// # Cancel safety
/// This future is cancel safe: dropping it ends the subscription.
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
#[must_use = "a subscription begins when this is awaited"]
pub struct Subscribe<T> {
    node: Arc<Node>,
    target: SubscriptionTarget,
    prefix: String,
    keep: Keep,
    /// The limits of the items and bytes that are kept, if given.
    items: Option<u32>,
    bytes: Option<u64>,
    /// The most items of each topic per second, if given.
    rate: Option<f64>,
    item: PhantomData<fn() -> T>,
}

impl<T: WireType> Subscribe<T> {
    pub(crate) fn to_service(node: Arc<Node>, route: Arc<Route>, prefix: &str) -> Self {
        Self::new(node, SubscriptionTarget::Service(route), prefix)
    }

    pub(crate) fn to_group(node: Arc<Node>, name: String, filter: Filter, prefix: &str) -> Self {
        Self::new(node, SubscriptionTarget::Group { name, filter }, prefix)
    }

    fn new(node: Arc<Node>, target: SubscriptionTarget, prefix: &str) -> Self {
        let prefix = prefix.to_owned();
        Self {
            node,
            target,
            prefix,
            keep: Keep::DropOldest,
            items: None,
            bytes: None,
            rate: None,
            item: PhantomData,
        }
    }

    /// Keeps only the newest item of each topic: while this subscriber is busy or disconnected, a newer item replaces it.
    /// [`News::skipped`] counts the replaced ones.
    pub fn latest(self) -> Self {
        self.last(1)
    }

    /// Keeps only the newest `items` of each topic, 1 at least: while this subscriber is busy, newer items replace older ones.
    /// [`News::skipped`] counts the replaced ones.
    ///
    /// ```no_run
    /// # async fn run(chat: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// // A user who returns to the window sees the last ten lines of each room.
    /// let mut lines = chat.subscribe::<String>("room/").last(10).await?;
    /// while let Some(line) = lines.next().await.transpose()? {
    ///     println!("{}: {}", line.topic, line.item);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn last(mut self, items: u32) -> Self {
        self.keep = Keep::Last { items };
        self
    }

    /// Keeps every item: while this subscriber's backlog is full, the publisher waits in
    /// [`publish_all`](crate::Service::publish_all), and [`publish`](crate::Service::publish) returns
    /// [`Full`](crate::PublishError::Full).
    ///
    /// So this subscriber delays the publisher and all other subscribers. It may be slow, but must not stop: once it has taken nothing
    /// for 5 s (the publisher's [`Limits::news_patience`](crate::Limits::news_patience)), the oldest items are dropped, and reported as
    /// missed for the reason [`Patience`](crate::GapReason::Patience), until it has taken all the others.
    ///
    /// ```no_run
    /// # async fn run(shop: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut orders = shop.subscribe::<u64>("order").wait().await?;
    /// while let Some(order) = orders.next().await.transpose()? {
    ///     println!("order {}", order.item);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(mut self) -> Self {
        self.keep = Keep::Wait;
        self
    }

    /// Limits the rate of each topic, in items per second, such as `10.0`, or `0.5` for one in two seconds: of the items published
    /// within one period, the newest arrives at its end. [`News::thinned`] counts those left out.
    ///
    /// ```no_run
    /// # async fn run(robot: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// // For a display, of a robot that publishes its pose a thousand times a second.
    /// let mut poses = robot.subscribe::<(f32, f32)>("pose").at_most(25.0).latest().await?;
    /// while let Some(pose) = poses.next().await.transpose()? {
    ///     println!("{:?}, and {} poses left out", pose.item, pose.thinned + pose.skipped);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn at_most(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Sets the number of items, of all topics together and 1 at least, that the publisher keeps while this subscriber is busy. Items
    /// beyond that are dropped, the oldest first, and reported as [`NewsError::Missed`](crate::NewsError::Missed); with
    /// [`wait`](Self::wait) the publisher waits instead. Default: 1,024; with [`latest`](Self::latest) and [`last`](Self::last), where
    /// it limits the number of topics, the most that the publisher allows. The publisher's limit is
    /// [`Limits::backlog_items`](crate::Limits::backlog_items).
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
        self.items = Some(items);
        self
    }

    /// Sets the limit of [`keep`](Self::keep) in bytes; the newest item is always kept. Default: 4 MiB. The publisher's limits
    /// are [`Limits::backlog_bytes`](crate::Limits::backlog_bytes) and [`Limits::news_bytes`](crate::Limits::news_bytes).
    ///
    /// ```no_run
    /// # async fn run(camera: meshzero::ServiceRef) -> Result<(), meshzero::SubscribeError> {
    /// let pictures = camera.subscribe::<meshzero::Blob>("picture").keep_bytes(16 << 20).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sends the items to an actor, as [`subscribe_to`](crate::ServiceRef::subscribe_to) does; works for groups as well.
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

    fn policy(&self) -> Result<Policy, SubscribeError> {
        let usual = match self.keep {
            Keep::Last { items } => Policy::last(items),
            keep => Policy { keep, ..Policy::default() },
        };
        let every = |rate: f64| {
            // Neither a negative number nor NaN is a rate; a tiny one has the longest period.
            let is_rate = rate > 0.0 && rate.is_finite();
            let every = || Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
            is_rate.then(every).ok_or(SubscribeError::Rate(rate))
        };
        Ok(Policy {
            items: self.items.unwrap_or(usual.items),
            bytes: self.bytes.unwrap_or(usual.bytes),
            every: self.rate.map(every).transpose()?,
            ..usual
        })
    }

    async fn run(self) -> Result<Subscription<T>, SubscribeError> {
        let policy = self.policy()?;
        let subscribe = news::Subscribe {
            prefix: Topic::new(&self.prefix)?,
            fingerprint: type_info::<T>().fingerprint(),
            policy,
        };
        let (events, subscribed) = establish(self.node.context(), &self.target, subscribe).await?;
        Ok(Subscription::new(self.node, events, subscribed))
    }
}

impl<T: WireType> IntoFuture for Subscribe<T> {
    type Output = Result<Subscription<T>, SubscribeError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A builder of an actor's subscription, returned by [`subscribe_to`](crate::ServiceRef::subscribe_to), which has an example, and
/// by [`Subscribe::forward`]. Awaiting it works like awaiting a [`Subscribe`].
#[must_use = "a subscription begins when this is awaited"]
pub struct SubscribeTo<T: Send + 'static> {
    subscribe: Subscribe<T>,
    recipient: Recipient<News<T>>,
}

impl<T: WireType> SubscribeTo<T> {
    async fn run(self) -> Result<SubscriptionGuard, SubscribeError> {
        let node = Arc::clone(&self.subscribe.node);
        let mut subscription = self.subscribe.await?;
        let recipient = self.recipient;
        let (guard, mut dropped) = oneshot::channel();
        node.executor().spawn(move || async move {
            tokio::select! {
                biased;
                // Only ever dropped, never sent.
                _ = &mut dropped => {}
                () = forward(&mut subscription, &recipient) => {}
            }
        })?;
        Ok(SubscriptionGuard::new(guard))
    }
}

impl<T: WireType> IntoFuture for SubscribeTo<T> {
    type Output = Result<SubscriptionGuard, SubscribeError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
