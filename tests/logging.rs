//! Logging through the mesh: a subscriber of `tracing` that sends and publishes events, and values that log, send and wait while
//! they are serialised.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;

use actix::prelude::*;
use meshzero::zero::{self, Advert, future};
use meshzero::{Mesh, ServiceRef, Subscription, Value, trace};
use serde::{Deserialize, Serialize, Serializer};
use tokio::task::spawn_blocking;
use tracing::span::{Attributes, Id};
use tracing::subscriber::set_global_default;
use tracing::{Event, Metadata, Subscriber, span};

use crate::pair::{PATIENCE, Pair, until};

/// The closure that is called for each event and span.
type Hook = Arc<dyn Fn() + Send + Sync>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// The number of events and spans received.
static RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// A subscriber that calls a test's closure for each event and span, on the same thread, like one that sends them.
struct Forwarding;

impl Forwarding {
    fn hear(&self) {
        assert!(RECEIVED.fetch_add(1, Ordering::SeqCst) < 100_000, "it goes round in circles");
        let hook = HOOK.lock().expect("no holder of the lock panics").clone();
        if let Some(hook) = hook {
            hook();
        }
    }
}

impl Subscriber for Forwarding {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("meshzero") || metadata.target() == "test"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.hear();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.hear();
    }

    fn enter(&self, _: &Id) {
        self.hear();
    }

    fn exit(&self, _: &Id) {}
}

/// Calls `hook` for each event and span from now on.
fn set_hook(hook: impl Fn() + Send + Sync + 'static) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| set_global_default(Forwarding).expect("each test is a process of its own"));
    *HOOK.lock().expect("no holder of the lock panics") = Some(Arc::new(hook));
}

fn hear_nothing() {
    *HOOK.lock().expect("no holder of the lock panics") = None;
}

fn log() {
    tracing::info!(target: "test", "a line");
}

/// Runs work that must not block, on a thread of its own, with a timeout.
async fn in_time(what: &str, work: impl FnOnce() + Send + 'static) {
    let (tx, rx) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        work();
        // While the thread still has the thread-locals that dropping a handle needs.
        MEANWHILE.take();
        let _ = tx.send(());
    });
    let done = tokio::time::timeout(PATIENCE, rx).await;
    done.unwrap_or_else(|_| panic!("it stands still: {what}")).expect("it does not panic");
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Line(u64);

thread_local! {
    /// The closure that serialising a [`Chatty`] runs on this thread.
    static MEANWHILE: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Runs another closure while it is serialised.
#[derive(Message, Deserialize)]
#[rtype(result = "()")]
struct Chatty(u64);

impl Serialize for Chatty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MEANWHILE.with_borrow(|meanwhile| {
            if let Some(meanwhile) = meanwhile {
                meanwhile();
            }
        });
        serializer.serialize_newtype_struct("Chatty", &self.0)
    }
}

fn meanwhile(what: impl Fn() + 'static) {
    MEANWHILE.set(Some(Box::new(what)));
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u64>>>);

impl Collector {
    fn collected(&self) -> Vec<u64> {
        self.0.lock().expect("no holder of the lock panics").clone()
    }
}

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<Line> for Collector {
    type Result = ();

    fn handle(&mut self, Line(line): Line, _: &mut Context<Self>) {
        self.0.lock().expect("no holder of the lock panics").push(line);
    }
}

impl Handler<Chatty> for Collector {
    type Result = ();

    fn handle(&mut self, Chatty(line): Chatty, _: &mut Context<Self>) {
        self.0.lock().expect("no holder of the lock panics").push(line);
    }
}

/// A collector in this process and one over TCP, as their callers have them.
async fn collector(pair: &Pair) -> (Collector, meshzero::Service<Collector>, [ServiceRef; 2]) {
    let collector = Collector::default();
    let actor = collector.clone();
    let offer = pair.here.advertise("collector", move || actor.clone());
    let service = offer.handles::<Line>().handles::<Chatty>().await.expect("advertised");
    let here = pair.here.discover("collector").within(PATIENCE).await.expect("it is found");
    let there = pair.there.discover("collector").within(PATIENCE).await.expect("it is found");
    (collector, service, [here, there])
}

#[actix::test]
async fn a_subscriber_that_sends_gets_no_event_about_its_own_failure() {
    let pair = Pair::join().await;
    let (_, service, handles) = collector(&pair).await;
    service.close().await;
    for handle in handles {
        until("nobody is connected", || handle.instances().is_empty()).await;
        let sender = handle.clone();
        set_hook(move || sender.do_send(Line(1)));
        let heard = RECEIVED.load(Ordering::SeqCst);
        in_time("a line for nobody", || (0..10).for_each(|_| log())).await;
        hear_nothing();
        assert!(handle.stats().calls.dropped >= 10);
        assert!(RECEIVED.load(Ordering::SeqCst) - heard <= 100, "each line, and that it was not sent");
    }
}

