//! Traces: everything caused by one call has one trace, in all services involved, and nothing else has.

mod forged;
mod recorder;
pub mod stations;

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use meshzero::trace::{self, TraceContext};
use meshzero::{CallError, Mesh, Service, ServiceRef, Value};

use self::recorder::{calls, handlers, logged};
use self::stations::{Here, Note, Panic, Relay, RelayWithActor, Seen, Station, with_handlers};
use crate::pair::{PATIENCE, Pair, until};

/// A context that was seen.
fn context(seen: &Seen) -> TraceContext {
    seen.as_ref().expect("there is one").parse().expect("a traceparent")
}

/// The span of a context that belongs to the trace of `root`, and is not `root` itself.
fn span_below(root: TraceContext, seen: &Seen) -> String {
    let context = context(seen);
    assert_eq!(context.trace_id(), root.trace_id());
    assert_ne!(context.span_id(), root.span_id());
    assert_eq!(context.is_sampled(), root.is_sampled());
    context.span_id().to_string()
}

/// A station, as the other node of a pair has it.
async fn station(pair: &Pair) -> (Station, Service<Station>, ServiceRef) {
    let station = Station::default();
    let service = station.offer(&pair.here, "station").await;
    let reached = pair.reach(&service).await;
    (station, service, reached)
}

/// Three stations on three nodes, each of which forwards to the next, and the first as the last node has it.
struct Line {
    _nodes: Vec<Mesh>,
    stations: Vec<(Station, Service<Station>)>,
    first: ServiceRef,
}

const NAMES: [&str; 3] = ["first", "second", "third"];

impl Line {
    async fn join() -> Self {
        let name = format!("test-{:032x}", fastrand::u128(..));
        let mut nodes = Vec::new();
        for _ in NAMES {
            nodes.push(Mesh::join().mesh(&name).interfaces("lo").await.expect("joined"));
        }
        let mut stations = Vec::new();
        let mut next: Option<ServiceRef> = None;
        for at in [2, 1, 0] {
            let station = next.as_ref().map_or_else(Station::default, Station::before);
            let service = station.offer(&nodes[at], NAMES[at]).await;
            // From the node before it, and the first from the last.
            let caller = &nodes[(at + 2) % 3];
            next = Some(caller.discover(NAMES[at]).within(PATIENCE).await.expect("found"));
            stations.insert(0, (station, service));
        }
        Self { _nodes: nodes, stations, first: next.expect("there are some") }
    }
}

#[actix::test]
async fn a_call_through_three_services_is_one_trace() {
    recorder::begin();
    let line = Line::join().await;
    let (root, other) = (trace::begin(), trace::begin());
    assert_ne!(root.trace_id(), other.trace_id());
    let seen = line.first.send(Relay).trace(root).await.expect("answered");
    let with_actors = line.first.send(RelayWithActor).trace(other).await.expect("answered");
    for (root, seen, message) in [(root, seen, "Relay"), (other, with_actors, "RelayWithActor")] {
        let spans: Vec<_> = seen.iter().map(|seen| span_below(root, seen)).collect();
        assert_eq!(spans.iter().collect::<HashSet<_>>().len(), 3, "{spans:?}");
        let handled = handlers(root);
        let calls: Vec<_> = calls(root).into_iter().rev().collect();
        assert_eq!((handled.len(), calls.len()), (3, 3));
        let root_span = root.span_id().to_string();
        let parents = std::iter::once(&root_span).chain(&spans);
        for ((((span, parent), call), handled), name) in
            spans.iter().zip(parents).zip(&calls).zip(&handled).zip(NAMES)
        {
            assert_eq!([call.field("span_id"), call.field("parent_id")], [span, parent]);
            assert_eq!(handled.field("span_id"), span);
            assert_eq!([call.field("service"), handled.field("service")], [name, name]);
            assert_eq!([call.field("message_type"), handled.field("message_type")], [message, message]);
            assert_eq!(call.field("outcome"), "replied");
        }
        let lines = logged("relayed");
        let lines: HashSet<_> = lines.iter().map(|line| line.field("span_id")).collect();
        assert!(spans.iter().all(|span| lines.contains(span.as_str())), "handlers log with their span");
    }
}

