//! Promise 4: every queue is bounded; what exceeds a bound is refused, dropped or waited for, and counted. Each queue is sent far
//! more than it holds, to a receiver that does not read.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use actix::prelude::*;
use meshzero::{Blob, Limits, LinkPurpose, Mesh, News, NewsError, Service, ServiceRef, TrySendError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::pair::{PATIENCE, Pair, poll, until};

/// The number of messages: 200 MB of them.
pub const MANY: usize = 20_000;

/// The bytes of each.
pub const LENGTH: usize = 10_000;

/// The limit of the growth: far less than all of them, and more than the sum of the bounds.
const MOST_GROWTH: usize = 64 << 20;

/// Messages that exist in this process.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Counts one message as long as it exists.
struct Counted;

impl Counted {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A message that is large itself.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Inline {
    #[serde(skip, default = "inline")]
    _bytes: [u8; LENGTH],
}

fn inline() -> [u8; LENGTH] {
    [7; LENGTH]
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Load(Blob, #[serde(skip, default = "Counted::new")] Counted);

impl Load {
    fn new() -> Self {
        Self(vec![7; LENGTH].into(), Counted::new())
    }
}

fn alive() -> usize {
    ALIVE.load(Ordering::SeqCst)
}

/// The resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4_096
}

/// Checks that memory and messages stay bounded while `work` runs.
pub async fn check_memory(what: &str, work: impl AsyncFnOnce()) {
    let before = resident();
    work().await;
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{what}: {} MB more", grown >> 20);
}

/// Sends [`MANY`] messages, yielding to other tasks in between, and checks that memory does not grow.
pub async fn send_many(what: &str, mut send: impl FnMut()) {
    check_memory(what, async || {
        for round in 0..MANY {
            send();
            if round % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

/// An actor that handles nothing until it is released.
#[derive(Clone)]
struct Still {
    gate: Arc<Semaphore>,
    handled: Arc<AtomicUsize>,
}

impl Still {
    fn new() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), handled: Arc::default() }
    }

    fn go_on(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    fn handled(&self) -> usize {
        self.handled.load(Ordering::SeqCst)
    }

    async fn offer(&self, mesh: &Mesh) -> Service<Self> {
        let still = self.clone();
        mesh.advertise("still", move || still.clone()).handles::<Load>().await.expect("advertised")
    }

    async fn offer_own(&self, mesh: &Mesh) -> Service<Self> {
        let offer = mesh.advertise_addr("still", self.clone().start());
        offer.handles::<Load>().await.expect("advertised")
    }
}

impl Actor for Still {
    type Context = Context<Self>;
}

impl Handler<Load> for Still {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, load: Load, _: &mut Context<Self>) -> Self::Result {
        let (gate, handled) = (Arc::clone(&self.gate), Arc::clone(&self.handled));
        let handle = async move {
            gate.acquire().await.expect("never closed").forget();
            handled.fetch_add(1, Ordering::SeqCst);
            drop(load);
        };
        AtomicResponse::new(Box::pin(actix::fut::wrap_future::<_, Self>(handle)))
    }
}

async fn reach(mesh: &Mesh) -> ServiceRef {
    mesh.discover("still").within(PATIENCE).await.expect("it is found")
}

/// Floods an actor that does not read, in every way that there is to send within this process.
async fn everything_at_once(handle: &ServiceRef, most: usize) {
    check_memory("do_send", async || {
        let before = handle.stats().calls.dropped;
        (0..MANY).for_each(|_| handle.do_send(Load::new()));
        let dropped = (handle.stats().calls.dropped - before) as usize;
        assert!(dropped + most >= MANY, "{dropped} are counted");
        assert!(alive() <= most, "{} wait", alive());
    })
    .await;
    check_memory("try_send", async || {
        for _ in 0..MANY {
            assert!(matches!(handle.try_send(Load::new()), Err(TrySendError::Full(_))));
        }
        assert!(alive() <= most, "{} wait", alive());
    })
    .await;
    send_many("calls that are dropped", || {
        assert!(poll(&mut Box::pin(handle.send(Load::new()))).is_pending());
        assert!(poll(&mut Box::pin(handle.tell(Load::new()))).is_pending());
    })
    .await;
    until("they are gone", || alive() <= most).await;
    check_memory("a recipient", async || {
        let before = handle.stats().calls.dropped;
        let recipient = handle.recipient::<Load>();
        (0..MANY).for_each(|_| recipient.do_send(Load::new()));
        let by_thread = recipient.clone();
        let thread = thread::spawn(move || (0..MANY).for_each(|_| by_thread.do_send(Load::new())));
        until("the thread has ended", || thread.is_finished()).await;
        let under_way = 256 + 1_024;
        until("they are counted", || {
            let dropped = (handle.stats().calls.dropped - before) as usize;
            dropped + under_way + 2 >= 2 * MANY
        })
        .await;
        assert!(alive() <= most + under_way + 2, "{} wait", alive());
        for _ in 0..MANY / 10 {
            assert!(poll(&mut Box::pin(recipient.send(Load::new()))).is_pending());
            tokio::task::yield_now().await;
        }
        until("those nobody waits for are gone", || alive() <= most + under_way + 2).await;
    })
    .await;
}

#[actix::test]
async fn the_mailbox_of_a_service_and_the_messages_waiting_for_it() {
    let pair = Pair::join().await;
    let still = Still::new();
    let service = still.offer(&pair.here).await;
    let handle = reach(&pair.here).await;
    // One message is being handled, and no longer counts as waiting.
    everything_at_once(&handle, Limits::default().mailbox + 1).await;
    assert!(service.unfinished() <= Limits::default().mailbox);
    still.go_on();
    until("all that was accepted is handled", || service.unfinished() == 0 && still.handled() >= 256).await;
}

#[actix::test]
async fn the_mailbox_of_an_actor_of_the_program() {
    let pair = Pair::join().await;
    let still = Still::new();
    let service = still.offer_own(&pair.here).await;
    let handle = reach(&pair.here).await;
    everything_at_once(&handle, Limits::default().mailbox + 1).await;
    assert!(service.unfinished() <= Limits::default().mailbox);
    still.go_on();
    until("all that was accepted is handled", || service.unfinished() == 0 && still.handled() >= 256).await;
}

#[actix::test]
async fn a_link_whose_service_reads_nothing() {
    let pair = Pair::join().await;
    let still = Still::new();
    let service = still.offer(&pair.here).await;
    let handle = reach(&pair.there).await;
    send_many("do_send over a link", || handle.do_send(Load::new())).await;
    let stats = handle.stats();
    let waiting: u64 = stats.links.iter().map(|link| link.waiting).sum();
    let limits = Limits::default();
    assert!(waiting <= (limits.send_queue_bytes + limits.message_bytes) as u64, "{waiting} bytes");
    let taken = (limits.send_queue_bytes + (8 << 20)) / LENGTH;
    assert!(stats.calls.dropped as usize + taken >= MANY, "{} are counted", stats.calls.dropped);
    send_many("calls over a link that are dropped", || {
        let _ = poll(&mut Box::pin(handle.send(Load::new())));
        let _ = poll(&mut Box::pin(handle.tell(Load::new())));
    })
    .await;
    assert!(service.unfinished() <= Limits::default().mailbox);
}

#[actix::test]
async fn the_mailbox_of_a_recipient_whose_thread_does_something_else() {
    let pair = Pair::join().await;
    let still = Still::new();
    let _service = still.offer(&pair.here).await;
    let handle = reach(&pair.here).await;
    let recipient = handle.recipient::<Inline>();
    // This thread is the mesh's, and receives nothing meanwhile.
    let before = resident();
    (0..MANY).for_each(|_| recipient.do_send(Inline { _bytes: inline() }));
    let grown = resident().saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{} MB more", grown >> 20);
    let taken = recipient.try_send(Inline { _bytes: inline() });
    assert!(
        taken.is_ok() && matches!(recipient.try_send(Inline { _bytes: inline() }), Err(SendError::Full(_)))
    );
    until("they are counted", || handle.stats().calls.dropped as usize + 1_024 >= MANY).await;
}

/// A request for as much as one message above.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Blob")]
struct Fetch;

struct Store;

impl Actor for Store {
    type Context = Context<Self>;
}

impl Handler<Fetch> for Store {
    type Result = MessageResult<Fetch>;

    fn handle(&mut self, _: Fetch, _: &mut Context<Self>) -> Self::Result {
        MessageResult(vec![7; LENGTH].into())
    }
}

#[actix::test]
async fn the_replies_that_are_not_polled() {
    let pair = Pair::join().await;
    let _service = pair.here.advertise("still", || Store).handles::<Fetch>().await.expect("advertised");
    let handle = reach(&pair.there).await;
    handle.send(Fetch).await.expect("a reply");
    let mut calls = Vec::new();
    for _ in 0..5_000 {
        let mut call = Box::pin(handle.send(Fetch).timeout(PATIENCE));
        assert!(poll(&mut call).is_pending());
        calls.push(call);
        if calls.len() % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let unread = || handle.stats().links.iter().map(|link| link.unread).sum::<u64>() as usize;
    let limit = Limits::default().send_queue_bytes;
    until("no more make room", || unread() >= limit).await;
    (0..1_000).for_each(|_| assert!(unread() < limit + 2 * LENGTH, "{} bytes", unread()));
    for call in calls {
        let reply = tokio::time::timeout(PATIENCE, call).await.expect("in time").expect("a reply");
        assert_eq!(reply.len(), LENGTH);
    }
    assert_eq!(unread(), 0);
}

/// An item as large as one message above.
fn item() -> Blob {
    vec![7; LENGTH].into()
}

#[actix::test]
async fn the_news_of_a_subscriber_that_reads_nothing() {
    let pair = Pair::join().await;
    let service = Still::new().offer(&pair.here).await;
    for (where_from, mesh) in [("in the process", &pair.here), ("over TCP", &pair.there)] {
        let handle = reach(mesh).await;
        for wants_latest in [false, true] {
            let what = format!("news {where_from}, the latest: {wants_latest}");
            let subscribe = handle.subscribe::<Blob>("");
            let subscribe = if wants_latest { subscribe.latest() } else { subscribe.keep(1_000) };
            let mut news = subscribe.await.expect("confirmed");
            send_many(&what, || service.publish("load", &item()).expect("published")).await;
            service.publish("end", &Blob::default()).expect("published");
            let (mut items, missed) = (0, Cell::new(0));
            loop {
                let next = tokio::time::timeout(PATIENCE, news.next()).await.expect("in time");
                match next.expect("goes on") {
                    Ok(News { topic, .. }) if topic.as_str() == "end" => break,
                    Ok(_) => items += 1,
                    Err(NewsError::Missed { count, .. }) => missed.set(missed.get() + count as usize),
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(items < MANY, "{what}: {items} arrived");
            // A subscriber with the policy for the latest item is not told of replaced ones.
            let heard = items + missed.get();
            assert_eq!(heard, if wants_latest { items } else { MANY }, "{what}: each arrived or is counted");
        }
    }
}

#[actix::test]
async fn the_link_of_a_subscriber_that_leaves_without_having_read() {
    let pair = Pair::join().await;
    let service = Still::new().offer(&pair.here).await;
    let handle = reach(&pair.there).await;
    let news = handle.subscribe::<Blob>("").await.expect("confirmed");
    let waiting = || {
        let links = service.stats().links;
        links
            .iter()
            .filter(|link| link.purpose == LinkPurpose::News)
            .map(|link| link.waiting)
            .collect::<Vec<_>>()
    };
    // More than may be written without an acknowledgement.
    send_many("a subscriber that is about to leave", || service.publish("load", &item()).expect("published"))
        .await;
    until("items wait for it", || waiting().iter().sum::<u64>() > 0).await;
    drop(news);
    until("its link has ended", || waiting().is_empty()).await;
}

#[actix::test]
async fn the_news_of_a_service_that_closes_before_they_are_read() {
    const ITEMS: usize = 400;
    for uses_unix_sockets in [true, false] {
        let pair = Pair::join_over(uses_unix_sockets, uses_unix_sockets).await;
        let service = Still::new().offer(&pair.here).await;
        let mut news = reach(&pair.there).await.subscribe::<Blob>("").keep(1_000).await.expect("confirmed");
        for _ in 0..ITEMS {
            service.publish("load", &item()).expect("published");
        }
        until("they wait for the subscriber", || service.stats().links.iter().any(|link| link.waiting > 0))
            .await;
        let closing = actix::spawn(service.close());
        for read in 0..ITEMS {
            let next = tokio::time::timeout(PATIENCE, news.next()).await.expect("in time");
            assert!(matches!(next, Some(Ok(_))), "after {read} items: {next:?}");
        }
        closing.await.expect("it does not panic");
    }
}

struct Listener(Arc<Semaphore>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<News<Blob>> for Listener {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: News<Blob>, _: &mut Context<Self>) -> Self::Result {
        let gate = Arc::clone(&self.0);
        let wait = async move { gate.acquire().await.expect("never closed").forget() };
        AtomicResponse::new(Box::pin(actix::fut::wrap_future::<_, Self>(wait)))
    }
}

#[actix::test]
async fn the_mailbox_of_an_actor_that_listens() {
    let pair = Pair::join().await;
    let service = Still::new().offer(&pair.here).await;
    let listener = Listener(Arc::new(Semaphore::new(0))).start();
    let handle = reach(&pair.there).await;
    let subscribe = handle.subscribe::<Blob>("").keep(1_000);
    let _listening = subscribe.forward(listener.recipient()).await.expect("confirmed");
    send_many("an actor that listens", || service.publish("load", &item()).expect("published")).await;
    let missed = service.stats().news.missed.overflow as usize;
    assert!(missed + 3_000 >= MANY, "{missed} are counted");
}

#[actix::test]
async fn a_watch_that_is_not_polled() {
    let pair = Pair::join().await;
    let mut watch = pair.there.watch("still");
    check_memory("a watcher", async || {
        for _ in 0..200 {
            let service = Still::new().offer(&pair.here).await;
            service.close().await;
        }
    })
    .await;
    let service = Still::new().offer(&pair.here).await;
    let mut events = 0;
    let seen = async {
        loop {
            let event = watch.next().await.expect("goes on");
            events += 1;
            if format!("{event:?}").contains(&service.address().port().to_string()) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("in time");
    assert!(events <= 2 * 200 + 1, "{events}: at most one for each instance and state");
}
