//! The items of a subscription, as a stream.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix::Message;
use futures_core::Stream;
use meshzero_actors::client::subscription::queue::{Event, EventQueue, ReceivedItem};
use meshzero_actors::client::subscription::stats::SubscriptionCounters;
use meshzero_actors::node::Node;
use meshzero_actors::telemetry::stats::SubscriptionStats;
use meshzero_actors::telemetry::subscriptions::SubscriptionSource;
use meshzero_proto::codec::{self, DecodeError, WireType};
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::GapReason;

use crate::error::NewsError;

/// An item of news, with its topic and publisher.
///
/// It is an actix message as well, without a result: the message that a subscribed actor handles, see
/// [`subscribe_to`](crate::ServiceRef::subscribe_to).
///
/// ```no_run
/// # async fn run(robot: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
/// let mut poses = robot.subscribe::<(f32, f32)>("pose").await?;
/// if let Some(news) = poses.next().await.transpose()? {
///     let (x, y) = news.item;
///     println!("{} on {}: {x}, {y}", news.from, news.topic);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News<T> {
    /// The topic.
    pub topic: Topic,
    /// The item.
    pub item: T,
    /// The publisher.
    pub from: ServiceName,
    /// The number of items of the same publisher that newer ones replaced before this one, as requested with
    /// [`Subscribe::latest`](crate::Subscribe::latest) or [`Subscribe::last`](crate::Subscribe::last).
    pub skipped: u64,
    /// The number of items of the same publisher that were left out before this one to limit the rate, as requested with
    /// [`Subscribe::at_most`](crate::Subscribe::at_most).
    pub thinned: u64,
}

impl<T: 'static> Message for News<T> {
    type Result = ();
}

/// A stream of news. Dropping it ends the subscription. Otherwise the stream continues, with every publisher under the name, until
/// the mesh is left.
///
/// ```no_run
/// # async fn run(weather: meshzero::ServiceRef) -> Result<(), Box<dyn std::error::Error>> {
/// let mut temperatures = weather.subscribe::<f32>("temperature/").await?;
/// while let Some(news) = temperatures.next().await {
///     match news {
///         Ok(news) => println!("{}: {} degrees", news.topic, news.item),
///         // The subscription continues.
///         Err(error) => println!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Subscription<T> {
    node: Arc<Node>,
    events: EventQueue,
    subscribed: Arc<SubscriptionCounters>,
    /// The items left out since the last one that arrived, by publisher.
    skipped: HashMap<ServiceName, Skipped>,
    item: PhantomData<fn() -> T>,
}

/// The numbers of items that were left out at the subscriber's request.
#[derive(Debug, Clone, Copy, Default)]
struct Skipped {
    superseded: u64,
    thinned: u64,
}

impl<T: WireType> Subscription<T> {
    pub(crate) fn new(node: Arc<Node>, events: EventQueue, subscribed: Arc<SubscriptionCounters>) -> Self {
        Self { node, events, subscribed, skipped: HashMap::new(), item: PhantomData }
    }

    /// The statistics of this subscription: the items missed so far, as far as they were reported, and the state of its links.
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

    /// Passes the next event to `report`, unless it is one that is only counted. Returns whether there may be more.
    #[inline(always)]
    pub(crate) fn poll_event(
        &mut self,
        task: &mut Context<'_>,
        report: impl FnOnce(Result<News<T>, NewsError>),
    ) -> Poll<bool> {
        let error = match ready!(self.events.poll_next(task)) {
            None => return Poll::Ready(false),
            Some(Event::Item(position)) => {
                let Some(item) = self.events.item(position) else { return Poll::Ready(true) };
                let ReceivedItem { from, topic, encoding, bytes, source } = item;
                let Skipped { superseded, thinned } = match self.skipped.is_empty() {
                    true => Skipped::default(),
                    false => self.skipped.remove(from).unwrap_or_default(),
                };
                match codec::decode_part(source, bytes, encoding, self.node.decode_limits()) {
                    Ok(item) => {
                        report(Ok(News {
                            topic: topic.clone(),
                            item,
                            from: from.clone(),
                            skipped: superseded,
                            thinned,
                        }));
                        return Poll::Ready(true);
                    }
                    Err(error) => Some(undecodable(from, topic, &error)),
                }
            }
            Some(Event::Gap(from, count, reason)) => self.missed(from, count, reason),
            Some(Event::Lost(from)) => Some(self.lost(from)),
        };
        if let Some(error) = error {
            report(Err(error));
        }
        Poll::Ready(true)
    }

    /// Counts missing items. Returns the error to report, unless they were left out at the subscriber's request.
    #[cold]
    fn missed(&mut self, from: ServiceName, count: u64, reason: GapReason) -> Option<NewsError> {
        self.subscribed.count_missed(count, reason);
        let skipped = match reason {
            GapReason::Superseded => &mut self.skipped.entry(from).or_default().superseded,
            GapReason::Rate => &mut self.skipped.entry(from).or_default().thinned,
            reason => return Some(NewsError::Missed { from, count, reason }),
        };
        // A publisher may send any number.
        *skipped = skipped.saturating_add(count);
        None
    }

    #[cold]
    fn lost(&self, from: ServiceName) -> NewsError {
        self.subscribed.count_lost();
        NewsError::Lost { from }
    }

    /// Waits for the next item, or for a report of missed items; `None` when the mesh has been left and its publishers are gone.
    ///
    /// # Errors
    /// [`NewsError`]; the subscription continues.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn next(&mut self) -> Option<Result<News<T>, NewsError>> {
        poll_fn(|task| Pin::new(&mut *self).poll_next(task)).await
    }
}

#[cold]
fn undecodable(from: &ServiceName, topic: &Topic, error: &DecodeError) -> NewsError {
    NewsError::Undecodable { from: from.clone(), topic: topic.clone(), problem: error.to_string() }
}

impl<T: WireType> Stream for Subscription<T> {
    type Item = Result<News<T>, NewsError>;

    #[inline(always)]
    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut next = None;
            let is_open = ready!(self.poll_event(task, |news| next = Some(news)));
            if !is_open || next.is_some() {
                return Poll::Ready(next);
            }
        }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("waiting", &self.events.len()).finish_non_exhaustive()
    }
}
