//! News as they come.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix::Message;
use futures_core::Stream;
use meshzero_actors::arrivals::{Arrivals, Event};
use meshzero_actors::node::Node;
use meshzero_actors::stats::SubscriptionStats;
use meshzero_actors::subscribed::Subscribed;
use meshzero_proto::codec::{self, DecodeLimits, Wire};
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::GapReason;

use crate::error::NewsError;

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
    /// Items of the same publisher that newer ones replaced before this one, as asked for with
    /// [`Subscribe::latest`](crate::Subscribe::latest) or [`Subscribe::last`](crate::Subscribe::last).
    pub skipped: u64,
    /// Items of the same publisher that were left out before this one because there were too many of their topics in the
    /// time, as asked for with [`Subscribe::at_most`](crate::Subscribe::at_most).
    pub thinned: u64,
}

impl<T: 'static> Message for News<T> {
    type Result = ();
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
    subscribed: Arc<Subscribed>,
    /// Items left out since the last one that came, by publisher.
    skipped: HashMap<ServiceName, Skipped>,
    item: PhantomData<fn() -> T>,
}

/// Items that were left out as the subscriber asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Skipped {
    superseded: u64,
    thinned: u64,
}

impl<T: Wire> Subscription<T> {
    pub(crate) fn new(node: Arc<Node>, events: Arrivals, subscribed: Arc<Subscribed>) -> Self {
        Self { node, events, subscribed, skipped: HashMap::new(), item: PhantomData }
    }

    /// What it has missed so far, as far as it has been told, and how its links are now.
    ///
    /// ```no_run
    /// # fn run(poses: meshzero::Subscription<(f32, f32)>) {
    /// let stats = poses.stats();
    /// println!("{} missed, {} links", stats.missed.total(), stats.links.len());
    /// # }
    /// ```
    pub fn stats(&self) -> SubscriptionStats {
        self.subscribed.stats()
    }

    /// Tells of the next event, unless it is one that nobody is told of. Says whether there may be more.
    #[inline(always)]
    pub(crate) fn poll_tell(
        &mut self,
        task: &mut Context<'_>,
        told: impl FnOnce(Result<News<T>, NewsError>),
    ) -> Poll<bool> {
        let Self { node, events, subscribed, skipped, .. } = self;
        let limits = node.decode_limits();
        let taken =
            events.poll_take(task, |from, event| tell(subscribed, skipped, limits, from, event, told));
        taken.map(|taken| taken.is_some())
    }

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
}

/// Tells a subscriber of an event; nothing of items that it asked to be left out.
#[inline(always)]
fn tell<T: Wire>(
    subscribed: &Subscribed,
    skipped: &mut HashMap<ServiceName, Skipped>,
    limits: &DecodeLimits,
    from: &ServiceName,
    event: Event<'_>,
    told: impl FnOnce(Result<News<T>, NewsError>),
) {
    let Event::Item { topic, encoding, bytes, source } = event else {
        if let Some(error) = amiss(subscribed, skipped, from, &event) {
            told(Err(error));
        }
        return;
    };
    let before = if skipped.is_empty() { None } else { skipped.remove(from) };
    match codec::decode_part(source, bytes, encoding, limits) {
        Ok(item) => {
            let Skipped { superseded, thinned } = before.unwrap_or_default();
            let (topic, from) = (topic.clone(), from.clone());
            told(Ok(News { topic, item, from, skipped: superseded, thinned }));
        }
        Err(error) => {
            let (from, topic, problem) = (from.clone(), topic.clone(), error.to_string());
            told(Err(NewsError::Undecodable { from, topic, problem }));
        }
    }
}

#[cold]
fn amiss(
    subscribed: &Subscribed,
    skipped: &mut HashMap<ServiceName, Skipped>,
    from: &ServiceName,
    event: &Event<'_>,
) -> Option<NewsError> {
    let from = from.clone();
    match *event {
        Event::Gap(count, reason) => subscribed.missed(count, reason),
        Event::Lost => subscribed.lost(),
        Event::Item { .. } => {}
    }
    match *event {
        Event::Gap(count, GapReason::Superseded) => {
            let skipped = skipped.entry(from).or_default();
            // A publisher may say anything.
            skipped.superseded = skipped.superseded.saturating_add(count);
            None
        }
        Event::Gap(count, GapReason::Rate) => {
            let skipped = skipped.entry(from).or_default();
            skipped.thinned = skipped.thinned.saturating_add(count);
            None
        }
        Event::Gap(count, reason) => Some(NewsError::Missed { from, count, reason }),
        Event::Lost => Some(NewsError::Lost { from }),
        Event::Item { .. } => None,
    }
}

impl<T: Wire> Stream for Subscription<T> {
    type Item = Result<News<T>, NewsError>;

    #[inline(always)]
    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut told = None;
            let is_open = ready!(self.poll_tell(task, |news| told = Some(news)));
            if !is_open || told.is_some() {
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
