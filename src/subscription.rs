//! Listening to news.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix::fut::ActorFuture;
use actix::{Actor, AsyncContext, Message, Recipient, SpawnHandle, StreamHandler};
use futures_core::Stream;
use meshzero_actors::arrivals::Arrivals;
use meshzero_actors::arrivals::Event;
use meshzero_actors::caller::deadline_in;
use meshzero_actors::discovery::List;
use meshzero_actors::node::Node;
use meshzero_actors::route::{Route, Target};
use meshzero_actors::subscriber::{self, Publishers};
use meshzero_proto::codec::{self, DecodeLimits, Wire, type_info};
use meshzero_proto::directory::Filter;
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::{self, GapReason, Policy};
use tokio::sync::oneshot;

use crate::error::{NewsError, SubscribeError};

/// How long is waited for a publisher that is not connected yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most items that wait in the mailbox of an actor which they are sent to.
const FORWARDED: usize = 64;

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One item of news.
///
/// It is an actix message as well, without a result: what a subscribed actor handles, see
/// [`subscribe_to`](crate::ServiceRef::subscribe_to).
///
/// ```no_run
/// # async fn run(robot: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
/// let mut poses = robot.subscribe::<(f32, f32)>("pose").await?;
/// if let Some(news) = poses.next().await.transpose()? {
///     let (x, y) = news.item;
///     println!("{} says on {}: {x}, {y}", news.from, news.topic);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News<T> {
    /// What it is about.
    pub topic: Topic,
    /// The item.
    pub item: T,
    /// Who published it.
    pub from: ServiceName,
    /// Items of the same publisher that newer ones replaced before this one, as asked for with [`Subscribe::latest`].
    pub skipped: u64,
}

impl<T: 'static> Message for News<T> {
    type Result = ();
}

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
    /// told as [`NewsError::Missed`]. Default: 1,024 items. It never keeps more than 4 MiB, besides the newest item.
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
        Ok(Subscription { node: self.node, events, skipped: HashMap::new(), item: PhantomData })
    }
}

impl<T: Wire> IntoFuture for Subscribe<T> {
    type Output = Result<Subscription<T>, SubscribeError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// News as they come, as a stream. Dropping it ends the subscription; it does not end by itself before the mesh is left,
/// but goes on with whoever publishes under the name.
///
/// ```no_run
/// # async fn run(weather: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
/// let mut temperatures = weather.subscribe::<f32>("temperature/").await?;
/// while let Some(news) = temperatures.next().await {
///     match news {
///         Ok(news) => println!("{}: {} degrees", news.topic, news.item),
///         // The subscription goes on.
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Subscription<T> {
    node: Arc<Node>,
    events: Arrivals,
    /// Items replaced since the last one that came, by publisher.
    skipped: HashMap<ServiceName, u64>,
    item: PhantomData<fn() -> T>,
}

impl<T: Wire> Subscription<T> {
    /// Waits for the next item, or for word of items that did not come; `None` when the mesh has been left and its
    /// publishers are gone.
    ///
    /// # Errors
    /// [`NewsError`]; the subscription goes on.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn next(&mut self) -> Option<Result<News<T>, NewsError>> {
        poll_fn(|task| Pin::new(&mut *self).poll_next(task)).await
    }

    /// Lets an actor handle the news in its own context, as `context.add_stream(subscription)` does, but more of them at a
    /// time before its mailbox and timers have their turn, which takes less time for each. The subscription ends with the
    /// actor, or with [`AsyncContext::cancel_future`].
    ///
    /// ```no_run
    /// use actix::prelude::*;
    /// use meshzero::{News, NewsError, Subscription};
    ///
    /// struct Map {
    ///     poses: Option<Subscription<(f32, f32)>>,
    /// }
    ///
    /// impl Actor for Map {
    ///     type Context = Context<Self>;
    ///
    ///     fn started(&mut self, context: &mut Context<Self>) {
    ///         if let Some(poses) = self.poses.take() {
    ///             poses.add_to(context);
    ///         }
    ///     }
    /// }
    ///
    /// impl StreamHandler<Result<News<(f32, f32)>, NewsError>> for Map {
    ///     fn handle(&mut self, news: Result<News<(f32, f32)>, NewsError>, _: &mut Context<Self>) {
    ///         if let Ok(News { item: (x, y), .. }) = news {
    ///             println!("{x}, {y}");
    ///         }
    ///     }
    /// }
    /// ```
    pub fn add_to<A>(self, context: &mut actix::Context<A>) -> SpawnHandle
    where
        A: Actor<Context = actix::Context<A>> + StreamHandler<Result<News<T>, NewsError>>,
    {
        context.spawn(Added { subscription: self, is_started: false })
    }
}

/// News handled in one go before the actor's mailbox and timers have their turn.
const TURN: usize = 128;

/// A subscription in an actor's context.
struct Added<T> {
    subscription: Subscription<T>,
    is_started: bool,
}

