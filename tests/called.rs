//! Handlers that get the call with its means to reply: they reply later, refuse with a reason, and notice callers that have given
//! up.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;
use meshzero::{Call, CallError, Refusal, ServiceRef, Value, trace};
use meshzero_proto::zmtp::SocketType;

use crate::pair::{PATIENCE, Pair, until};
use crate::zmtp::Socket;

/// The calls that an actor keeps for later.
type KeptCalls = Arc<Mutex<Vec<Call<Value>>>>;

/// Counts numbers, fails for text, keeps calls with `true`, and drops all others.
struct Clerk(KeptCalls);

impl Actor for Clerk {
    type Context = Context<Self>;
}

impl Handler<Call<Value>> for Clerk {
    type Result = ();

    fn handle(&mut self, call: Call<Value>, _: &mut Context<Self>) {
        match call.message() {
            Value::Bool(true) => self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call),
            Value::Text(text) => {
                let problem = format!("{text} is no number");
                call.fail(problem);
            }
            message => {
                if let Some(number) = message.as_u64() {
                    call.reply(&Value::from(number + 1));
                }
            }
        }
    }
}

async fn refusal(clerk: &ServiceRef, message: Value) -> Refusal {
    match clerk.send(message).timeout(PATIENCE).await {
        Err(CallError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

async fn serves(clerk: &ServiceRef, kept: &KeptCalls) {
    assert_eq!(clerk.send(Value::from(1)).await.expect("a reply"), Value::from(2));
    let failed = refusal(clerk, Value::from("three")).await;
    assert_eq!(failed, Refusal::Failed { problem: "three is no number".to_owned() });
    assert_eq!(refusal(clerk, Value::Null).await, Refusal::Unanswered);

    let count = || kept.lock().unwrap_or_else(PoisonError::into_inner).len();
    let take = || kept.lock().unwrap_or_else(PoisonError::into_inner).pop().expect("it is there");
    let calling = actix::spawn(clerk.send(Value::from(true)).timeout(PATIENCE).into_future());
    until("it is kept", || count() == 1).await;
    let call = take();
    assert!(!call.is_abandoned() && call.deadline().is_some());
    call.reply(&Value::from("later"));
    assert_eq!(calling.await.expect("no panic").expect("a reply"), Value::from("later"));

    let calling = actix::spawn(clerk.send(Value::from(true)).timeout(PATIENCE).into_future());
    until("it is kept", || count() == 1).await;
    calling.abort();
    let call = take();
    until("its caller has given up", || call.is_abandoned()).await;
    call.reply(&Value::Null);

    clerk.tell(Value::from(true)).await.expect("it is taken");
    until("it is kept", || count() == 1).await;
    let call = take();
    assert!(!call.is_abandoned(), "nobody wanted a reply");
    call.reply(&Value::Null);
}

#[actix::test]
async fn a_supervised_actor_replies_later_or_refuses_with_a_reason() {
    let (pair, kept) = (Pair::join().await, KeptCalls::default());
    let keep = Arc::clone(&kept);
    let offer = pair.here.advertise("clerk", move || Clerk(Arc::clone(&keep)));
    let service = offer.handles_calls::<Value>().await.expect("advertised");
    let address = service.address().to_string();
    for mesh in [&pair.here, &pair.there] {
        serves(&mesh.discover(&address).within(PATIENCE).await.expect("found"), &kept).await;
    }
    until("all are finished", || service.unfinished() == 0).await;
    let mut socket = Socket::connect(service.address(), SocketType::Req).await;
    assert_eq!(socket.request("1").await, "2");
    assert_eq!(socket.request("\"one\"").await, r#"{"error":"its handler failed: one is no number"}"#);
}

#[actix::test]
async fn an_actor_of_the_program_replies_later_or_refuses_with_a_reason() {
    let (pair, kept) = (Pair::join().await, KeptCalls::default());
    let offer = pair.here.advertise_addr("clerk", Clerk(Arc::clone(&kept)).start());
    let service = offer.handles_calls::<Value>().await.expect("advertised");
    for mesh in [&pair.here, &pair.there] {
        serves(&mesh.discover("clerk").within(PATIENCE).await.expect("found"), &kept).await;
    }
    until("all are finished", || service.unfinished() == 0).await;
}

#[actix::test]
async fn a_call_that_is_answered_later_knows_its_trace() {
    let (pair, kept) = (Pair::join().await, KeptCalls::default());
    let keep = Arc::clone(&kept);
    let offer = pair.here.advertise("clerk", move || Clerk(Arc::clone(&keep)));
    let _service = offer.handles_calls::<Value>().await.expect("advertised");
    let count = || kept.lock().unwrap_or_else(PoisonError::into_inner).len();
    let take = || kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let root = trace::begin();
    for mesh in [&pair.here, &pair.there] {
        let clerk = mesh.discover("clerk").within(PATIENCE).await.expect("found");
        for context in [None, Some(root)] {
            let mut request = clerk.send(Value::from(true)).timeout(PATIENCE);
            if let Some(context) = context {
                request = request.trace(context);
            }
            let calling = actix::spawn(request.into_future());
            until("it is kept", || count() == 1).await;
            let call = take().expect("it is kept");
            assert_eq!(call.trace().map(|seen| seen.trace_id()), context.map(|context| context.trace_id()));
            call.reply(&Value::Null);
            calling.await.expect("no panic").expect("a reply");
        }
    }
}

#[actix::test]
async fn a_call_that_is_not_answered_in_time_is_listed_when_its_service_closes() {
    let mut limits = meshzero::Limits::default();
    limits.drain = std::time::Duration::from_millis(100);
    let (pair, kept) = (Pair::join_with(limits).await, KeptCalls::default());
    let keep = Arc::clone(&kept);
    let offer = pair.here.advertise("clerk", move || Clerk(Arc::clone(&keep)));
    let service = offer.handles_calls::<Value>().await.expect("advertised");
    let clerk = pair.there.discover("clerk").within(PATIENCE).await.expect("found");
    let _calling = actix::spawn(clerk.send(Value::from(true)).timeout(PATIENCE).into_future());
    until("it is kept", || service.unfinished() == 1).await;
    let abandoned = service.close().await.expect("it is not finished");
    assert_eq!(abandoned.messages.get("Value"), Some(&1), "{abandoned}");
}
