//! Long and short replies on the same slow line: the short ones do not wait for the long ones.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{Blob, CallError, Limits, Service, ServiceRef, Value};
use meshzero_testing::{Cut, Direction, Event, Fault, FaultProxy, Faults};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::pair::{PATIENCE, Pair, until};

/// The bandwidth of the line in bytes per second.
const LINE: u64 = 2_000_000;

/// The timeout of a reply that takes seconds.
const LONG: Duration = PATIENCE;

/// Answered with a text of this many bytes.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "String")]
struct Write(u32);

/// Answered with this many bytes, which are not copied on the way.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Picture")]
struct Paint(u32);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    title: String,
    pixels: Blob,
}

struct Artist;

impl Actor for Artist {
    type Context = Context<Self>;
}

impl Handler<Write> for Artist {
    type Result = MessageResult<Write>;

    fn handle(&mut self, Write(length): Write, _: &mut Context<Self>) -> MessageResult<Write> {
        MessageResult(text(length))
    }
}

impl Handler<Paint> for Artist {
    type Result = ResponseFuture<Picture>;

    fn handle(&mut self, Paint(length): Paint, _: &mut Context<Self>) -> ResponseFuture<Picture> {
        Box::pin(async move { picture(length) })
    }
}

fn text(length: u32) -> String {
    (0..length).map(|at| char::from(b'a' + (at % 23) as u8)).collect()
}

fn picture(length: u32) -> Picture {
    let pixels: Vec<_> = (0..length).map(|at| (at % 251) as u8).collect();
    Picture { title: text(20), pixels: pixels.into() }
}

/// An artist behind a slow line.
struct Scene {
    proxy: FaultProxy,
    artist: ServiceRef,
    service: Service<Artist>,
    _pair: Pair,
}

impl Scene {
    async fn new() -> Self {
        let mut limits = Limits::default();
        limits.message_bytes = 17 << 20;
        let pair = Pair::join_with(limits).await;
        let service = pair.here.advertise("artist", || Artist).handles::<Write>().handles::<Paint>();
        let service = service.await.expect("advertised");
        let proxy = FaultProxy::in_front_of(service.address());
        let narrow = Fault { bytes_per_second: Some(LINE), ..Fault::default() };
        proxy.all(Faults { down: narrow, ..Faults::default() });
        let found = pair.there.discover(proxy.address().to_string()).within(PATIENCE).await;
        let artist = found.expect("the service answers through the proxy");
        Self { proxy, artist, service, _pair: pair }
    }

    fn text(&self, length: u32) -> JoinHandle<Result<String, CallError>> {
        actix::spawn(self.artist.send(Write(length)).timeout(LONG).into_future())
    }

    fn picture(&self, length: u32) -> JoinHandle<Result<Picture, CallError>> {
        actix::spawn(self.artist.send(Paint(length)).timeout(LONG).into_future())
    }

    /// Waits until this many more bytes have come over the line.
    async fn carries(&self, bytes: u64) {
        let before = self.proxy.carried(Direction::Down);
        until("the reply is on its way", || self.proxy.carried(Direction::Down) > before + bytes).await;
    }

    /// This many short calls, ten at a time.
    async fn short_calls(&self, count: u32) {
        for _ in 0..count / 10 {
            let calls: Vec<_> = (0..10).map(|number| self.text(number)).collect();
            for (number, call) in (0..).zip(calls) {
                assert_eq!(whole(call).await, text(number));
            }
        }
    }
}

async fn whole<T>(call: JoinHandle<Result<T, CallError>>) -> T {
    call.await.expect("no panic").expect("a reply")
}

#[actix::test]
async fn short_calls_are_answered_while_a_long_reply_is_on_a_slow_line() {
    const LENGTH: u32 = 16 << 20;
    let scene = Scene::new().await;
    let long = scene.text(LENGTH);
    scene.carries(1 << 20).await;
    let begun = Instant::now();
    scene.short_calls(50).await;
    eprintln!("fifty short calls took {:?}", begun.elapsed());
    assert!(!long.is_finished(), "the short ones have overtaken it");
    assert!(whole(long).await == text(LENGTH), "it is another text");
}

