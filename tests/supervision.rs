//! Actors that panic: restarted under the same name and address, up to a limit, and the reason for which a service ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{CallError, Refusal, RestartPolicy, Service, ServiceEnd, ServiceRef, WatchEvent};
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair, until};

/// Panics, stops the actor, or asks for its number.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
enum Order {
    Tell,
    Panic,
    Stop,
}

struct Numbered(u32);

impl Actor for Numbered {
    type Context = Context<Self>;
}

impl Handler<Order> for Numbered {
    type Result = u32;
    fn handle(&mut self, order: Order, context: &mut Context<Self>) -> u32 {
        match order {
            Order::Tell => {}
            Order::Panic => panic!("number {} does not work", self.0),
            Order::Stop => context.stop(),
        }
        self.0
    }
}

/// The number of each actor is one higher than that of the previous one.
fn factory() -> impl FnMut() -> Numbered + Send + 'static {
    let mut made = 0;
    move || {
        made += 1;
        Numbered(made)
    }
}

async fn service(pair: &Pair, restart: RestartPolicy) -> (Service<Numbered>, ServiceRef) {
    let advertise = pair.here.advertise("numbered", factory()).handles::<Order>().restart(restart);
    let service = advertise.await.expect("advertised");
    let found = pair.there.discover("numbered").within(PATIENCE).await.expect("found");
    (service, found)
}

async fn panics(numbered: &ServiceRef) {
    let error = numbered.send(Order::Panic).timeout(PATIENCE).await.expect_err("it panics");
    assert!(matches!(error, CallError::Refused { reason: Refusal::Panicked, .. }), "{error:?}");
}

async fn ended(service: &Service<Numbered>) -> ServiceEnd {
    actix::clock::timeout(PATIENCE, service.ended()).await.expect("it ends")
}

#[actix::test]
async fn an_actor_that_panics_too_often_is_given_up_and_withdrawn() {
    let pair = Pair::join().await;
    let restart = RestartPolicy::Limited { restarts: 2, within: Duration::from_secs(3_600) };
    let (service, numbered) = service(&pair, restart).await;
    let mut watch = pair.there.watch("numbered");
    watch.next().await.expect("it is there");
    let address = service.address();
    for number in 1..=2 {
        panics(&numbered).await;
        assert_eq!(numbered.send(Order::Tell).timeout(PATIENCE).await.expect("a reply"), number + 1);
        assert_eq!((service.restarts(), service.address()), (u64::from(number), address));
    }
    panics(&numbered).await;
    let gave_up = ServiceEnd::GaveUp { restarts: 2, panic: "number 3 does not work".to_owned() };
    assert_eq!(ended(&service).await, gave_up);
    assert_eq!(ended(&service).await, gave_up, "it can be asked again");
    let down = actix::clock::timeout(PATIENCE, watch.next()).await.expect("withdrawn in time");
    assert!(matches!(down, Some(WatchEvent::Down { .. })), "{down:?}");
    until("the caller has lost it", || numbered.instances().is_empty()).await;
    let error = numbered.send(Order::Tell).timeout(Duration::from_millis(100)).await.expect_err("it is gone");
    assert!(error.is_safe_to_repeat(), "{error:?}");
    drop(service);
    let again =
        pair.here.advertise("numbered", factory()).handles::<Order>().await.expect("the name is free");
    assert_eq!(numbered.send(Order::Tell).timeout(PATIENCE).await.expect("a reply"), 1);
    drop(again);
}

#[actix::test]
async fn messages_that_wait_when_an_actor_is_given_up_are_refused_unhandled() {
    let pair = Pair::join().await;
    let (service, numbered) = service(&pair, RestartPolicy::Never).await;
    let calls: Vec<_> = [Order::Panic, Order::Tell, Order::Tell]
        .into_iter()
        .map(|order| actix::spawn(numbered.send(order).timeout(PATIENCE).into_future()))
        .collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.expect("no panic here"));
    }
    assert!(matches!(outcomes[0], Err(CallError::Refused { reason: Refusal::Panicked, .. })), "{outcomes:?}");
    for outcome in &outcomes[1..] {
        let error = outcome.as_ref().expect_err("nobody handles it");
        assert!(error.is_safe_to_repeat(), "{error:?}");
    }
    let panic = "number 1 does not work".to_owned();
    assert_eq!(ended(&service).await, ServiceEnd::GaveUp { restarts: 0, panic });
}

#[actix::test]
async fn a_factory_that_keeps_panicking_is_given_up_too() {
    let pair = Pair::join().await;
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let factory = move || {
        assert_eq!(count.fetch_add(1, Ordering::Relaxed), 0, "there is only one");
        Numbered(1)
    };
    let restart = RestartPolicy::Limited { restarts: 3, within: Duration::from_secs(3_600) };
    let advertise = pair.here.advertise("numbered", factory).handles::<Order>().restart(restart);
    let service = advertise.await.expect("advertised");
    panics(&pair.reach(&service).await).await;
    match ended(&service).await {
        ServiceEnd::GaveUp { restarts: 3, panic } => assert!(panic.contains("there is only one"), "{panic}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(made.load(Ordering::Relaxed), 4);
}

#[actix::test]
async fn the_reason_for_which_a_service_ended_is_available() {
    let pair = Pair::join().await;
    let (stopped, numbered) = service(&pair, RestartPolicy::default()).await;
    numbered.send(Order::Stop).timeout(PATIENCE).await.expect("it replies before it stops");
    assert_eq!(ended(&stopped).await, ServiceEnd::Stopped);

    let running = Numbered(7).start();
    let foreign = pair.here.advertise_addr("running", running.clone()).handles::<Order>().await;
    let foreign = foreign.expect("advertised");
    running.send(Order::Panic).await.expect_err("it panics");
    assert_eq!(ended(&foreign).await, ServiceEnd::Stopped);

    let left = pair.here.advertise("left", factory()).handles::<Order>().await.expect("advertised");
    pair.here.close().await;
    assert_eq!(ended(&left).await, ServiceEnd::Closed);
}

#[actix::test]
async fn always_means_always() {
    let pair = Pair::join().await;
    let (service, numbered) = service(&pair, RestartPolicy::Always).await;
    for number in 1..=30 {
        assert_eq!(numbered.send(Order::Tell).timeout(PATIENCE).await.expect("a reply"), number);
        panics(&numbered).await;
    }
    until("the last one is there", || service.restarts() == 30).await;
}
