//! Flow control: many messages and news in a row, blocked senders, and nothing lost, duplicated or out of order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{Blob, CallError, Limits, Mesh, News, NewsError, Service, ServiceRef, Value, block_on};
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair, poll, until};

/// More than the buffers between two actors hold.
const MANY: u64 = 20_000;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Note(u64);

/// As [`Note`], handled by a future that blocks the actor's other messages.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Blocking(u64);

/// As [`Note`], handled by a future beside which others are handled.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Concurrent(u64);

/// The handled messages, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u64>>>);

impl Seen {
    fn note(&self, number: u64) -> u64 {
        let mut seen = self.0.lock().expect("no holder of the lock panics");
        seen.push(number);
        seen.len() as u64
    }

    fn len(&self) -> u64 {
        self.0.lock().expect("no holder of the lock panics").len() as u64
    }

    async fn is_all(&self, numbers: u64) {
        until("all are handled", || self.len() >= numbers).await;
        let seen = self.0.lock().expect("no holder of the lock panics");
        assert!(seen.iter().copied().eq(0..numbers), "lost, repeated or out of order");
    }
}

struct Scribe(Seen);

impl Actor for Scribe {
    type Context = Context<Self>;
}

impl Handler<Note> for Scribe {
    type Result = u64;

    fn handle(&mut self, Note(number): Note, _: &mut Context<Self>) -> u64 {
        self.0.note(number)
    }
}

impl Handler<Blocking> for Scribe {
    type Result = AtomicResponse<Self, u64>;

    fn handle(&mut self, Blocking(number): Blocking, _: &mut Context<Self>) -> Self::Result {
        let pause = actix::fut::wrap_future::<_, Self>(tokio::task::yield_now());
        AtomicResponse::new(Box::pin(pause.map(move |(), scribe, _| scribe.0.note(number))))
    }
}

impl Handler<Concurrent> for Scribe {
    type Result = ResponseActFuture<Self, u64>;

    fn handle(&mut self, Concurrent(number): Concurrent, _: &mut Context<Self>) -> Self::Result {
        let pause = actix::fut::wrap_future::<_, Self>(tokio::task::yield_now());
        Box::pin(pause.map(move |(), _, _| number))
    }
}

/// Advertises a scribe, and returns what it has seen.
async fn advertise_scribe(pair: &Pair) -> (Seen, Service<Scribe>) {
    let seen = Seen::default();
    let make = seen.clone();
    let service = pair.here.advertise("scribe", move || Scribe(make.clone())).handles::<Note>();
    (seen, service.await.expect("advertised"))
}

async fn tell_many(scribe: &ServiceRef) -> Result<(), CallError> {
    for number in 0..MANY {
        if number % 1_000 == 7 {
            assert_eq!(scribe.send(Note(number)).timeout(PATIENCE).await?, number + 1);
        } else {
            scribe.tell(Note(number)).timeout(PATIENCE).await?;
        }
    }
    Ok(())
}

#[actix::test]
async fn tells_and_calls_of_one_sender_are_handled_in_order_and_once() {
    let pair = Pair::join().await;
    let (seen, service) = advertise_scribe(&pair).await;
    tell_many(&pair.reach(&service).await).await.expect("told");
    seen.is_all(MANY).await;
    until("all places are free again", || service.unfinished() == 0).await;
}

#[actix::test]
async fn tells_that_begin_together_are_handled_in_that_order() {
    let pair = Pair::join().await;
    let (seen, service) = advertise_scribe(&pair).await;
    let scribe = pair.reach(&service).await;
    let mut numbers = 0..10 * MANY;
    while !numbers.is_empty() {
        let tells: Vec<_> =
            numbers.by_ref().take(7).map(|number| Box::pin(scribe.tell(Note(number)))).collect();
        let mut waiting = Vec::new();
        for mut tell in tells {
            if poll(&mut tell).is_pending() {
                waiting.push(tell);
            }
        }
        // Those that wait do not depend on their owner, who awaits the last one first.
        for tell in waiting.into_iter().rev() {
            tell.await.expect("told");
        }
    }
    seen.is_all(10 * MANY).await;
}

#[actix::test]
async fn a_running_actor_handles_them_in_order_and_once_as_well() {
    let pair = Pair::join().await;
    let seen = Seen::default();
    let service = pair.here.advertise_addr("scribe", Scribe(seen.clone()).start()).handles::<Note>();
    let service = service.await.expect("advertised");
    tell_many(&pair.reach(&service).await).await.expect("told");
    seen.is_all(MANY).await;
    until("all places are free again", || service.unfinished() == 0).await;
}