#[actix::test]
async fn a_message_is_passed_on_by_handlers_that_do_not_wait() {
    recorder::begin();
    let line = Line::join().await;
    let root = trace::begin();
    line.first.tell(Note("told".into())).trace(root).await.expect("sent");
    trace::in_scope(root, || {
        line.first.do_send(Note("sent".into()));
        line.first.try_send(Note("tried".into())).expect("there is room");
    });
    let notes = &line.stations[2].0.notes;
    for note in ["told", "sent", "tried"] {
        until("the note has come to the last", || notes.of(note).len() == 1).await;
        let spans: HashSet<_> =
            line.stations.iter().map(|(station, _)| span_below(root, &station.notes.of(note)[0])).collect();
        assert_eq!(spans.len(), 3);
    }
    let calls = calls(root);
    assert_eq!(calls.len(), 9);
    assert!(calls.iter().all(|call| call.field("outcome") == "told"), "{calls:?}");
}

#[actix::test]
async fn each_kind_of_handler_works_for_the_message_in_this_process_and_in_another() {
    recorder::begin();
    let pair = Pair::join().await;
    let (station, service, there) = station(&pair).await;
    let address = service.address().to_string();
    let here = pair.here.discover(&address).within(PATIENCE).await.expect("found");
    for (at, station_ref) in [("there", &there), ("here", &here)] {
        let root = trace::begin();
        let seen = station_ref.send(Here).trace(root).await.expect("answered");
        span_below(root, &seen);
        let by_future = station_ref.send(Relay).trace(root).await.expect("answered");
        let with_actor = station_ref.send(RelayWithActor).trace(root).await.expect("answered");
        // Encoded in this process as well, because the type is another.
        let named = station_ref.send(Value::Null).named("Here").trace(root).await.expect("answered");
        let value = station_ref.send(Value::Null).trace(root).await.expect("answered");
        let seen: Vec<_> =
            [&named, &value].into_iter().map(|value| value.as_str().map(str::to_owned)).collect();
        let all = [&by_future, &with_actor, &seen];
        let spans: HashSet<_> = all.into_iter().flatten().map(|seen| span_below(root, seen)).collect();
        assert_eq!(spans.len(), 4);
        station_ref.tell(Note(at.into())).trace(root).await.expect("sent");
        until("the note has come", || station.notes.of(at).len() == 1).await;
        span_below(root, &station.notes.of(at)[0]);
        let handled = handlers(root);
        let messages: Vec<_> = handled.iter().map(|handled| handled.field("message_type")).collect();
        assert_eq!(messages, ["Here", "Relay", "RelayWithActor", "Here", "Value", "Note"], "{at}");
        assert_eq!(trace::current(), None);
    }
}

#[actix::test]
async fn a_message_without_a_trace_inherits_none_from_earlier_ones() {
    let pair = Pair::join().await;
    let (station, service, there) = station(&pair).await;
    let here = pair.here.discover(service.address().to_string()).within(PATIENCE).await.expect("found");
    for station_ref in [&there, &here] {
        let root = trace::begin();
        // At once, so that they arrive together.
        let (traced, untraced, future, other_future, again) = tokio::join!(
            station_ref.send(Here).trace(root),
            station_ref.send(Here),
            station_ref.send(Relay).trace(root),
            station_ref.send(Relay),
            station_ref.send(Here),
        );
        span_below(root, &traced.expect("answered"));
        span_below(root, &future.expect("answered")[0]);
        assert_eq!(other_future.expect("answered"), [None]);
        assert_eq!([untraced.expect("answered"), again.expect("answered")], [None, None]);
        let panicked = station_ref.send(Panic).trace(root).await;
        if station.notes.of("panic").len() == 1 {
            panicked.expect_err("its handler panics");
        }
        assert_eq!(station_ref.send(Here).await.expect("answered"), None);
        assert_eq!(trace::current(), None);
    }
}

