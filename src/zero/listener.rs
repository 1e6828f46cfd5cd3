//! One thread's subscription to some addresses and prefixes, kept between its waits so that nothing is lost there.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use meshzero_actors::backoff::Backoff;
use meshzero_actors::caller::deadline_in;
use meshzero_proto::codec::Wire;
use tokio::sync::oneshot;

use super::address::Address;
use super::error::ZeroError;
use super::node::Node;
use crate::error::{NewsError, SubscribeError};
use crate::subscription::{News, Subscription};

/// Before a publisher is asked again.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), LONGEST_PAUSE);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Items passed over in one go.
const TURN: usize = 64;

/// Whose news a thread waits for, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    addresses: Vec<Address>,
    prefixes: Vec<String>,
}

impl Subject {
    /// The same for all ways to write it down: in order, nothing twice, and no prefix that another one covers.
    pub(super) fn new(mut addresses: Vec<Address>, prefixes: Vec<String>) -> Result<Self, ZeroError> {
        if addresses.is_empty() {
            return Err(ZeroError::Nothing { what: "addresses" });
        }
        if prefixes.is_empty() {
            return Err(ZeroError::Nothing { what: "prefixes" });
        }
        addresses.sort();
        addresses.dedup();
        Ok(Self { addresses, prefixes: without_covered(prefixes) })
    }

