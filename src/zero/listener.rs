//! The subscription of one thread to some addresses and prefixes, kept between its waits so that nothing is lost there.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use meshzero_actors::client::caller::deadline_in;
use meshzero_actors::runtime::backoff::Backoff;
use meshzero_actors::runtime::timer::Sleep;
use meshzero_proto::codec::WireType;
use tokio::sync::oneshot;

use super::address::Address;
use super::error::ZeroError;
use super::news_filter::NewsFilter;
use super::node::Node;
use crate::error::{NewsError, SubscribeError};
use crate::subscribe::{News, Subscription};

/// The delays before another attempt to subscribe.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), LONGEST_PAUSE);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The time in which publishers may confirm the subscription during the first wait, even if that is shorter: for publishers that are
/// not reached yet, and for those that are.
const ABSENT: Duration = Duration::from_millis(500);
const PRESENT: Duration = Duration::from_secs(5);

/// The most items passed over before other tasks have their turn.
const TURN: usize = 64;

/// A subscription to the addresses and prefixes of a filter.
pub(super) struct FilteredSubscription<T> {
    filter: NewsFilter,
    node: Arc<Node>,
    /// In the order in which they are polled next.
    sources: VecDeque<Feed<T>>,
    /// The time of the first wait.
    waited_since: Option<Instant>,
}

/// The news of one address: one subscription for all prefixes, because two would lose the order between them.
struct Feed<T> {
    address: Address,
    state: FeedState<T>,
}

enum FeedState<T> {
    Opening {
        opened: oneshot::Receiver<Result<Subscription<T>, ZeroError>>,
        /// Set while the publisher is connected, and only has to confirm.
        is_reached: Arc<AtomicBool>,
    },
    Active(Subscription<T>),
    /// It cannot be opened, which has not been reported yet.
    Failed(ZeroError),
    Ended,
}

/// The timeouts for the publishers to confirm.
pub(super) struct ConfirmTimeouts {
    /// For those that are not reached.
    absent: Sleep,
    /// For those that are.
    present: Sleep,
}

impl<T: WireType> FilteredSubscription<T> {
    /// Begins to subscribe, in the background.
    pub(super) fn open(node: Arc<Node>, filter: NewsFilter) -> Self {
        let prefix = filter.common_prefix();
        let source = |&address| Feed { address, state: opening(&node, address, prefix) };
        let sources = filter.addresses.iter().map(source).collect();
        Self { node: Arc::clone(&node), filter, sources, waited_since: None }
    }

    pub(super) fn filter(&self) -> &NewsFilter {
        &self.filter
    }

    /// Waits for the next item until `deadline`; the first wait also for the publishers' confirmation.
    pub(super) async fn next(&mut self, deadline: Option<Instant>) -> Result<Option<News<T>>, ZeroError> {
        let mut end = self.alarm(deadline);
        let mut timeouts = self.timeouts();
        poll_fn(|task| {
            if let Poll::Ready(news) = self.poll_next(task) {
                return Poll::Ready(news.map(Some));
            }
            let is_over = Pin::new(&mut end).poll(task).is_ready();
            if is_over && self.poll_settled(&mut timeouts, task).is_ready() {
                return Poll::Ready(Ok(None));
            }
            Poll::Pending
        })
        .await
    }

    /// A future that ends at `instant`; `None` never comes.
    pub(super) fn alarm(&self, instant: Option<Instant>) -> Sleep {
        self.node.mesh.node.timers().sleep_until(instant)
    }

    /// The timeouts for the publishers to confirm, which begin with the first wait.
    pub(super) fn timeouts(&mut self) -> ConfirmTimeouts {
        let since = *self.waited_since.get_or_insert_with(Instant::now);
        ConfirmTimeouts {
            absent: self.alarm(Some(since + ABSENT)),
            present: self.alarm(Some(since + PRESENT)),
        }
    }