#[actix::test]
async fn another_try_belongs_to_the_same_call() {
    recorder::begin();
    let pair = Pair::join().await;
    let (station, _service, there) = station(&pair).await;
    let root = trace::begin();
    there.send(Panic).idempotent().trace(root).await.expect("the second try succeeds");
    let tries = station.notes.of("panic");
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0], tries[1]);
    let span = span_below(root, &tries[0]);
    let calls = calls(root);
    assert_eq!(calls.iter().map(|call| call.field("span_id")).collect::<Vec<_>>(), [span]);
}

#[actix::test]
async fn the_outcome_of_a_call_is_recorded_also_without_a_reply() {
    recorder::begin();
    let pair = Pair::join().await;
    let (station, service, there) = station(&pair).await;
    let root = trace::begin();
    let failed = there.send(Panic).trace(root).await;
    assert!(matches!(failed, Err(CallError::Refused { .. })), "{failed:?}");
    let mut given_up = there.send(Here).trace(root);
    assert!(poll_fn(|task| Poll::Ready(Pin::new(&mut given_up).poll(task).is_pending())).await);
    drop(given_up);
    drop(there.send(Here).trace(root));
    let nowhere = there.send(Value::Null).named("nobody knows this").trace(root).await;
    assert!(matches!(nowhere, Err(CallError::Refused { .. })), "{nowhere:?}");
    service.close().await;
    until("nobody is connected", || there.instances().is_empty()).await;
    there.send(Here).timeout(Duration::from_millis(10)).trace(root).await.expect_err("nobody is there");
    trace::in_scope(root, || there.try_send(Note("late".into()))).expect_err("nobody is there");
    let calls = calls(root);
    let ends: Vec<_> = calls.iter().map(|call| (call.field("message_type"), call.field("outcome"))).collect();
    assert_eq!(ends.len(), 5, "and nothing of what never set out: {ends:?}");
    assert!(ends[0].1.starts_with("failed: Refused(Panicked"), "{ends:?}");
    assert_eq!(ends[1], ("Here", "cancelled"));
    assert_eq!(ends[2].0, "nobody knows this");
    assert!(ends[2].1.contains("NoHandler"), "{ends:?}");
    assert!(ends[3].1.contains("Nobody"), "{ends:?}");
    assert_eq!(ends[4], ("Note", "failed: no instance is connected"));
    assert_eq!(station.notes.of("panic").len(), 1);
}

#[actix::test]
async fn a_context_is_carried_by_its_message_and_by_no_other() {
    let pair = Pair::join().await;
    let (_, _service, there) = station(&pair).await;
    let root = trace::begin();
    let request = trace::in_scope(root, || there.send(Here));
    span_below(root, &request.await.expect("answered"));
    let call = |station: ServiceRef| async move {
        tokio::task::yield_now().await;
        station.send(Here).await.expect("answered")
    };
    let carried = actix::spawn(trace::instrument(root, call(there.clone()))).await.expect("no panic");
    span_below(root, &carried);
    let bare = trace::in_scope(root, || actix::spawn(call(there.clone())));
    assert_eq!(bare.await.expect("no panic"), None);
    let panicked = std::panic::catch_unwind(|| trace::in_scope(root, || panic!("inside")));
    assert!(panicked.is_err() && trace::current().is_none());
    let inner = trace::begin();
    trace::in_scope(root, || {
        trace::in_scope(inner, || assert_eq!(trace::current(), Some(inner)));
        assert_eq!(trace::current(), Some(root));
    });
}

#[actix::test]
async fn a_mailbox_of_actix_does_not_keep_a_trace() {
    use actix::Actor;

    let pair = Pair::join().await;
    let station = Station::default().start();
    let root = trace::begin();
    let offer = pair.here.advertise_addr("station", station);
    let service = with_handlers(offer).await.expect("advertised");
    let there = pair.reach(&service).await;
    assert_eq!(there.send(Here).trace(root).await.expect("answered"), None);
    assert_eq!(there.send(Relay).trace(root).await.expect("answered"), [None]);
    there.tell(Note("told".into())).trace(root).await.expect("sent");
    assert_eq!(there.recipient().send(Here).await.expect("answered"), None);
}
