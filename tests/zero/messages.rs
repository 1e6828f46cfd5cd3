//! Messages and replies: order, timeouts, threads, and all failures.

use std::net::TcpListener;
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::trace::{self, TraceContext};
use meshzero::zero::{self, FOREVER, ZeroError};
use meshzero::{AdvertiseError, BindError, CallError, DiscoverError, Refusal, Value, block_on};
use serde::{Deserialize, Serialize};

use super::{PATIENCE, done, in_background, join, joined, unique};
use crate::trace::stations::Station;

type Reply<T> = Result<T, ZeroError>;

fn advertised(name: &str) -> zero::Address {
    zero::advertise(unique(name)).expect("advertised")
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Stop,
    Move { to: [f32; 2] },
}

#[test]
fn messages_and_replies_are_of_any_type() {
    let arm = advertised("arm");
    let sender = in_background(move || -> Reply<Vec<Order>> {
        zero::send_message_to(arm, Order::Move { to: [1.0, 2.5] }, PATIENCE)
    });
    let order: Option<Order> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    assert_eq!(order, Some(Order::Move { to: [1.0, 2.5] }));
    zero::send_reply_to(arm, [Order::Stop, Order::Stop]).expect("replied");
    assert_eq!(done(sender).expect("a reply"), [Order::Stop, Order::Stop]);
}