    fn includes(&self, topic: &str) -> bool {
        self.prefixes.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// What all prefixes begin with.
    fn common_prefix(&self) -> &str {
        // In order, so the first and the last differ the most.
        let (Some(first), Some(last)) = (self.prefixes.first(), self.prefixes.last()) else { return "" };
        let pairs = first.char_indices().zip(last.chars());
        let common =
            pairs.take_while(|((_, one), other)| one == other).map(|((at, one), _)| at + one.len_utf8());
        &first[..common.last().unwrap_or(0)]
    }
}

/// Those that say something: a prefix of another one stands for it.
fn without_covered(mut prefixes: Vec<String>) -> Vec<String> {
    prefixes.sort();
    let mut kept: Vec<String> = Vec::new();
    for prefix in prefixes {
        if kept.last().is_none_or(|last| !prefix.starts_with(last)) {
            kept.push(prefix);
        }
    }
    kept
}

/// The subscription.
pub(super) struct Listener<T> {
    subject: Subject,
    node: Arc<Node>,
    /// The one whose turn it is comes first.
    sources: VecDeque<Source<T>>,
}

/// The news of one address: one subscription for all prefixes, because two would lose the order between them.
struct Source<T> {
    address: Address,
    state: State<T>,
}

enum State<T> {
    Opening(oneshot::Receiver<Result<Subscription<T>, ZeroError>>),
    Standing(Subscription<T>),
}

impl<T: Wire> Listener<T> {
    /// Begins to subscribe, in the background.
    pub(super) fn open(node: Arc<Node>, subject: Subject) -> Self {
        let prefix = subject.common_prefix();
        let source = |&address| Source { address, state: opening(&node, address, prefix) };
        let sources = subject.addresses.iter().map(source).collect();
        Self { node: Arc::clone(&node), subject, sources }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether every publisher has confirmed: what it sends from now on arrives.
    fn is_confirmed(&self) -> bool {
        self.sources.iter().all(|source| matches!(source.state, State::Standing(_)))
    }

    /// Waits for the next item until `deadline`, and for the publishers' word until `confirmed_by` at least.
    pub(super) async fn next(
        &mut self,
        deadline: Option<Instant>,
        confirmed_by: Instant,
    ) -> Result<Option<News<T>>, ZeroError> {
        let alarms = Arc::clone(self.node.mesh.node.alarms());
        let mut end = alarms.at(deadline);
        let mut patience = alarms.at(Some(confirmed_by));
        std::future::poll_fn(|task| {
            if let Poll::Ready(news) = self.poll_next(task) {
                return Poll::Ready(news.map(Some));
            }
            let is_over = Pin::new(&mut end).poll(task).is_ready();
            if is_over && (self.is_confirmed() || Pin::new(&mut patience).poll(task).is_ready()) {
                return Poll::Ready(Ok(None));
            }
            Poll::Pending
        })
        .await
    }

    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<News<T>, ZeroError>> {
        for _ in 0..self.sources.len() {
            if let Some(source) = self.sources.front_mut()
                && let Poll::Ready(news) = source.poll_next(&self.node, &self.subject, task)
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

impl<T: Wire> Source<T> {
    fn poll_next(
        &mut self,
        node: &Arc<Node>,
        subject: &Subject,
        task: &mut Context<'_>,
    ) -> Poll<Result<News<T>, ZeroError>> {
        for _ in 0..TURN {
            match &mut self.state {
                State::Opening(opened) => match Pin::new(opened).poll(task) {
                    Poll::Ready(Ok(Ok(subscription))) => self.state = State::Standing(subscription),
                    Poll::Ready(Ok(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(ZeroError::Closed)),
                    Poll::Pending => return Poll::Pending,
                },
                State::Standing(subscription) => match Pin::new(subscription).poll_next(task) {
                    Poll::Ready(Some(Ok(news))) if !subject.includes(&news.topic) => {}
                    Poll::Ready(Some(Ok(news))) => return Poll::Ready(Ok(news)),
                    // Whoever comes back at the address may be another program.
                    Poll::Ready(Some(Err(NewsError::Lost { .. }))) => {
                        node.forget(self.address);
                        self.state = opening(node, self.address, subject.common_prefix());
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(ZeroError::News(error))),
                    Poll::Ready(None) => return Poll::Ready(Err(ZeroError::Closed)),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
        // A flood of what nobody asked for must not keep the others, or the deadline, from their turn.
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Subscribes on the node's thread, so that it goes on between two waits, until nobody cares for it any more.
fn opening<T: Wire>(node: &Arc<Node>, address: Address, prefix: &str) -> State<T> {
    let prefix = prefix.to_owned();
    let (mut tell, told) = oneshot::channel();
    let node = Arc::clone(node);
    let home = node.mesh.node.home().clone();
    let begun = home.spawn(move || async move {
        let opened = tokio::select! {
            biased;
            opened = open(&node, address, &prefix) => opened,
            () = tell.closed() => return,
        };
        // Whoever does not care any more does not miss it.
        let _ = tell.send(opened);
    });
    if begun.is_err() {
        tracing::debug!(%address, "the mesh has been left");
    }
    State::Opening(told)
}

async fn open<T: Wire>(node: &Node, address: Address, prefix: &str) -> Result<Subscription<T>, ZeroError> {
    let mut pauses = PAUSES;
    loop {
        let trouble = match node.remote(address, LONGEST_PAUSE).await {
            Ok(publisher) => match publisher.subscribe::<T>(prefix).await {
                Ok(subscription) => return Ok(subscription),
                Err(error @ SubscribeError::Name(_)) => return Err(error.into()),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        tracing::debug!(%address, %trouble, "no publisher yet; trying again");
        node.forget(address);
        let alarms = node.mesh.node.alarms();
        alarms.at(deadline_in(pauses.pause())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(prefixes: &[&str]) -> Vec<String> {
        without_covered(prefixes.iter().map(|prefix| prefix.to_string()).collect())
    }

    #[test]
    fn prefixes_that_others_cover_are_left_out() {
        assert_eq!(kept(&["b", "a/x", "a", "ab", "b"]), ["a", "b"]);
        assert_eq!(kept(&["a", "", "b"]), [""]);
        assert_eq!(kept(&["a/1", "a/2", "a/10"]), ["a/1", "a/2"]);
    }

    #[test]
    fn what_prefixes_have_in_common_is_found() {
        let address: Address = "127.0.0.1:1".parse().expect("an address");
        for (prefixes, common) in [
            (vec!["wind/speed", "wind/gust", "wind/"], "wind/"),
            (vec!["wind/speed", "wind/gust"], "wind/"),
            (vec!["wind", "rain"], ""),
            (vec!["größe", "grüße"], "gr"),
            (vec!["über/a", "über/ä"], "über/"),
            (vec!["only"], "only"),
        ] {
            let prefixes = prefixes.into_iter().map(str::to_owned).collect();
            assert_eq!(Subject::new(vec![address], prefixes).expect("a subject").common_prefix(), common);
        }
    }

    #[test]
    fn a_subject_is_the_same_however_it_is_written() {
        let [one, two]: [Address; 2] =
            ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().expect("an address"));
        let first = Subject::new(vec![two, one, two], vec!["b".into(), "a".into()]).expect("a subject");
        let second =
            Subject::new(vec![one, two], vec!["a".into(), "b".into(), "bc".into()]).expect("a subject");
        assert_eq!(first, second);
        assert!(first.includes("bcd") && !first.includes("c") && !first.includes(""));
        assert!(Subject::new(vec![], vec!["".into()]).is_err());
        assert!(Subject::new(vec![one], vec![]).is_err());
    }
}
