//! News for an actor, in its own context or through its mailbox.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix::fut::ActorFuture;
use actix::{Actor, AsyncContext, Recipient, SpawnHandle, StreamHandler};
use futures_core::Stream;
use meshzero_proto::codec::WireType;
use tokio::sync::oneshot;

use super::subscription::{News, Subscription};
use crate::error::NewsError;

/// The most items that wait in the mailbox of an actor that they are forwarded to.
const FORWARDED: usize = 64;

/// The most items handled before the actor's mailbox and timers have their turn.
const TURN: usize = 128;

impl<T: WireType> Subscription<T> {
    /// Lets an actor handle the items in its own context, as `context.add_stream(subscription)` does, but more of them before its
    /// mailbox and timers have their turn, which takes less time per item. The subscription ends with the actor, or with
    /// [`AsyncContext::cancel_future`].
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
        context.spawn(ActorSubscription { subscription: self, is_started: false })
    }
}

/// A subscription in an actor's context.
struct ActorSubscription<T> {
    subscription: Subscription<T>,
    is_started: bool,
}

impl<T> Unpin for ActorSubscription<T> {}

impl<T, A> ActorFuture<A> for ActorSubscription<T>
where
    T: WireType,
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
            let is_open = self.subscription.poll_event(task, |news| actor.handle(news, context));
            if !ready!(is_open) {
                StreamHandler::finished(actor, context);
                return Poll::Ready(());
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Forwards items to an actor until it has stopped or the subscription has ended.
pub(crate) async fn forward<T: WireType>(subscription: &mut Subscription<T>, recipient: &Recipient<News<T>>) {
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
        // delays this subscription alone, to which its policy then applies.
        if let Some(last) = last
            && recipient.send(last).await.is_err()
        {
            return;
        }
    }
}

/// The guard of an actor's subscription, which ends when this is dropped, or when the actor has stopped.
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

impl SubscriptionGuard {
    /// A guard that ends the subscription by dropping `guard`.
    pub(crate) fn new(guard: oneshot::Sender<()>) -> Self {
        Self { _guard: guard }
    }
}