    /// Waits until every connected publisher has confirmed: items that it sends from then on arrive.
    pub(super) fn poll_settled(
        &mut self,
        timeouts: &mut ConfirmTimeouts,
        task: &mut Context<'_>,
    ) -> Poll<()> {
        let mut is_reached = false;
        let mut is_open = true;
        for source in &mut self.sources {
            source.poll_open(task);
            if let FeedState::Opening { is_reached: reached, .. } = &source.state {
                is_open = false;
                is_reached |= reached.load(Ordering::Relaxed);
            }
        }
        if is_open {
            return Poll::Ready(());
        }
        let is_waiting = Pin::new(&mut timeouts.absent).poll(task).is_pending()
            || (is_reached && Pin::new(&mut timeouts.present).poll(task).is_pending());
        if is_waiting { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Takes the reason why a subscription cannot be made, which is reported once.
    pub(super) fn take_failure(&mut self) -> Option<ZeroError> {
        self.sources.iter_mut().find_map(|source| {
            match std::mem::replace(&mut source.state, FeedState::Ended) {
                FeedState::Failed(error) => Some(error),
                other => {
                    source.state = other;
                    None
                }
            }
        })
    }

    /// Polls for the next item, with a waker for all that wait.
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<News<T>, ZeroError>> {
        for _ in 0..self.sources.len() {
            if let Some(source) = self.sources.front_mut()
                && let Poll::Ready(news) = source.poll_next(&self.node, &self.filter, task)
            {
                // The others come first next time, so that a busy publisher does not hide them.
                self.sources.rotate_left(1);
                return Poll::Ready(news);
            }
            self.sources.rotate_left(1);
        }
        Poll::Pending
    }
}

impl<T: WireType> Feed<T> {
    /// Takes over the subscription once the publisher has confirmed it.
    fn poll_open(&mut self, task: &mut Context<'_>) {
        let FeedState::Opening { opened, .. } = &mut self.state else { return };
        self.state = match Pin::new(opened).poll(task) {
            Poll::Ready(Ok(Ok(subscription))) => FeedState::Active(subscription),
            Poll::Ready(Ok(Err(error))) => FeedState::Failed(error),
            Poll::Ready(Err(_)) => FeedState::Ended,
            Poll::Pending => return,
        };
    }

    fn poll_next(
        &mut self,
        node: &Arc<Node>,
        filter: &NewsFilter,
        task: &mut Context<'_>,
    ) -> Poll<Result<News<T>, ZeroError>> {
        for _ in 0..TURN {
            self.poll_open(task);
            match &mut self.state {
                FeedState::Opening { .. } => return Poll::Pending,
                FeedState::Ended => return Poll::Ready(Err(ZeroError::Closed)),
                FeedState::Failed(_) => {
                    if let FeedState::Failed(error) = std::mem::replace(&mut self.state, FeedState::Ended) {
                        return Poll::Ready(Err(error));
                    }
                }
                FeedState::Active(subscription) => match Pin::new(subscription).poll_next(task) {
                    Poll::Ready(Some(Ok(news))) if !filter.includes(&news.topic) => {}
                    Poll::Ready(Some(Ok(news))) => return Poll::Ready(Ok(news)),
                    // The next publisher at the address may be another program.
                    Poll::Ready(Some(Err(NewsError::Lost { .. }))) => {
                        node.forget(self.address);
                        self.state = opening(node, self.address, filter.common_prefix());
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(ZeroError::News(error))),
                    Poll::Ready(None) => return Poll::Ready(Err(ZeroError::Closed)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        // A flood of unwanted items must not delay the others, or the deadline.
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Subscribes on the node's thread, so that this continues between two waits, until the receiver is dropped.
fn opening<T: WireType>(node: &Arc<Node>, address: Address, prefix: &str) -> FeedState<T> {
    let prefix = prefix.to_owned();
    let (mut tx, opened) = oneshot::channel();
    let is_reached = Arc::new(AtomicBool::new(false));
    let reached = Arc::clone(&is_reached);
    let node = Arc::clone(node);
    let executor = node.mesh.node.executor().clone();
    // If the mesh has been left nothing is opened, and the receiver gets an error.
    let _ = executor.spawn(move || async move {
        let opened = tokio::select! {
            biased;
            opened = open(&node, address, &prefix, &reached) => opened,
            () = tx.closed() => return,
        };
        // The receiver may have been dropped.
        let _ = tx.send(opened);
    });
    FeedState::Opening { opened, is_reached }
}

async fn open<T: WireType>(
    node: &Node,
    address: Address,
    prefix: &str,
    is_reached: &AtomicBool,
) -> Result<Subscription<T>, ZeroError> {
    let mut pauses = PAUSES;
    loop {
        let trouble = match node.remote(address, LONGEST_PAUSE).await {
            Ok(publisher) => {
                is_reached.store(true, Ordering::Relaxed);
                match publisher.subscribe::<T>(prefix).await {
                    Ok(subscription) => return Ok(subscription),
                    Err(error @ SubscribeError::Name(_)) => return Err(error.into()),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        is_reached.store(false, Ordering::Relaxed);
        tracing::debug!(%address, %trouble, "no publisher yet; trying again");
        node.forget(address);
        let timers = node.mesh.node.timers();
        timers.sleep_until(deadline_in(pauses.next_delay())).await;
    }
}
