//! The queue of one subscriber: events from all its publishers that wait to be taken.
//!
//! Items arrive and wait as whole frames, as many together as one read has brought, and are split when they are taken.
//! A subscriber that asked for the newest items of each topic gets them as of the moment when it takes one, however
//! long others have waited in front: items are replaced here as well, and not only at the publisher, which notices a
//! slow subscriber only once the sockets in between are full.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use meshzero_proto::codec::Encoding;
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::{self, GapReason, Keep, Policy};
use meshzero_proto::wire::frame::{self, FrameKind, Frames};
use tokio::sync::mpsc;
use tokio::task;

use crate::client::subscription::latest::{LatestItems, TopicKey};

/// The number of batches that wait for the subscriber before its feeds are held back: so few that the items are still
/// in the processor's cache when they are taken. The publishers' backlogs fill behind them.
const AHEAD: usize = 2;

/// The same limit for a subscriber that wants the newest of each topic only: in items, for each item kept per topic.
const AHEAD_LATEST: usize = 16;

/// The upper limit of that number of items, however many the subscriber wants.
const MAX_LATEST: usize = 1 << 16;

/// An event for a subscriber.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// An item, which [`EventQueue::item`] returns until the next event.
    Item(ItemPosition),
    /// Items that are missing at this point: their publisher, their number, and the reason.
    Gap(ServiceName, u64, GapReason),
    /// The publisher is gone, or cannot be reached.
    Lost(ServiceName),
}

/// The position of an item in its batch of frames.
#[derive(Debug, PartialEq, Eq)]
pub struct ItemPosition {
    encoding: Encoding,
    bytes: Range<usize>,
}

/// An item that has been received, and not decoded.
#[derive(Debug)]
pub struct ReceivedItem<'a> {
    /// Its publisher.
    pub from: &'a ServiceName,
    /// Its topic.
    pub topic: &'a Topic,
    /// Its encoding.
    pub encoding: Encoding,
    /// The encoded item.
    pub bytes: &'a [u8],
    /// The batch of frames that the item is a part of.
    pub source: &'a Bytes,
}

/// An entry of the queue.
#[derive(Debug)]
enum Queued {
    /// Whole frames.
    Frames(Bytes),
    /// The topic whose newest item is next, for a subscriber that wants the newest only.
    Latest(Bytes),
    Lost,
}

/// The sending end, at which a subscriber's feeds put events.
#[derive(Debug, Clone)]
pub(crate) struct EventSink {
    queue: mpsc::Sender<(ServiceName, Queued)>,
    latest: Option<Arc<LatestItems>>,
}

/// The receiving end, at which the subscriber takes events. Dropping it ends the subscription.
#[derive(Debug)]
pub struct EventQueue {
    queue: mpsc::Receiver<(ServiceName, Queued)>,
    latest: Option<Arc<LatestItems>>,
    /// The batch being taken: its publisher, its frames, and the position of the next frame.
    current: Option<(ServiceName, Bytes, usize)>,
    /// The frames of the same publisher that follow `current`, if that consists of the gap before them.
    next_frames: Option<Bytes>,
    /// The topic of the item taken last, which often is that of the next one.
    topic: Option<Topic>,
}

/// Creates both ends for a subscription with this policy.
pub(crate) fn pair(policy: Policy) -> (EventSink, EventQueue) {
    let (ahead, latest) = match policy.keep {
        Keep::DropOldest | Keep::Wait => (AHEAD, None),
        Keep::Last { items } => {
            let each = (items as usize).clamp(1, MAX_LATEST);
            let latest = LatestItems::new(each, policy.bytes);
            ((AHEAD_LATEST * each).min(MAX_LATEST), Some(Arc::new(latest)))
        }
    };
    let (sender, receiver) = mpsc::channel(ahead);
    let sink = EventSink { queue: sender, latest: latest.clone() };
    (sink, EventQueue { queue: receiver, latest, current: None, next_frames: None, topic: None })
}

