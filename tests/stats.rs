//! Statistics: everything but a plain send and its handling is counted, and the counters can be queried.

use std::time::Duration;

use actix::prelude::*;
use meshzero::{LinkPurpose, ServiceRef, Value, prometheus};
use meshzero_testing::{Cut, FaultProxy};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u32")]
struct Square(u32);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Stumble;

struct Calculator;

impl Actor for Calculator {
    type Context = Context<Self>;
}

impl Handler<Square> for Calculator {
    type Result = u32;

    fn handle(&mut self, Square(number): Square, _: &mut Context<Self>) -> u32 {
        number * number
    }
}

impl Handler<Stumble> for Calculator {
    type Result = ();

    fn handle(&mut self, _: Stumble, _: &mut Context<Self>) {
        panic!("it stumbles on purpose");
    }
}

async fn offer(pair: &Pair, name: &str) -> meshzero::Service<Calculator> {
    let offer = pair.here.advertise(name, || Calculator);
    offer.handles::<Square>().handles::<Stumble>().await.expect("advertised")
}

async fn call(calculator: &ServiceRef, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(calculator.send(Square(number)).await.expect("a reply"), number * number);
    }
}

#[actix::test]
async fn a_service_counts_unanswered_requests_and_reports_them_on_request() {
    let pair = Pair::join().await;
    let service = offer(&pair, "calculator \"1\"").await;
    let calculator = pair.reach(&service).await;
    call(&calculator, 0..5).await;
    calculator.send(Stumble).await.expect_err("the handler panics");
    call(&calculator, 0..1).await;
    let nonsense = Value::from("no number");
    calculator.send(nonsense).named("Square").await.expect_err("it does not decode");
    service.publish("sum", &1).expect("published");

    let stats = service.stats();
    assert_eq!((stats.messages, stats.unfinished, stats.restarts), (8, 0, 1));
    assert_eq!((stats.requests.panicked, stats.requests.undecodable, stats.requests.expired), (1, 1, 0));
    assert_eq!((stats.news.published, stats.news.subscribers), (1, 0));
    assert_eq!((stats.connections.open, stats.connections.resumed, stats.connections.given_up), (1, 0, 0));
    let [link] = stats.links.as_slice() else { panic!("one link: {:?}", stats.links) };
    assert_eq!((link.node, link.purpose, link.attached), (pair.there.node(), LinkPurpose::Requests, true));

    let near = pair.here.stats().await.expect("it has not left");
    let mut far = calculator.ask_stats().await.expect("it answers");
    assert_eq!((far.node, near.node), (pair.here.node(), pair.here.node()));
    // The query is counted as well.
    far.traffic = near.traffic;
    far.services[0].links = near.services[0].links.clone();
    assert_eq!(far, near);

    let caller = pair.there.stats().await.expect("it has not left");
    let [route] = caller.routes.as_slice() else { panic!("one route: {:?}", caller.routes) };
    assert_eq!((&*route.service, route.calls.retries), (calculator.name(), 0));
    assert_eq!(route.links.len(), 1);
    assert!(route.links[0].written > 0 && route.links[0].waiting == 0);

    let text = prometheus::text([near, caller]);
    let labels =
        format!(r#"mesh="{}",node="{}",service="calculator \"1\"""#, pair.here.name(), pair.here.node());
    for line in [
        format!("meshzero_service_messages_total{{{labels}}} 8"),
        format!("meshzero_service_unanswered_total{{{labels},reason=\"panicked\"}} 1"),
        format!("meshzero_service_links{{{labels}}} 1"),
        "# TYPE meshzero_service_links gauge".to_owned(),
        "# TYPE meshzero_route_retries counter".to_owned(),
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

#[actix::test]
async fn a_link_that_goes_on_is_counted_at_both_ends() {
    let pair = Pair::join().await;
    let service = offer(&pair, "calculator").await;
    let proxy = FaultProxy::in_front_of(service.address());
    let found = pair.there.discover(proxy.address().to_string()).within(PATIENCE).await;
    let calculator = found.expect("it answers through the proxy");
    for round in 1..=3 {
        call(&calculator, 0..10).await;
        proxy.cut(Cut::Reset);
        call(&calculator, 0..10).await;
        let stats = service.stats();
        let (far, near) = (&stats.links[0], &calculator.stats().links[0]);
        assert_eq!((stats.connections.resumed, far.resumed, near.resumed), (round, round, round));
    }
    assert_eq!(service.stats().connections.opened, 1, "it is still the same link");
}

#[actix::test]
async fn a_subscription_counts_what_it_has_missed_and_shows_its_links() {
    let pair = Pair::join().await;
    let service = offer(&pair, "calculator").await;
    let proxy = FaultProxy::in_front_of(service.address());
    let found = pair.there.discover(proxy.address().to_string()).within(PATIENCE).await;
    let calculator = found.expect("it answers through the proxy");
    let mut sums = calculator.subscribe::<u64>("sum").latest().await.expect("subscribed");
    let (mut skipped, mut last) = (0, None);
    for round in 1..=3 {
        proxy.cut(Cut::Reset);
        for number in 0..100 {
            service.publish("sum", &(100 * round + number)).expect("published");
        }
        while last != Some(100 * round + 99) {
            let news = sums.next().await.expect("the subscription continues").expect("nothing is lost");
            skipped += news.skipped;
            last = Some(news.item);
        }
        until("it continues", || sums.stats().links.first().is_some_and(|link| link.resumed == round)).await;
        let stats = sums.stats();
        assert_eq!((&*stats.service, &*stats.topic, stats.lost), (calculator.name(), "sum", 0));
        assert_eq!((stats.missed.superseded, stats.missed.total()), (skipped, skipped));
        let [link] = stats.links.as_slice() else { panic!("one link: {:?}", stats.links) };
        assert_eq!((link.node, link.purpose, link.resumed), (pair.here.node(), LinkPurpose::News, round));
        assert_eq!(link.address, proxy.address());
    }
    assert!(skipped > 0, "some were replaced");

    let node = pair.there.stats().await.expect("it has not left");
    assert_eq!(node.subscriptions, [sums.stats()]);
    let text = prometheus::text([node]);
    let (mesh, id) = (pair.there.name(), pair.there.node());
    let labels =
        format!(r#"mesh="{mesh}",node="{id}",service="{}",topic="sum",subscription="0""#, calculator.name());
    for line in [
        format!("meshzero_subscription_missed_total{{{labels},reason=\"superseded\"}} {skipped}"),
        format!("meshzero_subscription_lost_total{{{labels}}} 0"),
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    assert!(text.lines().any(|line| line.starts_with("meshzero_link_resumed_total") && line.ends_with(" 3")));

    service.close().await;
    sums.next().await.expect("it is told").expect_err("the publisher is gone");
    assert_eq!(sums.stats().lost, 1);
    drop(sums);
    let forgotten = async {
        while !pair.there.stats().await.expect("it has not left").subscriptions.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, forgotten).await.expect("a subscription that has ended is forgotten");
}

#[actix::test]
async fn nothing_is_buffered_for_a_program_that_has_dropped_a_service() {
    let pair = Pair::join().await;
    let service = offer(&pair, "calculator").await;
    for _ in 0..5 {
        let calculator = pair.reach(&service).await;
        call(&calculator, 0..1).await;
    }
    until("its links have ended", || service.stats().connections.open == 0).await;
    let connections = service.stats().connections;
    assert_eq!((connections.opened, connections.given_up), (5, 0));
}