#[actix::test]
async fn a_long_reply_whose_line_is_cut_in_the_middle_arrives_whole_and_short_ones_before_it() {
    const LENGTH: u32 = 8 << 20;
    let scene = Scene::new().await;
    // A connection carries a third of it at most.
    let short = Fault { bytes_per_second: Some(LINE), ..Fault::after(3_000_000, Event::Cut(Cut::Reset)) };
    scene.proxy.all(Faults { down: short, ..Faults::default() });
    scene.proxy.cut(Cut::Reset);
    let (text_, picture_) = (scene.text(LENGTH), scene.picture(100_000));
    for _ in 0..4 {
        scene.carries(1 << 20).await;
        scene.short_calls(10).await;
    }
    assert!(!text_.is_finished(), "the short ones have overtaken it");
    assert!(whole(picture_).await == picture(100_000), "it is another picture");
    assert!(whole(text_).await == text(LENGTH), "it is another text");
    assert!(scene.proxy.connections() > 3, "{} connections", scene.proxy.connections());
}

#[actix::test]
async fn a_cancelled_long_reply_frees_the_line() {
    const LENGTH: u32 = 16 << 20;
    let scene = Scene::new().await;
    let (one, other) = (scene.text(LENGTH), scene.picture(LENGTH));
    scene.carries(1 << 20).await;
    one.abort();
    other.abort();
    assert!(one.await.is_err() && other.await.is_err(), "they are dropped");
    let before = scene.proxy.carried(Direction::Down);
    assert!(whole(scene.text(1 << 20)).await == text(1 << 20), "it is another text");
    // Only the bytes that the systems had buffered already.
    let carried = scene.proxy.carried(Direction::Down) - before;
    assert!(carried < 8 << 20, "{carried} bytes");
}

#[actix::test]
async fn several_long_replies_share_a_line_with_each_other_and_with_short_ones() {
    const LENGTH: u32 = 2 << 20;
    let scene = Scene::new().await;
    let texts: Vec<_> = (0..3).map(|more| scene.text(LENGTH + more)).collect();
    let pictures: Vec<_> = (0..3).map(|more| scene.picture(LENGTH + more)).collect();
    // Without types it is encoded as MessagePack.
    let untyped = scene.artist.send(Value::from(LENGTH)).named("Write").timeout(LONG).into_future();
    let untyped = actix::spawn(untyped);
    scene.carries(1 << 20).await;
    scene.short_calls(20).await;
    let are_under_way = texts.iter().all(|text| !text.is_finished());
    assert!(are_under_way && pictures.iter().all(|picture| !picture.is_finished()), "they take turns");
    let written = untyped.await.expect("no panic").expect("a reply");
    assert!(written == Value::from(text(LENGTH)), "it is another text");
    for (more, text_) in (0..).zip(texts) {
        assert!(whole(text_).await == text(LENGTH + more), "it is another text");
    }
    for (more, picture_) in (0..).zip(pictures) {
        assert!(whole(picture_).await == picture(LENGTH + more), "it is another picture");
    }
}

#[actix::test]
async fn short_news_come_while_another_subscription_takes_long_ones_on_a_slow_line() {
    const LENGTH: u32 = 2 << 20;
    let scene = Scene::new().await;
    let mut long = scene.artist.subscribe::<Blob>("long").keep_bytes(12 << 20).await.expect("confirmed");
    let mut short = scene.artist.subscribe::<u64>("short").await.expect("confirmed");
    let reading = actix::spawn(async move {
        for number in 0..4 {
            let news = long.next().await.expect("it continues").expect("none is missed");
            assert!(news.item == picture(LENGTH + number).pixels, "it is another picture");
        }
    });
    for number in 0..4 {
        scene.service.publish("long", &picture(LENGTH + number).pixels).expect("published");
    }
    scene.carries(1 << 20).await;
    for number in 0..50_u64 {
        scene.service.publish("short", &number).expect("published");
        let news = actix::clock::timeout(PATIENCE, short.next()).await.expect("in time");
        assert_eq!(news.expect("it continues").expect("none is missed").item, number);
    }
    assert!(!reading.is_finished(), "the short ones have not waited");
    reading.await.expect("all came");
}