impl EventSink {
    /// Sends whole frames, once there is room for them, and leaves `frames` empty.
    ///
    /// # Errors
    /// [`SubscriptionClosed`] when the subscription has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe: frames that were not sent are still in `frames`.
    pub(crate) async fn send(
        &self,
        from: &ServiceName,
        frames: &mut Bytes,
    ) -> Result<(), SubscriptionClosed> {
        if frames.is_empty() {
            return Ok(());
        }
        let Some(latest) = &self.latest else {
            let permit = self.queue.reserve().await.map_err(|_| SubscriptionClosed)?;
            permit.send((from.clone(), Queued::Frames(std::mem::take(frames))));
            return Ok(());
        };
        loop {
            let mut rest = Frames::new(frames);
            let Some((header, payload)) = rest.next() else { break };
            let frame = frames.slice(..frames.len() - rest.remaining());
            let length = frame.len();
            match (header.kind, news::read_item(payload), news::read_gap(payload)) {
                (FrameKind::News, Some((topic, _)), _) => {
                    let key = (from.clone(), frames.slice_ref(topic));
                    self.send_latest(latest, key, frame).await?;
                }
                (FrameKind::Gap, _, Some((count, reason))) => latest.record_missed(from, count, reason),
                (kind, ..) if kind.is_keep_alive() => {}
                _ => warn_malformed(from),
            }
            frames.advance(length);
            // A publisher that never pauses must not keep the subscriber from running.
            task::consume_budget().await;
            if self.is_closed() {
                return Err(SubscriptionClosed);
            }
        }
        frames.clear();
        Ok(())
    }

    /// Sends the event that the publisher is gone.
    ///
    /// # Errors
    /// [`SubscriptionClosed`] when the subscription has ended.
    pub(crate) async fn send_lost(&self, from: &ServiceName) -> Result<(), SubscriptionClosed> {
        let gaps = self.latest.as_ref().map(|latest| latest.take_gap(from)).unwrap_or_default();
        if !gaps.is_empty() {
            self.push(from, Queued::Frames(gaps)).await?;
        }
        self.push(from, Queued::Lost).await
    }

    async fn push(&self, from: &ServiceName, entry: Queued) -> Result<(), SubscriptionClosed> {
        let permit = self.queue.reserve().await.map_err(|_| SubscriptionClosed)?;
        permit.send((from.clone(), entry));
        Ok(())
    }

    async fn send_latest(
        &self,
        latest: &LatestItems,
        key: TopicKey,
        frame: Bytes,
    ) -> Result<(), SubscriptionClosed> {
        // Meanwhile one may be taken, or another instance may send one.
        while !latest.replace(&key, &frame) {
            latest.wait_for_room().await;
            let permit = self.queue.reserve().await.map_err(|_| SubscriptionClosed)?;
            if latest.add(&key, &frame) {
                permit.send((key.0, Queued::Latest(key.1)));
                break;
            }
        }
        Ok(())
    }

    /// Waits until the subscription has ended.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Returns whether the subscription has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// The error of a subscription that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubscriptionClosed;

impl EventQueue {
    /// Takes the next event; `None` when no publisher is followed any more.
    #[inline(always)]
    pub fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.next_item() {
            Some(item) => Poll::Ready(Some(Event::Item(item))),
            None => self.poll_others(task),
        }
    }