#[actix::test]
async fn a_subscriber_that_sends_events_about_traces_does_not_recurse_forever() {
    let pair = Pair::join().await;
    let (collector, _service, handles) = collector(&pair).await;
    for handle in handles {
        let sender = handle.clone();
        set_hook(move || sender.do_send(Line(1)));
        let root = trace::begin();
        handle.send(Line(2)).trace(root).timeout(PATIENCE).await.expect("it is answered");
        trace::in_scope(root, || handle.do_send(Line(3)));
        hear_nothing();
        until("it is handled", || collector.collected().contains(&3)).await;
        collector.0.lock().expect("no holder of the lock panics").clear();
    }
}

#[tokio::test]
async fn a_subscriber_that_opens_an_address_sees_names_and_messages_of_others() {
    let settings = Mesh::join().mesh("a subscriber that opens").interfaces("lo");
    zero::join(settings.clone()).expect("the first verb of this process");
    let other = settings.await.expect("joined");
    let advertise = |messages: &[&str]| {
        let messages = messages.iter().map(|name| (*name).to_owned()).collect();
        zero::advertise_with("moving", Advert { messages, ..Advert::default() }).expect("advertised")
    };
    let from = spawn_blocking(move || advertise(&[])).await.expect("it does not panic");
    let service = other.discover(from.to_string()).within(PATIENCE).await.expect("it is found");
    service.do_send(Value::from(1));
    let arrival = future::wait_for_message_from(from, PATIENCE).await.expect("it is open");
    // It has arrived, and waits again.
    drop(arrival.expect("it comes"));
    let (heard, hears) = mpsc::channel();
    in_time("a name that moves, and one that is taken back", move || {
        let this = thread::current().id();
        set_hook(move || {
            if thread::current().id() == this {
                let unopened = zero::address().expect("an address");
                zero::send_news_to(unopened, "log", 1).expect("it is opened");
                heard.send(()).expect("the test listens");
            }
        });
        assert_ne!(advertise(&["word"]), from);
        assert!(zero::unadvertise("moving").expect("joined"));
    })
    .await;
    hear_nothing();
    assert_eq!(hears.try_iter().count(), 2, "the name has moved, and the message is dropped");
}

#[actix::test]
async fn an_item_that_logs_by_its_own_publisher_is_published_after_its_log() {
    let pair = Pair::join().await;
    let (_, service, [here, there]) = collector(&pair).await;
    let publisher = service.publisher();
    let mut near: Subscription<u64> = here.subscribe("").await.expect("confirmed");
    let mut far: Subscription<u64> = there.subscribe("").await.expect("confirmed");
    let by_log = publisher.clone();
    set_hook(move || by_log.publish("log", &7_u64).expect("published"));
    in_time("an item that logs", move || {
        meanwhile(log);
        publisher.publish("item", &Chatty(8)).expect("published");
        meanwhile(|| ());
        publisher.publish("item", &Chatty(9)).expect("published");
    })
    .await;
    hear_nothing();
    for subscription in [&mut near, &mut far] {
        let mut items = Vec::new();
        while items.last() != Some(&9) {
            let next = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("in time");
            items.push(next.expect("goes on").expect("an item").item);
        }
        assert!(items.starts_with(&[7]) && items.ends_with(&[8, 9]), "{items:?}");
    }
}

#[actix::test]
async fn a_message_that_sends_by_its_own_handle_comes_after_what_it_sent() {
    let pair = Pair::join().await;
    let (collector, _service, [_, there]) = collector(&pair).await;
    let sender = there.clone();
    in_time("a message that sends", move || {
        let inner = sender.clone();
        meanwhile(move || inner.do_send(Line(1)));
        sender.do_send(Chatty(2));
        meshzero::block_on(sender.tell(Chatty(3))).expect("it sets out");
        meshzero::block_on(async { sender.send(Chatty(4)).timeout(PATIENCE).await }).expect("answered");
    })
    .await;
    assert_eq!(collector.collected(), [1, 2, 1, 3, 1, 4]);
}

#[actix::test]
async fn values_that_wait_for_each_other_while_they_are_serialised_block_nobody() {
    let pair = Pair::join().await;
    let (_, service, [_, there]) = collector(&pair).await;
    let mut items: Subscription<u64> = there.subscribe("").await.expect("confirmed");
    let publisher = service.publisher();
    for way in ["publish", "tell"] {
        let (begun, has_begun) = mpsc::channel();
        let (go, goes) = mpsc::channel();
        let send = {
            let (publisher, there) = (publisher.clone(), there.clone());
            move |number: u64| match way {
                "publish" => publisher.publish("item", &Chatty(number)).expect("published"),
                _ => there.do_send(Chatty(number)),
            }
        };
        let first = send.clone();
        let waiting = thread::spawn(move || {
            meanwhile(move || {
                begun.send(()).expect("somebody waits");
                // As with a lock that another thread holds while it sends.
                goes.recv_timeout(PATIENCE).expect("the other one has sent");
            });
            first(1);
        });
        in_time(way, move || {
            has_begun.recv_timeout(PATIENCE).expect("it has begun");
            send(2);
            go.send(()).expect("somebody waits");
        })
        .await;
        waiting.join().expect("it does not panic");
    }
    for expected in [2, 1] {
        let next = tokio::time::timeout(PATIENCE, items.next()).await.expect("in time");
        assert_eq!(next.expect("goes on").expect("an item").item, expected);
    }
}
