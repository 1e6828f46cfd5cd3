//! Promise 4 for ZeroMQ sockets: one that floods an actor that does not read is blocked, and one that does not read its news
//! misses items, which are counted.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use meshzero::{Blob, Limits, Value};
use meshzero_proto::zmtp::SocketType;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::socket::Socket;
use crate::bounds::{LENGTH, MANY, check_memory, send_many};
use crate::pair::{Pair, until};

/// A write that takes longer is blocked.
const HELD_UP: Duration = Duration::from_millis(500);

/// An actor that handles nothing until it is released.
#[derive(Clone)]
struct Still(Arc<Semaphore>);

impl Actor for Still {
    type Context = Context<Self>;
}

impl Handler<Value> for Still {
    type Result = ResponseFuture<Value>;

    fn handle(&mut self, message: Value, _: &mut Context<Self>) -> ResponseFuture<Value> {
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            gate.acquire().await.expect("never closed").forget();
            message
        })
    }
}

#[actix::test]
async fn a_socket_that_floods_a_service_with_requests_is_blocked() {
    let pair = Pair::join().await;
    let still = Still(Arc::new(Semaphore::new(0)));
    let gate = Arc::clone(&still.0);
    let offer = pair.here.advertise("still", move || still.clone());
    let service = offer.handles::<Value>().await.expect("advertised");
    let mut socket = Socket::connect(service.address(), SocketType::Dealer).await;
    let question = format!("\"{}\"", "x".repeat(LENGTH));
    check_memory("questions", async || {
        let mut sent = 0;
        while sent < MANY {
            match timeout(HELD_UP, socket.send(&[b"", question.as_bytes()])).await {
                Ok(()) => sent += 1,
                Err(_) => break,
            }
        }
        assert!(sent < MANY, "all {sent} were taken");
    })
    .await;
    let most = Limits::default().mailbox;
    until("it has as many as it takes", || service.unfinished() > 0).await;
    assert!(service.unfinished() <= most, "{} are under way", service.unfinished());
    gate.add_permits(Semaphore::MAX_PERMITS / 2);
    for _ in 0..most / 2 {
        let [_, reply] = socket.receive().await.try_into().expect("two frames");
        assert_eq!(reply, question.as_bytes());
    }
}

#[actix::test]
async fn a_socket_that_reads_no_news_misses_them() {
    let pair = Pair::join().await;
    let still = Still(Arc::new(Semaphore::new(0)));
    let offer = pair.here.advertise("still", move || still.clone());
    let service = offer.handles::<Value>().await.expect("advertised");
    let mut socket = Socket::connect(service.address(), SocketType::Sub).await;
    socket.subscribe("").await;
    until("it is subscribed", || service.publisher().subscribers() == 1).await;
    let item = Blob::from(vec![7; LENGTH]);
    send_many("news", || service.publish("load", &item).expect("published")).await;
    let missed = service.stats().news.missed.overflow as usize;
    assert!(missed > 0 && missed < MANY, "{missed} are counted");
    // The news resumes when the socket is read again.
    let [topic, item] = socket.receive().await.try_into().expect("two frames");
    assert!(topic == b"load" && item.len() == LENGTH);
}