    /// Returns the item at this position of the batch that is being taken.
    #[inline(always)]
    pub fn item(&self, position: ItemPosition) -> Option<ReceivedItem<'_>> {
        let (from, source, _) = self.current.as_ref()?;
        let ItemPosition { encoding, bytes } = position;
        Some(ReceivedItem { from, topic: self.topic.as_ref()?, encoding, bytes: source.get(bytes)?, source })
    }

    /// Takes the next frame of the batch, if that is an item: most are.
    #[inline(always)]
    fn next_item(&mut self) -> Option<ItemPosition> {
        let (_, frames, position) = self.current.as_mut()?;
        let mut rest = Frames::new(frames.get(*position..)?);
        let (header, payload) = rest.next()?;
        if header.kind != FrameKind::News {
            return None;
        }
        let (topic, bytes) = news::read_item(payload)?;
        if !self.topic.as_ref().is_some_and(|last| last.is(topic)) {
            self.topic = Some(parse_topic(topic)?);
        }
        *position = frames.len() - rest.remaining();
        let encoding = frame::encoding(header.flags, frame::BINCODE);
        Some(ItemPosition { encoding, bytes: *position - bytes.len()..*position })
    }

    /// Takes the next event where that is not simply the next item of this batch.
    #[inline(never)]
    fn poll_others(&mut self, task: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(item) = self.next_item() {
                return Poll::Ready(Some(Event::Item(item)));
            }
            if let Some((from, frames, position)) = &mut self.current {
                let mut rest = Frames::new(&frames[*position..]);
                if let Some((header, payload)) = rest.next() {
                    *position = frames.len() - rest.remaining();
                    if let Some((count, reason)) = gap(from, header.kind, payload) {
                        return Poll::Ready(Some(Event::Gap(from.clone(), count, reason)));
                    }
                    continue;
                }
                if let Some(next) = self.next_frames.take() {
                    (*frames, *position) = (next, 0);
                    continue;
                }
            }
            self.current = None;
            match ready!(self.queue.poll_recv(task)) {
                None => return Poll::Ready(None),
                Some((from, Queued::Lost)) => return Poll::Ready(Some(Event::Lost(from))),
                Some((from, Queued::Frames(frames))) => self.current = Some((from, frames, 0)),
                Some((from, Queued::Latest(topic))) => {
                    let key = (from, topic);
                    if let Some((frame, gaps)) = self.latest.as_ref().and_then(|latest| latest.take(&key)) {
                        self.current = Some((key.0, gaps, 0));
                        self.next_frames = Some(frame);
                    }
                }
            }
        }
    }

    /// The number of batches that wait.
    pub fn len(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some())
    }

    /// Returns whether no batch waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns the topic with this text; `None` if that is not a valid topic.
#[inline(never)]
fn parse_topic(text: &[u8]) -> Option<Topic> {
    Topic::new(std::str::from_utf8(text).ok()?).ok()
}

/// Returns the gap that a frame other than an item announces, if any.
#[cold]
fn gap(from: &ServiceName, kind: FrameKind, payload: &[u8]) -> Option<(u64, GapReason)> {
    match (kind, news::read_gap(payload)) {
        (FrameKind::Gap, Some(gap)) => return Some(gap),
        (FrameKind::Gap | FrameKind::News, _) => warn_malformed(from),
        // Nothing else belongs here, and nothing else is worth losing items for.
        _ => {}
    }
    None
}

