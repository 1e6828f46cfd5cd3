//! ZeroMQ sockets at the endpoints of typed and untyped services: raw ones here, and pyzmq's.

#[cfg(target_os = "linux")]
mod bounds;
#[cfg(target_os = "linux")]
mod gateway;
mod socket;

use std::time::Duration;

use actix::prelude::*;
use meshzero::{Blob, Limits, Value, block_on};
use meshzero_proto::zmtp::SocketType;
use meshzero_testing::{eventually, python, require};
use serde::{Deserialize, Serialize};

pub use self::socket::Socket;
use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "f32")]
struct Move {
    by: f32,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Place")]
struct Where;

#[derive(Debug, Serialize, Deserialize, MessageResponse)]
struct Place {
    at: f32,
    name: String,
}

#[derive(Default)]
struct Arm {
    at: f32,
}

impl Actor for Arm {
    type Context = Context<Self>;
}

impl Handler<Move> for Arm {
    type Result = f32;

    fn handle(&mut self, Move { by }: Move, _: &mut Context<Self>) -> f32 {
        self.at += by;
        self.at
    }
}

impl Handler<Where> for Arm {
    type Result = Place;

    fn handle(&mut self, Where: Where, _: &mut Context<Self>) -> Place {
        Place { at: self.at, name: "arm".to_owned() }
    }
}

/// Replies after the milliseconds that the message says.
struct Slow;

impl Actor for Slow {
    type Context = Context<Self>;
}

impl Handler<Value> for Slow {
    type Result = ResponseFuture<Value>;