#[actix::test]
async fn tells_to_a_service_of_the_same_process_are_in_order_and_wait_for_room() {
    let pair = Pair::join().await;
    let (seen, service) = advertise_scribe(&pair).await;
    let scribe = pair.here.discover("scribe").await.expect("it is here");
    tell_many(&scribe).await.expect("told");
    seen.is_all(MANY).await;
    assert!(service.unfinished() <= Limits::default().mailbox);
}

#[actix::test]
async fn another_thread_tells_in_order() {
    let pair = Pair::join().await;
    let (seen, service) = advertise_scribe(&pair).await;
    let scribe = pair.reach(&service).await;
    let teller = std::thread::spawn(move || block_on(tell_many(&scribe)));
    seen.is_all(MANY).await;
    teller.join().expect("no panic").expect("told");
}

#[actix::test]
async fn a_handler_that_makes_its_actor_wait_is_waited_for_and_futures_are_not() {
    let pair = Pair::join().await;
    let seen = Seen::default();
    let make = seen.clone();
    let service = pair.here.advertise("scribe", move || Scribe(make.clone()));
    let service =
        service.handles::<Note>().handles::<Blocking>().handles::<Concurrent>().await.expect("advertised");
    let scribe = pair.reach(&service).await;
    let mut dreams = Vec::new();
    for number in 0..1_000 {
        if number % 3 == 0 {
            scribe.tell(Blocking(number)).await.expect("told");
        } else {
            scribe.tell(Note(number)).await.expect("told");
        }
        if number % 100 == 0 {
            dreams.push(actix::spawn(scribe.send(Concurrent(number)).timeout(PATIENCE)));
        }
    }
    for (dream, number) in dreams.into_iter().zip((0..).step_by(100)) {
        assert_eq!(dream.await.expect("no panic").expect("a reply"), number);
    }
    seen.is_all(1_000).await;
}

/// A message with the same name as the scribe's, and another type.
mod misunderstood {
    use super::{Deserialize, Message, Serialize};

    #[derive(Message, Serialize, Deserialize)]
    #[rtype(result = "u64")]
    pub struct Note(pub String);
}

#[actix::test]
async fn tells_that_do_not_decode_give_their_place_back() {
    let pair = Pair::join().await;
    let seen = Seen::default();
    let service = pair.here.advertise_addr("scribe", Scribe(seen.clone()).start()).handles::<Note>();
    let service = service.await.expect("advertised");
    let scribe = pair.reach(&service).await;
    for number in 0..1_000 {
        scribe.tell(Note(number)).await.expect("told");
        scribe.tell(misunderstood::Note("what?".to_owned())).await.expect("told");
    }
    seen.is_all(1_000).await;
    until("all places are free again", || service.unfinished() == 0).await;
}

#[actix::test]
async fn a_tell_waits_for_an_instance_until_its_timeout() {
    let pair = Pair::join().await;
    let (seen, service) = advertise_scribe(&pair).await;
    let scribe = pair.there.discover("scribe").within(PATIENCE).await.expect("it is there");
    scribe.tell(Note(0)).await.expect("told");
    seen.is_all(1).await;
    service.close().await;
    until("the connection is lost", || scribe.instances().is_empty()).await;
    let error = scribe.tell(Note(1)).timeout(Duration::from_millis(50)).await.expect_err("nobody is there");
    assert!(error.is_safe_to_repeat(), "{error}");

    let make = seen.clone();
    let told = actix::spawn({
        let scribe = scribe.clone();
        async move { scribe.tell(Note(1)).timeout(PATIENCE).await }
    });
    let _service = pair.here.advertise("scribe", move || Scribe(make.clone())).handles::<Note>().await;
    told.await.expect("no panic").expect("told to the next one");
    seen.is_all(2).await;
}

