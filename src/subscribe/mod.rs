//! A subscription about to be made.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use meshzero_actors::establish::{SubscriptionTarget, establish};
use meshzero_actors::node::Node;
use meshzero_actors::route::Route;
use meshzero_proto::codec::{Wire, type_info};
use meshzero_proto::directory::Filter;
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

/// A subscription about to be made. When awaited it ends as soon as every publisher that is connected has confirmed it:
/// everything published after that arrives or is counted. Publishers that come later join in by themselves.
///
/// The prefix is plain text, and the empty one takes all topics: `pose` takes `pose/left`, and `poses` as well. The item
/// type may be [`Value`](crate::Value), which takes items of any type.
///
/// What happens when this subscriber is slower than a publisher is its own choice, and made there, so that nobody else is
/// held up:
///
/// | | keeps | beyond that |
/// |---|---|---|
/// | by default, [`keep`](Self::keep) | the newest 1,024 items, or so many | the oldest are dropped |
/// | [`latest`](Self::latest), [`last`](Self::last) | the newest one, or few, of each topic | newer ones replace older ones |
/// | [`wait`](Self::wait) | 1,024 items, or so many | the publisher waits, or cannot publish |
///
/// With each of them goes [`at_most`](Self::at_most), so many items of each topic a second, and [`keep_bytes`](Self::keep_bytes).
/// What does not arrive is counted exactly and told in its place, with the reason: what this subscriber asked to be left
/// out by [`News::skipped`] and [`News::thinned`], everything else by [`NewsError::Missed`](crate::NewsError::Missed).
///
/// While no publisher of a single service is connected, it waits for one, 5 s at most; for members of a group it does not
/// wait. As long it asks again where nobody confirms because the connection is cut, or the only publisher is closing: another
/// may be about to take its place.
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
    target: SubscriptionTarget,
    prefix: String,
    keep: Keep,
    /// Items and bytes that are kept, where it says so.
    items: Option<u32>,
    bytes: Option<u64>,
    /// Items of each topic a second.
    rate: Option<f64>,
    item: PhantomData<fn() -> T>,
}

impl<T: Wire> Subscribe<T> {
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

    /// Only the newest item of each topic matters: while this subscriber is busy or cut off, a newer one replaces it. How many were
    /// replaced says [`News::skipped`].
    pub fn latest(self) -> Self {
        self.last(1)
    }

    /// Only the newest `items` of each topic matter, 1 at least: while this subscriber is busy, newer ones replace older
    /// ones. How many were replaced says [`News::skipped`].
    ///
    /// ```no_run
    /// # async fn run(chat: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// // Whoever comes back to the window sees ten lines of each room, and not what was said an hour ago.
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

    /// Every item matters: while as many are kept for this subscriber as may, the publisher waits in
    /// [`publish_all`](crate::Service::publish_all), and [`publish`](crate::Service::publish) says
    /// [`Full`](crate::PublishError::Full) there.
    ///
    /// So this subscriber holds up the publisher and everybody else. It may take its time, but not stop: once it has taken
    /// nothing for 5 s (as [`Limits::news_patience`](crate::Limits::news_patience) of the publisher says), the oldest items
    /// are dropped, and told as missed for want of [`Patience`](crate::GapReason::Patience), until it has taken all the
    /// others.
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

    /// No more than so many items of each topic arrive in a second, such as `10.0`, or `0.5` for one in two seconds: of those
    /// that are published within one period the newest arrives when that is over. How many were left out says
    /// [`News::thinned`].
    ///
    /// ```no_run
    /// # async fn run(robot: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
    /// // For a display, of a robot that says a thousand times a second where it is.
    /// let mut poses = robot.subscribe::<(f32, f32)>("pose").at_most(25.0).latest().await?;
    /// while let Some(pose) = poses.next().await.transpose()? {
    ///     println!("{:?}, and {} poses that nobody has seen", pose.item, pose.thinned + pose.skipped);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn at_most(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// While this subscriber is busy, the publisher keeps so many items for it, 1 at least, of all topics together. What is
    /// too much is dropped, the oldest first, and told as [`NewsError::Missed`](crate::NewsError::Missed), or waited for
    /// with [`wait`](Self::wait). Default: 1,024 items, and as many as the publisher allows with [`latest`](Self::latest) and
    /// [`last`](Self::last), where it is a bound of topics. The publisher's limit is
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

    /// As [`keep`](Self::keep), in bytes, beside which the newest item is always kept. Default: 4 MiB. The publisher's limits
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

    fn policy(&self) -> Result<Policy, SubscribeError> {
        let usual = match self.keep {
            Keep::Last { items } => Policy::last(items),
            keep => Policy { keep, ..Policy::default() },
        };
        let every = |rate: f64| {
            // Neither a number below zero nor none at all is a rate; one that is next to nothing is the longest period.
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
        let (events, subscribed) = establish(&self.node, &self.target, subscribe).await?;
        Ok(Subscription::new(self.node, events, subscribed))
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
                biased;
                // Only ever dropped, never told.
                _ = &mut dropped => {}
                () = forward(&mut subscription, &recipient) => {}
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