#[test]
fn a_message_of_another_type_is_an_error_of_its_sender_and_the_next_is_served() {
    let arm = advertised("arm");
    let server = in_background(move || zero::wait_for_message_from_autoreply::<Order>(arm, PATIENCE));
    let wrong: Reply<Value> =
        zero::send_message_to(arm, Value::map([("Move", Value::map([("to", "far")]))]), PATIENCE);
    match wrong {
        Err(ZeroError::Call(CallError::Refused { reason: Refusal::Undecodable { problem, .. }, .. })) => {
            assert!(problem.contains("to") && problem.contains("far"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    zero::send_message_to::<()>(arm, Order::Stop, PATIENCE).expect("it is served");
    assert_eq!(done(server).expect("it waited"), Some(Order::Stop));
}

#[test]
fn a_reply_of_another_type_names_the_problem() {
    let arm = advertised("arm");
    let sender = in_background(move || zero::send_message_to::<u32>(arm, "how many?", PATIENCE));
    let _: Option<Value> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    zero::send_reply_to(arm, "many").expect("replied");
    match done(sender) {
        Err(ZeroError::Unexpected { from, problem }) => {
            assert_eq!(from, arm.to_string());
            assert!(problem.contains("many") && problem.contains("u32"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn waiting_again_without_a_reply_refuses_the_earlier_message() {
    let arm = advertised("arm");
    let senders =
        [1, 2].map(|number| in_background(move || zero::send_message_to::<i32>(arm, number, PATIENCE)));
    let first: i32 = zero::wait_for_message_from(arm, PATIENCE).expect("it waits").expect("a message");
    let second: i32 = zero::wait_for_message_from(arm, PATIENCE).expect("it waits").expect("a message");
    zero::send_reply_to(arm, second).expect("replied");
    for (number, sender) in [1, 2].into_iter().zip(senders) {
        match done(sender) {
            Ok(reply) => assert_eq!((reply, number), (second, second)),
            Err(ZeroError::Call(CallError::Refused { reason: Refusal::Unanswered, .. })) => {
                assert_eq!(number, first);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_thread_that_ends_without_a_reply_is_an_error_of_the_sender() {
    let arm = advertised("arm");
    let server = in_background(move || zero::wait_for_message_from::<Value>(arm, PATIENCE));
    let lost: Reply<Value> = zero::send_message_to(arm, "anybody?", FOREVER);
    assert!(matches!(lost, Err(ZeroError::Call(CallError::Refused { .. }))), "{lost:?}");
    done(server).expect("it waited");
}

#[test]
fn each_message_needs_one_reply() {
    let arm = advertised("arm");
    assert!(matches!(zero::send_reply_to(arm, 1), Err(ZeroError::NothingToReplyTo { .. })));
    let sender = in_background(move || zero::send_message_to::<i32>(arm, 0, PATIENCE));
    let _: Option<i32> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    let elsewhere = in_background(move || zero::send_reply_to(arm, 2));
    assert!(matches!(done(elsewhere), Err(ZeroError::NothingToReplyTo { .. })), "it took none");
    zero::send_reply_to(arm, 3).expect("replied");
    let error = zero::send_reply_to(arm, 4).expect_err("it has been replied to");
    assert!(error.to_string().contains(&arm.to_string()), "{error}");
    assert_eq!(done(sender).expect("a reply"), 3);
    let nowhere = zero::send_reply_to("192.0.2.1:9", 1);
    assert!(matches!(nowhere, Err(ZeroError::NothingToReplyTo { .. })), "{nowhere:?}");
}

#[test]
fn a_call_that_timed_out_leaves_everything_usable_and_is_not_handed_out() {
    let arm = advertised("arm");
    for _ in 0..3 {
        let late: Reply<Value> = zero::send_message_to(arm, "too late", 0.05);
        match late {
            Err(ZeroError::NoReply { address, waited, .. }) => {
                assert_eq!((address, waited), (arm, Duration::from_millis(50)));
            }
            other => panic!("{other:?}"),
        }
    }
    let sender = in_background(move || zero::send_message_to::<String>(arm, "in time", PATIENCE));
    let message: Option<String> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    assert_eq!(message.as_deref(), Some("in time"));
    zero::send_reply_to(arm, "yes").expect("replied");
    assert_eq!(done(sender).expect("a reply"), "yes");
}

#[test]
fn a_late_reply_is_ignored() {
    let arm = advertised("arm");
    let sender = in_background(move || zero::send_message_to::<i32>(arm, 1, 0.3));
    let first: Option<i32> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    assert_eq!(first, Some(1));
    assert!(matches!(done(sender), Err(ZeroError::NoReply { .. })));
    zero::send_reply_to(arm, 10).expect("nobody waits for it");
    let sender = in_background(move || zero::send_message_to::<i32>(arm, 2, PATIENCE));
    let second: Option<i32> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    zero::send_reply_to(arm, 20).expect("replied");
    assert_eq!((second, done(sender).expect("its own reply")), (Some(2), 20));
}

/// More callers at once than may wait, from another node, so that their messages go over the network.
#[actix::test]
async fn many_callers_are_served_in_the_order_of_arrival_also_when_the_queue_is_full() {
    const CALLERS: i64 = 600;
    let arm = advertised("arm");
    let other = join().await.expect("another node");
    let service = other.discover(arm.to_string()).within(PATIENCE).await.expect("it answers");
    let calls: Vec<_> = (0..CALLERS)
        .map(|number| actix::spawn(service.send(Value::from(number)).timeout(PATIENCE)))
        .collect();
    // This one comes last and gives up; when it has, the others' messages are sent, and more than may wait have arrived.
    let last = service.send(Value::Null).timeout(Duration::from_millis(100)).await;
    assert!(last.is_err(), "{last:?}");
    let server = in_background(move || {
        for expected in 0..CALLERS {
            let number: Option<i64> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
            assert_eq!(number, Some(expected));
            zero::send_reply_to(arm, -expected).expect("replied");
        }
    });
    for (number, call) in (0..CALLERS).zip(calls) {
        assert_eq!(call.await.expect("it ran").expect("a reply"), Value::from(-number));
    }
    done(server);
}

#[test]
fn several_threads_serve_one_address_and_each_caller_gets_its_own_reply() {
    let arm = advertised("arm");
    let servers: Vec<_> = (0..4)
        .map(|_| {
            in_background(move || {
                while let Some(number) = zero::wait_for_message_from::<i64>(arm, FOREVER).expect("it waits") {
                    zero::send_reply_to(arm, number * 2).expect("replied");
                    if number < 0 {
                        return;
                    }
                }
            })
        })
        .collect();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            in_background(move || {
                for number in caller * 100..(caller + 1) * 100 {
                    let reply: i64 = zero::send_message_to(arm, number, PATIENCE).expect("a reply");
                    assert_eq!(reply, number * 2);
                }
            })
        })
        .collect();
    callers.into_iter().for_each(done);
    for _ in 0..servers.len() {
        zero::send_message_to::<i64>(arm, -1, PATIENCE).expect("a server ends");
    }
    servers.into_iter().for_each(done);
}

#[test]
fn an_address_without_a_listener_is_an_error_in_time_and_a_later_one_is_found() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    joined();
    let started = Instant::now();
    let nobody: Reply<Value> = zero::send_message_to(free, "hello?", 0.3);
    match nobody {
        Err(ZeroError::Discover(error @ DiscoverError::Unreachable { .. })) => {
            assert!(error.to_string().contains(&free.to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < PATIENCE);
    let sender = in_background(move || zero::send_message_to::<()>(free, "hello?", PATIENCE));
    let message = zero::wait_for_message_from_autoreply::<String>(free, PATIENCE).expect("it listens now");
    assert_eq!(message.as_deref(), Some("hello?"));
    done(sender).expect("a reply");
}

#[test]
fn an_address_that_is_in_use_or_not_ours_is_an_error() {
    joined();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("it has an address");
    let error = zero::wait_for_message_from::<Value>(taken.1, 0).expect_err("it is in use");
    let place = |error| match error {
        ZeroError::Advertise(AdvertiseError::Bind(place)) => place,
        other => panic!("{other}"),
    };
    assert!(matches!(place(error), BindError::InUse { .. }));
    let error = zero::send_news_to("192.0.2.1:9000", "topic", 1).expect_err("not of this computer");
    assert!(matches!(place(error), BindError::NotHere { .. }));
    for text in ["", "nowhere", "127.0.0.1", "127.0.0.1:99999", "no-such-host.invalid:9"] {
        let error = zero::send_message_to::<Value>(text, 1, 0).expect_err(text);
        assert!(matches!(error, ZeroError::Address { .. }), "{text}: {error}");
        let error = zero::wait_for_message_from::<Value>(text, 0).expect_err(text);
        assert!(matches!(error, ZeroError::Address { .. }), "{text}: {error}");
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_and_the_next_is_served() {
    let arm = advertised("arm");
    let server = in_background(move || -> Result<(), ZeroError> {
        let _: Option<Value> = zero::wait_for_message_from(arm, PATIENCE)?;
        zero::send_reply_to(arm, "x".repeat(2 << 20))?;
        let _: Option<Value> = zero::wait_for_message_from(arm, PATIENCE)?;
        zero::send_reply_to(arm, "short")
    });
    let long: Reply<Value> = zero::send_message_to(arm, "x".repeat(2 << 20), PATIENCE);
    assert!(matches!(long, Err(ZeroError::Call(CallError::NotSent { .. }))), "{long:?}");
    let long: Reply<Value> = zero::send_message_to(arm, "a long reply, please", PATIENCE);
    let too_long = matches!(
        long,
        Err(ZeroError::Call(CallError::Refused { reason: Refusal::ReplyTooLarge { .. }, .. }))
    );
    assert!(too_long, "{long:?}");
    assert_eq!(zero::send_message_to::<String>(arm, "a short one", PATIENCE).expect("a reply"), "short");
    done(server).expect("it served");
}

#[test]
fn a_waiter_at_an_address_that_closes_gets_an_error() {
    let name = unique("arm");
    let arm = zero::advertise(&name).expect("advertised");
    let (tell, told) = mpsc::channel();
    let waiting = in_background(move || {
        tell.send(()).expect("somebody listens");
        zero::wait_for_message_from::<Value>(arm, FOREVER)
    });
    told.recv().expect("it is about to wait");
    assert!(zero::unadvertise(&name).expect("joined"));
    // A waiter that comes only now opens the address again, without a name.
    let sender = in_background(move || zero::send_message_to::<()>(arm, (), 0.2));
    match done(waiting) {
        Err(ZeroError::Closed) => drop(done(sender)),
        Ok(Some(_)) => assert!(done(sender).is_err(), "its thread has ended"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_at_an_address_that_is_being_closed_may_still_be_replied_to() {
    let name = unique("leaving");
    let address = zero::advertise(&name).expect("advertised");
    let sender = in_background(move || zero::send_message_to::<u8>(address, 1, PATIENCE));
    let taken = zero::wait_for_message_from::<u8>(address, PATIENCE).expect("it is open");
    let closing = zero::begin_unadvertise(&name).expect("joined").expect("there is such a name");
    // A waiter that comes only now gets the error, and so does anyone else who opens the address.
    let waiting = in_background(move || zero::wait_for_message_from::<u8>(address, FOREVER));
    assert!(matches!(done(waiting), Err(ZeroError::Closed)));
    assert!(zero::advertise_at(unique("early"), address).is_err());
    assert!(zero::begin_unadvertise(&name).expect("joined").is_none());
    zero::send_reply_to(address, taken.expect("a message") + 1).expect("sent");
    assert_eq!(done(sender).expect("a reply"), 2);
    block_on(closing);
    assert_eq!(zero::advertise_at(unique("after"), address).expect("it is free"), address);
}

struct Echo;

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Handler<Value> for Echo {
    type Result = Value;
    fn handle(&mut self, message: Value, _: &mut Context<Self>) -> Value {
        message
    }
}

/// In a System, whose arbiter the verbs block: none of their tasks runs there.
#[actix::test]
async fn the_verbs_work_inside_an_actix_system_and_call_actors() {
    let other = join().await.expect("another node");
    let name = unique("echo");
    let arm = advertised("arm");
    assert_eq!(zero::wait_for_message_from::<Value>(arm, 0.01).expect("it waits"), None);
    let sender = in_background(move || zero::send_message_to::<i32>(arm, 1, PATIENCE));
    let message: Option<i32> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    zero::send_reply_to(arm, message).expect("replied");
    assert_eq!(done(sender).expect("a reply"), 1);
    let _service = other.advertise(&name, || Echo).handles_values().await.expect("advertised");
    let caller = in_background(move || -> Reply<Order> {
        let echo = zero::discover(&name, PATIENCE)?;
        zero::send_message_to(echo, Order::Move { to: [0.5, 0.25] }, PATIENCE)
    });
    let reply = loop {
        if caller.is_finished() {
            break done(caller);
        }
        actix::clock::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(reply.expect("a reply"), Order::Move { to: [0.5, 0.25] });
}

#[tokio::test]
async fn the_verbs_work_inside_tokio() {
    let arm = advertised("arm");
    let sender = in_background(move || zero::send_message_to::<i32>(arm, 1, PATIENCE));
    let message: Option<i32> = zero::wait_for_message_from(arm, PATIENCE).expect("it waits");
    zero::send_reply_to(arm, message).expect("replied");
    assert_eq!(done(sender).expect("a reply"), 1);
    assert_eq!(zero::wait_for_news_from::<Value>(arm, "", 0).expect("subscribed"), None);
}

#[test]
fn a_message_carries_the_trace_context_in_scope() {
    let name = unique("station");
    let (_other, service) = block_on(async move {
        let other = join().await.expect("another node");
        let service = Station::default().offer(&other, &name).await;
        (other, service)
    });
    let context = trace::begin();
    let call = || zero::send_message_to::<String>(service.address(), "anything", PATIENCE).expect("answered");
    let seen: TraceContext = trace::in_scope(context, call).parse().expect("a traceparent");
    assert_eq!(seen.trace_id(), context.trace_id());
    assert_eq!(call(), "");
}

#[test]
fn a_reply_finds_its_message_at_the_very_moment_in_which_its_address_is_closed() {
    for _ in 0..200 {
        let name = unique("moment");
        let address = zero::advertise(&name).expect("advertised");
        let sender = in_background(move || zero::send_message_to::<u8>(address, 1, PATIENCE));
        let taken = zero::wait_for_message_from::<u8>(address, PATIENCE).expect("it is open");
        let begin = Arc::new(Barrier::new(2));
        let begun = Arc::clone(&begin);
        let closing = in_background(move || {
            begun.wait();
            zero::begin_unadvertise(&name)
        });
        begin.wait();
        zero::send_reply_to(address, taken.expect("a message") + 1).expect("it is there");
        assert_eq!(done(sender).expect("a reply"), 2);
        block_on(done(closing).expect("joined").expect("there is such a name"));
    }
}