#[actix::test]
async fn a_publisher_that_waits_loses_nothing_to_the_slowest_subscriber() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("log", || Scribe(Seen::default())).await.expect("advertised");
    let log = pair.reach(&service).await;
    let mut subscriptions = Vec::new();
    for keep in [1, 8, 10_000] {
        subscriptions.push(log.subscribe::<u64>("").keep(keep).await.expect("confirmed"));
    }
    let _newest = log.subscribe::<u64>("").latest().await.expect("confirmed, and never read");
    let publishing = actix::spawn(async move {
        for number in 0..MANY {
            service.publish_all("line", &number).await.expect("published");
        }
        service
    });
    let readers = subscriptions.into_iter().map(|mut lines| {
        actix::spawn(async move {
            for number in 0..MANY {
                let line = actix::clock::timeout(PATIENCE, lines.next()).await.expect("in time");
                assert_eq!(line.expect("goes on").expect("nothing is missing").item, number);
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.expect("all arrived");
    }
    drop(publishing.await.expect("all published"));
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Blob")]
struct Picture {
    number: u64,
    pixels: Blob,
    caption: String,
    thumbnail: Blob,
}

impl Picture {
    fn new(number: u64) -> Self {
        let bytes = |length: u64| (0..length).map(|at| (at * 7 + number) as u8).collect::<Vec<u8>>();
        let caption = format!("number {number}");
        Self { number, pixels: bytes(number * 1_000).into(), caption, thumbnail: bytes(20_000).into() }
    }
}

impl Handler<Picture> for Scribe {
    type Result = MessageResult<Picture>;

    fn handle(&mut self, picture: Picture, _: &mut Context<Self>) -> MessageResult<Picture> {
        let expected = Picture::new(picture.number);
        if picture.pixels == expected.pixels && picture.thumbnail == expected.thumbnail {
            self.0.note(picture.number);
        }
        MessageResult(picture.pixels)
    }
}

#[actix::test]
async fn blobs_of_all_lengths_arrive_whole_among_other_messages() {
    let pair = Pair::join().await;
    let seen = Seen::default();
    let make = seen.clone();
    let service =
        pair.here.advertise("scribe", move || Scribe(make.clone())).handles::<Note>().handles::<Picture>();
    let service = service.await.expect("advertised");
    let scribe = pair.reach(&service).await;
    for number in (0..600).step_by(2) {
        scribe.tell(Picture::new(number)).await.expect("told");
        scribe.tell(Note(number + 1)).await.expect("told");
    }
    seen.is_all(600).await;
    let reply = scribe.send(Picture::new(500)).timeout(PATIENCE).await.expect("a reply");
    assert!(reply == Picture::new(500).pixels);
}

/// Receives news as a stream, and through its mailbox.
struct Listener {
    seen: Seen,
    missed: Seen,
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl StreamHandler<Result<News<u64>, NewsError>> for Listener {
    fn handle(&mut self, news: Result<News<u64>, NewsError>, _: &mut Context<Self>) {
        match news {
            Ok(news) => self.seen.note(news.item),
            Err(_) => self.missed.note(0),
        };
    }
}

impl Handler<News<u64>> for Listener {
    type Result = ();

    fn handle(&mut self, news: News<u64>, _: &mut Context<Self>) {
        self.seen.note(news.item);
    }
}

/// Stops a listener.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Listener {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        context.stop();
    }
}

#[actix::test]
async fn actors_receive_all_news_in_order_as_a_stream_in_their_context_and_through_their_mailbox() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("log", || Scribe(Seen::default())).await.expect("advertised");
    let log = pair.reach(&service).await;
    let [added, streamed, sent, missed] = [(); 4].map(|()| Seen::default());
    let lines = log.subscribe::<u64>("").await.expect("confirmed");
    let adding = Listener { seen: added.clone(), missed: missed.clone() };
    let adding = Listener::create(|context| {
        lines.add_to(context);
        adding
    });
    let lines = log.subscribe::<u64>("").await.expect("confirmed");
    let streaming = Listener { seen: streamed.clone(), missed: missed.clone() };
    let _streaming = Listener::create(|context| {
        context.add_stream(lines);
        streaming
    });
    let receiving = Listener { seen: sent.clone(), missed: missed.clone() }.start();
    let _guard = log.subscribe_to("", receiving.recipient()).await.expect("confirmed");
    for number in 0..MANY {
        service.publish_all("line", &number).await.expect("published");
    }
    added.is_all(MANY).await;
    streamed.is_all(MANY).await;
    sent.is_all(MANY).await;
    assert_eq!(missed.len(), 0);
    assert_eq!(service.publisher().subscribers(), 3);
    // A subscription ends with the actor that it was added to.
    adding.send(Stop).await.expect("it is handled before it stops");
    until("two are left", || service.publisher().subscribers() == 2).await;
}

#[actix::test]
async fn traffic_is_counted_and_spinning_changes_nothing_but_the_time() {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let join = || Mesh::join().mesh(&name).interfaces("lo").spin(Duration::from_micros(50));
    let (here, there) = (join().await.expect("joined"), join().await.expect("joined"));
    let seen = Seen::default();
    let make = seen.clone();
    let service = here.advertise("scribe", move || Scribe(make.clone())).handles::<Note>();
    let service = service.await.expect("advertised");
    let scribe = there.discover(service.address().to_string()).within(PATIENCE).await.expect("it is there");
    let before = there.traffic();
    for number in 0..1_000 {
        assert_eq!(scribe.send(Note(number)).timeout(PATIENCE).await.expect("a reply"), number + 1);
    }
    let after = there.traffic();
    let (written, read) = (after.bytes_written - before.bytes_written, after.bytes_read - before.bytes_read);
    assert!((1_000 * 21..=1_000 * 32).contains(&written), "{written} bytes for requests of about 23");
    assert!((1_000 * 17..=1_000 * 32).contains(&read), "{read} bytes for replies of about 19");
    assert!(after.writes - before.writes <= 1_000 && after.reads > before.reads);
    assert_eq!(here.traffic().bytes_read, after.bytes_written);
}

/// Answered with the thread that it is handled on.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Where;

impl Handler<Where> for Scribe {
    type Result = String;

    fn handle(&mut self, _: Where, _: &mut Context<Self>) -> String {
        format!("{:?}", std::thread::current().id())
    }
}

#[actix::test]
async fn a_service_on_an_arbiter_of_its_own_handles_messages_there() {
    let pair = Pair::join().await;
    let seen = Seen::default();
    let make = seen.clone();
    let arbiter = Arbiter::new();
    let service = pair.here.advertise("scribe", move || Scribe(make.clone())).on(&arbiter.handle());
    let service = service.handles::<Note>().handles::<Where>().await.expect("advertised");
    let far = pair.reach(&service).await;
    let near = pair.here.discover("scribe").await.expect("it is here");
    let thread = far.send(Where).timeout(PATIENCE).await.expect("a reply");
    assert_ne!(thread, format!("{:?}", std::thread::current().id()));
    assert_eq!(near.send(Where).timeout(PATIENCE).await.expect("a reply"), thread);
    tell_many(&far).await.expect("told");
    seen.is_all(MANY).await;
    // As a program without the type would send it, from this process.
    let encoded = near.send(Value::Null).named("Where").timeout(PATIENCE).await.expect("a reply");
    assert_eq!(encoded, Value::from(thread));
    service.close().await;
    until("it is gone", || far.instances().is_empty()).await;
    arbiter.stop();
}

#[actix::test]
async fn an_arbiter_that_has_stopped_takes_no_service() {
    let pair = Pair::join().await;
    let arbiter = Arbiter::new();
    let handle = arbiter.handle();
    arbiter.stop();
    arbiter.join().expect("it ends");
    let error = pair.here.advertise("scribe", || Scribe(Seen::default())).on(&handle).await;
    assert!(error.is_err(), "{error:?}");
}

/// Stops the actor.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Quit;

impl Handler<Quit> for Scribe {
    type Result = ();

    fn handle(&mut self, _: Quit, context: &mut Context<Self>) {
        context.stop();
    }
}

#[actix::test]
async fn a_message_behind_one_that_stops_the_actor_fails_at_once() {
    let pair = Pair::join().await;
    let seen = Seen::default();
    let make = seen.clone();
    let service = pair.here.advertise("scribe", move || Scribe(make.clone()));
    let service = service.handles::<Note>().handles::<Quit>().await.expect("advertised");
    let scribe = pair.reach(&service).await;
    // All leave in one write, and arrive in one read.
    scribe.tell(Note(0)).await.expect("told");
    scribe.tell(Quit).await.expect("told");
    let late: Vec<_> = (1..50).map(|number| scribe.send(Note(number)).timeout(PATIENCE * 10)).collect();
    let late: Vec<_> = late.into_iter().map(actix::spawn).collect();
    for late in late {
        let ended = actix::clock::timeout(PATIENCE, late).await.expect("long before its time is over");
        ended.expect("no panic").expect_err("the actor has stopped");
    }
    seen.is_all(1).await;
}