    fn handle(&mut self, message: Value, _: &mut Context<Self>) -> ResponseFuture<Value> {
        Box::pin(async move {
            let millis = message.as_u64().unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            message
        })
    }
}

#[actix::test]
async fn a_typed_actor_is_called_by_the_name_of_its_message() {
    let pair = Pair::join().await;
    let arm = pair
        .here
        .advertise("arm", Arm::default)
        .handles::<Move>()
        .handles::<Where>()
        .await
        .expect("advertised");
    let mut socket = Socket::connect(arm.address(), SocketType::Req).await;
    assert_eq!(socket.request(r#"{"Move": {"by": 0.5}}"#).await, "0.5");
    assert_eq!(socket.request(r#"{"Move": {"by": 1}}"#).await, "1.5");
    assert_eq!(socket.request(r#"{"Where": null}"#).await, r#"{"at":1.5,"name":"arm"}"#);
    for (wrong, said) in [
        (r#"{"Jump": 1}"#, "it handles Move, Where"),
        (r#""GO""#, "it handles Move, Where"),
        (r#"{"Move": {"by": "far"}}"#, "by: invalid type"),
        (r#"{"Move": {"by": 0.5}"#, "EOF"),
        (&"[".repeat(500), "nest"),
    ] {
        let error = socket.request(wrong).await;
        assert!(error.starts_with(r#"{"error":""#) && error.contains(said), "{wrong}: {error}");
    }
    assert_eq!(socket.request(r#"{"Move": {"by": 1}}"#).await, "2.5", "it continues");
}

#[actix::test]
async fn one_type_of_message_needs_no_name() {
    let pair = Pair::join().await;
    let arm = pair.here.advertise("arm", Arm::default).handles::<Move>().await.expect("advertised");
    let mut socket = Socket::connect(arm.address(), SocketType::Req).await;
    assert_eq!(socket.request(r#"{"by": 2}"#).await, "2.0");
}

#[actix::test]
async fn replies_are_in_the_order_of_the_requests_and_a_busy_service_blocks_its_caller_only() {
    let mut limits = Limits::default();
    limits.mailbox = 4;
    let pair = Pair::join_with(limits).await;
    let slow = pair.here.advertise("slow", || Slow).handles::<Value>().await.expect("advertised");
    let mut eager = Socket::connect(slow.address(), SocketType::Dealer).await;
    let questions: Vec<u64> = (0..64).map(|number| (64 - number) % 7 * 5).collect();
    for (number, question) in questions.iter().enumerate() {
        eager.send(&[&number.to_be_bytes(), b"", question.to_string().as_bytes()]).await;
    }
    let mut other = Socket::connect(slow.address(), SocketType::Req).await;
    assert_eq!(other.request("0").await, "0");
    for (number, question) in questions.iter().enumerate() {
        let expected = [&number.to_be_bytes()[..], b"", question.to_string().as_bytes()].map(<[u8]>::to_vec);
        assert_eq!(eager.receive().await, expected);
    }
}

#[actix::test]
async fn requests_before_a_service_closes_are_answered_and_later_ones_refused() {
    let pair = Pair::join().await;
    let slow = pair.here.advertise("slow", || Slow).handles::<Value>().await.expect("advertised");
    let address = slow.address();
    let mut socket = Socket::connect(address, SocketType::Req).await;
    socket.send(&[b"", b"300"]).await;
    until("the message has arrived", || slow.stats().unfinished == 1).await;
    let closed = actix::spawn(async move { slow.close().await });
    assert_eq!(socket.receive().await, [&b""[..], b"300"]);
    closed.await.expect("it closes");
    assert!(socket.ends().await);
}

#[actix::test]
async fn a_sub_socket_gets_retained_items_and_bytes_as_they_are() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", Arm::default).retains("level").await.expect("advertised");
    service.publish("level", &0.25f32).expect("published");
    let mut socket = Socket::connect(service.address(), SocketType::Sub).await;
    socket.subscribe("").await;
    assert_eq!(socket.receive().await, [&b"level"[..], b"0.25"]);
    service.publish("picture", &Blob::from(vec![0, 255, 7])).expect("published");
    assert_eq!(socket.receive().await, [&b"picture"[..], &[0, 255, 7]]);
    service.publish("place", &Place { at: 1.0, name: "ü".to_owned() }).expect("published");
    assert_eq!(socket.receive().await, [&b"place"[..], r#"{"at":1.0,"name":"ü"}"#.as_bytes()]);
    assert_eq!(service.publisher().subscribers(), 1);
    drop(socket);
    until("the subscription has ended", || service.publisher().subscribers() == 0).await;
}

#[test]
fn pyzmq_subscribes_and_unsubscribes() {
    if !require::networkzero() {
        return;
    }
    // On a thread of the mesh's own: this one waits for another program.
    let pair = block_on(Pair::join());
    let service = block_on(pair.here.advertise("weather", Arm::default)).expect("advertised");
    let mut listens = python::start(include_str!("listens.py"), &[&service.address().to_string()]);
    listens.expect_line("listening", PATIENCE);
    let publish = |round: u32| {
        for topic in ["wind/north", "windy", "rain", "rain/heavy", "sun"] {
            service.publish(topic, &round).expect("published");
        }
    };
    eventually(PATIENCE, "it has subscribed", || (service.publisher().subscribers() == 1).then_some(()));
    // ZMTP does not confirm a subscription: the first item that arrives does.
    let mut round = 0;
    let first = loop {
        publish(round);
        round += 1;
        listens.send_line("take");
        let line = listens.next_line(PATIENCE);
        if line.contains("rain/heavy") {
            break line;
        }
        assert!(round < 1_000, "both prefixes are subscribed to by now");
    };
    assert!(first.starts_with(r#"["rain/heavy", "#), "{first}");
    listens.send_line("cancel wind");
    listens.send_line("subscribe sun");
    let mut topics = Vec::new();
    while !topics.ends_with(&["rain/heavy", "sun", "rain/heavy", "sun"].map(str::to_owned)) {
        publish(round);
        round += 1;
        listens.send_line("take");
        let line = listens.next_line(PATIENCE);
        let (topic, _): (String, u32) = serde_json::from_str(&line).expect("JSON");
        assert_ne!(topic, "rain");
        topics.push(topic);
        assert!(topics.len() < 5_000, "the change has arrived by now: {topics:?}");
    }
}