#[cold]
fn warn_malformed(from: &ServiceName) {
    tracing::warn!(%from, "dropped a malformed item or gap");
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn item(topic: &str, number: u8) -> Bytes {
        let mut frame = Vec::new();
        let topic = Topic::new(topic).expect("a topic");
        let writing = news::begin_item(&mut frame, &topic);
        frame.push(number);
        writing.end::<()>(&mut frame, Ok(Encoding::Bincode)).expect("it is encoded");
        frame.into()
    }

    /// Returns the next event as text: publisher, topic and number, or the number of missing items.
    async fn take(events: &mut EventQueue) -> String {
        match poll_fn(|task| events.poll_next(task)).await {
            Some(Event::Item(position)) => {
                let item = events.item(position).expect("it was just found");
                format!("{} {} {}", item.from, item.topic, item.bytes[0])
            }
            Some(Event::Gap(from, count, _)) => format!("{from} -{count}"),
            Some(Event::Lost(from)) => format!("{from} lost"),
            None => "end".to_owned(),
        }
    }

    fn name(name: &str) -> ServiceName {
        ServiceName::new(name).expect("a name")
    }

    #[actix::test]
    async fn the_item_taken_is_the_newest_at_that_moment() {
        let (sink, mut events) = pair(Policy::last(1));
        let [a, b] = ["a", "b"].map(name);
        for number in 0..200 {
            sink.send(&a, &mut item("x", number)).await.expect("open");
        }
        sink.send(&b, &mut item("x", 1)).await.expect("open");
        sink.send(&a, &mut item("y", 2)).await.expect("open");
        assert_eq!(take(&mut events).await, "a -199");
        assert_eq!(take(&mut events).await, "a x 199");
        let mut both = [item("x", 3), news::gap(7, GapReason::Overflow).into()].concat().into();
        sink.send(&b, &mut both).await.expect("open");
        sink.send_lost(&a).await.expect("open");
        let mut both = [item("x", 4), news::gap(1, GapReason::Rate).into()].concat().into();
        sink.send(&b, &mut both).await.expect("open");
        sink.send_lost(&b).await.expect("open");
        for expected in ["b -2", "b -7", "b x 4", "a y 2", "a lost", "b -1", "b lost"] {
            assert_eq!(take(&mut events).await, expected, "each gap before the item that it came before");
        }
        drop(sink);
        assert_eq!(take(&mut events).await, "end");
    }

    #[actix::test]
    async fn the_items_taken_are_the_last_few_of_each_topic_at_that_moment() {
        let (sink, mut events) = pair(Policy::last(2));
        let a = name("a");
        for number in 0..100 {
            sink.send(&a, &mut item("x", number)).await.expect("open");
        }
        sink.send(&a, &mut item("y", 1)).await.expect("open");
        for expected in ["a -98", "a x 98"] {
            assert_eq!(take(&mut events).await, expected);
        }
        let mut three = [item("x", 100), item("x", 101), item("y", 2)].concat().into();
        sink.send(&a, &mut three).await.expect("open");
        for expected in ["a -1", "a x 100", "a y 1", "a x 101", "a y 2"] {
            assert_eq!(take(&mut events).await, expected);
        }
    }

    #[actix::test]
    async fn the_latest_items_have_a_byte_limit_that_holds_up_the_feed() {
        let (sink, mut events) = pair(Policy { bytes: 10, ..Policy::last(100) });
        let a = name("a");
        let is_held_up = async |number| {
            let mut frames = item("x", number);
            let mut sending = std::pin::pin!(sink.send(&a, &mut frames));
            poll_fn(|task| Poll::Ready(sending.as_mut().poll(task).is_pending())).await
        };
        assert!(!is_held_up(0).await, "one always fits");
        assert!(is_held_up(1).await);
        assert_eq!(take(&mut events).await, "a x 0");
        assert!(!is_held_up(2).await);
        assert_eq!(take(&mut events).await, "a x 2");
    }

    #[actix::test]
    async fn items_of_other_policies_are_kept_in_order_and_hold_up_the_feed() {
        let (sink, mut events) = pair(Policy::default());
        let a = name("a");
        for number in 0..AHEAD as u8 {
            let mut both = [item("x", number), item("y", number)].concat().into();
            sink.send(&a, &mut both).await.expect("open");
        }
        let held_up = poll_fn(|task| {
            let mut frames = item("x", 255);
            let sending = std::pin::pin!(sink.send(&a, &mut frames));
            Poll::Ready(sending.poll(task).is_pending())
        });
        assert!(held_up.await);
        for number in 0..AHEAD {
            assert_eq!(take(&mut events).await, format!("a x {number}"));
            assert_eq!(take(&mut events).await, format!("a y {number}"));
        }
        drop(events);
        assert_eq!(sink.send_lost(&a).await, Err(SubscriptionClosed));
    }

    #[actix::test]
    async fn malformed_items_are_skipped() {
        let (sink, mut events) = pair(Policy::default());
        let a = name("a");
        let mut frames = Vec::new();
        for payload in [&b""[..], b"\xffshort", b"\x02\xff\xfe1", b"\x001"] {
            frame::write(&mut frames, frame::Header::new(FrameKind::News, 0), payload);
        }
        frame::write(&mut frames, frame::Header::new(FrameKind::Gap, 0), b"short");
        frames.extend_from_slice(&item("x", 1));
        sink.send(&a, &mut frames.into()).await.expect("open");
        assert_eq!(take(&mut events).await, "a  49", "a topic may be empty");
        assert_eq!(take(&mut events).await, "a x 1");
    }
}
