//! What has arrived for one subscriber, from all its publishers, and waits to be taken.
//!
//! A subscriber that asked for the newest item of each topic gets it as of the moment when it takes one, however long
//! others have waited in front: items are replaced here as well, and not at the publisher alone, where a slow subscriber
//! is noticed only once the sockets in between are full.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use meshzero_proto::codec::Encoding;
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::{GapReason, Policy};
use tokio::sync::mpsc;
use tokio::task;

/// Events that wait for the subscriber before its feeds are held up. The publishers' backlogs begin behind it.
const AHEAD: usize = 64;

/// What a subscriber gets.
#[derive(Debug)]
pub enum Event {
    /// An item.
    Item {
        /// What it is about.
        topic: Topic,
        /// Its encoding.
        encoding: Encoding,
        /// The encoded item.
        bytes: Bytes,
    },
    /// So many items are missing here.
    Gap(u64, GapReason),
    /// The publisher is gone, or cannot be reached.
    Lost,
}

/// Where a subscriber's feeds bring their events.
#[derive(Debug, Clone)]
pub struct Sink {
    events: mpsc::Sender<(ServiceName, Event)>,
    newer: Option<Newer>,
}

/// Where the subscriber takes them. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Arrivals {
    events: mpsc::Receiver<(ServiceName, Event)>,
    newer: Option<Newer>,
    /// The item that follows a gap which was handed out.
    next: Option<(ServiceName, Event)>,
}

/// The topics of which an item waits, each with what has replaced it since. There are no more of them than events
/// that wait.
type Newer = Arc<Mutex<HashMap<Of, Option<Replaced>>>>;

type Of = (ServiceName, Topic);

#[derive(Debug)]
struct Replaced {
    by: Event,
    items: u64,
}

/// Both ends for a subscription of this policy.
pub fn pair(policy: Policy) -> (Sink, Arrivals) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let newer = matches!(policy, Policy::Latest).then(Newer::default);
    (Sink { events: sender, newer: newer.clone() }, Arrivals { events: receiver, newer, next: None })
}

impl Sink {
    /// Brings an event, once there is room for it.
    ///
    /// # Errors
    /// [`Closed`] when the subscription has ended.
    ///
    /// # Cancel safety
    /// The event is lost when the future is dropped.
    pub async fn send(&self, from: &ServiceName, event: Event) -> Result<(), Closed> {
        match (&self.newer, &event) {
            (Some(newer), Event::Item { topic, .. }) => {
                let of = (from.clone(), topic.clone());
                self.send_newest(newer, of, event).await
            }
            _ => self.events.send((from.clone(), event)).await.map_err(|_| Closed),
        }
    }

    async fn send_newest(&self, newer: &Newer, of: Of, event: Event) -> Result<(), Closed> {
        loop {
            let waits = lock(newer).contains_key(&of);
            let place = if waits { None } else { Some(self.events.reserve().await.map_err(|_| Closed)?) };
            // Meanwhile the one may have been taken, or another instance may have brought one.
            match (lock(newer).entry(of.clone()), place) {
                (Entry::Occupied(mut waits), _) => {
                    let items = waits.get().as_ref().map_or(0, |replaced| replaced.items) + 1;
                    waits.insert(Some(Replaced { by: event, items }));
                    break;
                }
                (Entry::Vacant(waits), Some(place)) => {
                    waits.insert(None);
                    place.send((of.0, event));
                    break;
                }
                (Entry::Vacant(_), None) => {}
            }
        }
        // A publisher that never pauses must not keep the subscriber from running.
        task::consume_budget().await;
        if self.is_closed() { Err(Closed) } else { Ok(()) }
    }

    /// Waits until the subscription has ended.
    pub async fn closed(&self) {
        self.events.closed().await;
    }

    /// Whether the subscription has ended.
    pub fn is_closed(&self) -> bool {
        self.events.is_closed()
    }
}

/// The subscription has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl Arrivals {
    /// The next event with the publisher that it comes from; `None` when no publisher is followed any more.
    pub fn poll_recv(&mut self, task: &mut Context<'_>) -> Poll<Option<(ServiceName, Event)>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(next));
        }
        let arrived = ready!(self.events.poll_recv(task));
        let (Some(newer), Some((from, Event::Item { topic, .. }))) = (&self.newer, &arrived) else {
            return Poll::Ready(arrived);
        };
        let replaced = lock(newer).remove(&(from.clone(), topic.clone())).flatten();
        Poll::Ready(match replaced {
            Some(Replaced { by, items }) => {
                let from = from.clone();
                self.next = Some((from.clone(), by));
                Some((from, Event::Gap(items, GapReason::Superseded)))
            }
            None => arrived,
        })
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.events.len() + usize::from(self.next.is_some())
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a panic has left is whole: every change is one operation.
fn lock<T>(newer: &Mutex<T>) -> MutexGuard<'_, T> {
    newer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn item(topic: &str, number: u8) -> Event {
        let topic = Topic::new(topic).expect("a topic");
        Event::Item { topic, encoding: Encoding::Bincode, bytes: Bytes::copy_from_slice(&[number]) }
    }

    /// What is taken, as text: who, topic and number, or how many are missing.
    async fn take(arrivals: &mut Arrivals) -> String {
        match poll_fn(|task| arrivals.poll_recv(task)).await {
            Some((from, Event::Item { topic, bytes, .. })) => format!("{from} {topic} {}", bytes[0]),
            Some((from, Event::Gap(count, _))) => format!("{from} -{count}"),
            Some((from, Event::Lost)) => format!("{from} lost"),
            None => "end".to_owned(),
        }
    }

    #[actix::test]
    async fn the_newest_is_taken_as_of_the_moment_of_taking() {
        let (sink, mut arrivals) = pair(Policy::Latest);
        let [a, b] = ["a", "b"].map(|name| ServiceName::new(name).expect("a name"));
        for number in 0..200 {
            sink.send(&a, item("x", number)).await.expect("open");
        }
        sink.send(&b, item("x", 1)).await.expect("open");
        sink.send(&a, item("y", 2)).await.expect("open");
        assert_eq!(take(&mut arrivals).await, "a -199");
        assert_eq!(take(&mut arrivals).await, "a x 199");
        sink.send(&b, item("x", 3)).await.expect("open");
        sink.send(&a, Event::Lost).await.expect("open");
        assert_eq!(take(&mut arrivals).await, "b -1");
        assert_eq!(take(&mut arrivals).await, "b x 3");
        assert_eq!(take(&mut arrivals).await, "a y 2");
        assert_eq!(take(&mut arrivals).await, "a lost");
        drop(sink);
        assert_eq!(take(&mut arrivals).await, "end");
    }

    #[actix::test]
    async fn all_others_are_kept_in_order_and_hold_up_the_feed() {
        let (sink, mut arrivals) = pair(Policy::default());
        let a = ServiceName::new("a").expect("a name");
        for number in 0..AHEAD {
            sink.send(&a, item("x", number as u8)).await.expect("open");
        }
        let held_up = poll_fn(|task| {
            let sending = std::pin::pin!(sink.send(&a, item("x", 255)));
            Poll::Ready(sending.poll(task).is_pending())
        });
        assert!(held_up.await);
        for number in 0..AHEAD {
            assert_eq!(take(&mut arrivals).await, format!("a x {number}"));
        }
        drop(arrivals);
        assert_eq!(sink.send(&a, Event::Lost).await, Err(Closed));
    }
}