impl<T> Unpin for Added<T> {}

impl<T, A> ActorFuture<A> for Added<T>
where
    T: Wire,
    A: Actor + StreamHandler<Result<News<T>, NewsError>>,
    A::Context: AsyncContext<A>,
{
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut A::Context,
        task: &mut Context<'_>,
    ) -> Poll<()> {
        if !std::mem::replace(&mut self.is_started, true) {
            StreamHandler::started(actor, context);
        }
        for _ in 0..TURN {
            if context.waiting() {
                return Poll::Pending;
            }
            let Subscription { node, events, skipped, .. } = &mut self.subscription;
            let taken = events.poll_take(task, |from, event| {
                tell(skipped, node.decode_limits(), from, event, |news| actor.handle(news, context));
            });
            if ready!(taken).is_none() {
                StreamHandler::finished(actor, context);
                return Poll::Ready(());
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Tells a subscriber of an event; nothing of items that it asked to be replaced.
#[inline(always)]
fn tell<T: Wire>(
    skipped: &mut HashMap<ServiceName, u64>,
    limits: &DecodeLimits,
    from: &ServiceName,
    event: Event<'_>,
    told: impl FnOnce(Result<News<T>, NewsError>),
) {
    let Event::Item { topic, encoding, bytes, source } = event else {
        if let Some(error) = amiss(skipped, from, &event) {
            told(Err(error));
        }
        return;
    };
    let before = if skipped.is_empty() { None } else { skipped.remove(from) };
    match codec::decode_part(source, bytes, encoding, limits) {
        Ok(item) => {
            told(Ok(News { topic: topic.clone(), item, from: from.clone(), skipped: before.unwrap_or(0) }));
        }
        Err(error) => {
            let (from, topic, problem) = (from.clone(), topic.clone(), error.to_string());
            told(Err(NewsError::Undecodable { from, topic, problem }));
        }
    }
}

#[cold]
fn amiss(
    skipped: &mut HashMap<ServiceName, u64>,
    from: &ServiceName,
    event: &Event<'_>,
) -> Option<NewsError> {
    let from = from.clone();
    match *event {
        Event::Gap(count, GapReason::Superseded) => {
            *skipped.entry(from).or_default() += count;
            None
        }
        Event::Gap(count, GapReason::Overflow) => Some(NewsError::Missed { from, count }),
        Event::Lost => Some(NewsError::Lost { from }),
        Event::Item { .. } => None,
    }
}

impl<T: Wire> Stream for Subscription<T> {
    type Item = Result<News<T>, NewsError>;

    #[inline(always)]
    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { node, events, skipped, .. } = &mut *self;
        let limits = node.decode_limits();
        loop {
            let mut told = None;
            let taken = events.poll_take(task, |from, event| {
                tell(skipped, limits, from, event, |news| told = Some(news));
            });
            if ready!(taken).is_none() || told.is_some() {
                return Poll::Ready(told);
            }
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("waiting", &self.events.len()).finish_non_exhaustive()
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
        Ok(SubscriptionGuard { _guard: guard })
    }
}

/// Sends news to an actor, until it has stopped or there will be no more.
async fn forward<T: Wire>(subscription: &mut Subscription<T>, recipient: &Recipient<News<T>>) {
    while let Some(first) = subscription.next().await {
        let mut batch = vec![first];
        poll_fn(|task| {
            while batch.len() < FORWARDED
                && let Poll::Ready(Some(news)) = Pin::new(&mut *subscription).poll_next(task)
            {
                batch.push(news);
            }
            Poll::Ready(())
        })
        .await;
        let mut last = None;
        for news in batch {
            match news {
                Ok(news) => {
                    if let Some(before) = last.replace(news) {
                        recipient.do_send(before);
                    }
                }
                Err(error) => tracing::warn!(%error, "a subscribed actor missed something"),
            }
        }
        // A mailbox is first in, first out: when the last has been handled, so have those before it. Waiting for the actor
        // holds up this subscription alone, and then its policy applies.
        if let Some(last) = last
            && recipient.send(last).await.is_err()
        {
            return;
        }
    }
}

impl<T: Wire> IntoFuture for SubscribeTo<T> {
    type Output = Result<SubscriptionGuard, SubscribeError>;
    type IntoFuture = Pending<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A subscription of an actor. It ends when this is dropped, or when the actor has stopped.
///
/// ```no_run
/// # use actix::Recipient;
/// # use meshzero::News;
/// # async fn run(robot: meshzero::ServiceRef, map: Recipient<News<(f32, f32)>>) -> Result<(), meshzero::SubscribeError> {
/// let subscription = robot.subscribe_to("pose", map).await?;
/// // ...
/// drop(subscription);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the subscription ends when this is dropped"]
pub struct SubscriptionGuard {
    _guard: oneshot::Sender<()>,
}
