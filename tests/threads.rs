//! Where a node may live, and what becomes of whoever blocks that thread.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use actix::prelude::*;
use meshzero::{AdvertiseError, CallError, Mesh, OfferError, Refusal, ServiceRef};
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u8")]
struct Ping;

/// Asks its handler to wait for a reply to [`Ping`], in some way.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
#[rtype(result = "Option<u8>")]
enum Ask {
    ByBlockOn,
    ByAnotherBlockOn,
    ByTell,
    ByDiscovering,
    ByPollingOnce,
    ByPollingOnceAndLater,
    Joining,
}

struct Server;

impl Actor for Server {
    type Context = Context<Self>;
}

impl Handler<Ping> for Server {
    type Result = u8;

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> u8 {
        7
    }
}

struct Asker {
    mesh: Mesh,
    server: ServiceRef,
}

impl Actor for Asker {
    type Context = Context<Self>;
}

impl Handler<Ask> for Asker {
    type Result = ResponseFuture<Option<u8>>;

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> Self::Result {
        let ping = || self.server.send(Ping);
        let reply = match ask {
            Ask::ByBlockOn => meshzero::block_on(ping()).ok(),
            Ask::ByAnotherBlockOn => block_on(ping()).ok(),
            Ask::ByTell => block_on(self.server.tell(Ping)).map(|()| 7).ok(),
            Ask::ByDiscovering => block_on(self.mesh.discover("nobody").into_future()).map(|_| 7).ok(),
            Ask::ByPollingOnce => {
                let mut ping = pin!(ping());
                let polled = ping.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
                assert!(polled.is_pending(), "it takes another turn");
                Some(7)
            }
            Ask::ByPollingOnceAndLater => {
                let mut ping = Box::pin(ping());
                let polled = ping.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
                assert!(polled.is_pending(), "it takes another turn");
                return Box::pin(async move { ping.await.ok() });
            }
            Ask::Joining => {
                let join = Mesh::join().mesh(self.mesh.name().as_str()).interfaces("lo");
                block_on(join.into_future()).map(|_| 7).ok()
            }
        };
        Box::pin(async move { reply })
    }
}

/// As other libraries have it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// What comes of asking a service that lives with the other node.
async fn ask(ask: Ask, server_at_home: bool) -> Result<Option<u8>, CallError> {
    let pair = Pair::join().await;
    let arbiter = Arbiter::new();
    let server = match server_at_home {
        true => pair.there.advertise("server", || Server),
        false => pair.here.advertise("server", || Server).on(&arbiter.handle()),
    };
    let _server = server.handles::<Ping>().await.expect("advertised");
    let mesh = pair.here.clone();
    let server = mesh.discover("server").within(PATIENCE).await.expect("found");
    let make = move || Asker { mesh: mesh.clone(), server: server.clone() };
    let asker = pair.here.advertise("asker", make).handles::<Ask>().await.expect("advertised");
    let asked = pair.reach(&asker).await.send(ask).timeout(PATIENCE).await;
    if asked.is_err() {
        until("a panic has cost the actor", || asker.restarts() == 1).await;
    }
    arbiter.stop();
    asked
}

#[actix::test]
async fn a_handler_that_blocks_its_thread_for_what_that_would_have_to_bring_panics() {
    for way in [Ask::ByBlockOn, Ask::ByAnotherBlockOn, Ask::ByDiscovering] {
        let asked = actix::clock::timeout(PATIENCE, ask(way, true)).await.expect("it ends");
        let refused = matches!(&asked, Err(CallError::Refused { why: Refusal::Panicked, .. }));
        assert!(refused, "{way:?}: {asked:?}");
    }
}

#[actix::test]
async fn a_handler_may_block_for_what_comes_from_elsewhere_and_poll_by_hand() {
    for (way, server_at_home) in [
        (Ask::ByBlockOn, false),
        (Ask::ByAnotherBlockOn, false),
        (Ask::ByTell, true),
        (Ask::ByPollingOnce, true),
        (Ask::ByPollingOnceAndLater, true),
        (Ask::Joining, true),
    ] {
        let asked = actix::clock::timeout(PATIENCE, ask(way, server_at_home)).await.expect("it ends");
        assert!(matches!(asked, Ok(Some(7))), "{way:?}: {asked:?}");
    }
}

#[actix::test]
async fn blocking_the_thread_of_the_mesh_outside_of_a_handler_panics_as_well() {
    let mesh = mesh().await;
    let blocked = std::panic::AssertUnwindSafe(|| meshzero::block_on(mesh.discover("nobody")).is_ok());
    let panic = std::panic::catch_unwind(blocked).expect_err("it would never end");
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    assert!(said.is_some_and(|said| said.contains("would never end")), "{said:?}");
}

async fn mesh() -> Mesh {
    let name = format!("test-{:032x}", fastrand::u128(..));
    Mesh::join().mesh(name).interfaces("lo").await.expect("joined")
}

/// Joins, and lets the mesh work.
async fn join_and_call() {
    let mesh = mesh().await;
    let _server = mesh.advertise("server", || Server).handles::<Ping>().await.expect("advertised");
    let server = mesh.discover("server").within(PATIENCE).await.expect("found");
    assert_eq!(server.send(Ping).timeout(PATIENCE).await.expect("answered"), 7);
}

/// Runs `test` on a thread of its own, where nothing was before, and waits for it.
fn alone(test: impl FnOnce() + Send + 'static) {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        tell.send(()).expect("the test waits");
    });
    if told.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("it has not ended");
    }
    thread.join().expect("no panic");
}

#[test]
fn a_mesh_lives_where_no_system_runs_whatever_was_or_will_be_on_the_thread() {
    // Where a System was before.
    alone(|| {
        System::new().block_on(async {});
        meshzero::block_on(join_and_call());
    });
    // Where one was made that does not run yet, and runs later.
    alone(|| {
        let system = System::new();
        meshzero::block_on(join_and_call());
        system.block_on(join_and_call());
        meshzero::block_on(join_and_call());
    });
    // The same in a runtime that is not actix's.
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _system = System::new();
        runtime.block_on(join_and_call());
    });
    // Where one runs and another was made after it.
    alone(|| {
        let first = System::new();
        let _second = System::new();
        first.block_on(join_and_call());
    });
    // Where an arbiter has stopped, as long as its thread goes on.
    alone(|| {
        System::new().block_on(async {
            Arbiter::current().stop();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            join_and_call().await;
        });
    });
    // Within a System that runs, blocked.
    alone(|| System::new().block_on(async { meshzero::block_on(join_and_call()) }));
}

#[test]
fn within_a_system_that_runs_a_mesh_lives_there() {
    alone(|| {
        System::new().block_on(async {
            let mesh = mesh().await;
            let here = thread::current().id();
            let (tell, told) = std::sync::mpsc::channel();
            let service = mesh.advertise("server", move || {
                tell.send(thread::current().id()).expect("the test listens");
                Server
            });
            let _service = service.await.expect("advertised");
            assert_eq!(told.recv(), Ok(here));
        });
    });
}

#[test]
fn an_arbiter_that_does_nothing_is_not_waited_for() {
    alone(|| {
        let _system = System::new();
        let idle = Arbiter::current();
        meshzero::block_on(async {
            let mesh = mesh().await;
            let error = mesh.advertise("server", || Server).on(&idle).await.expect_err("it does nothing");
            assert!(matches!(error, AdvertiseError::Offer(OfferError::IdleArbiter)), "{error}");
        });
    });
}

#[actix::test]
async fn a_service_ends_with_its_arbiter_and_so_do_calls() {
    let pair = Pair::join().await;
    let arbiter = Arbiter::new();
    let server = pair.here.advertise("server", || Server).handles::<Ping>().on(&arbiter.handle());
    let service = server.await.expect("advertised");
    let near = pair.here.discover("server").within(PATIENCE).await.expect("found");
    assert_eq!(near.send(Ping).await.expect("answered"), 7);
    arbiter.stop();
    arbiter.join().expect("no panic");
    service.ended().await;
    let error = near.send(Ping).timeout(Duration::from_millis(50)).await.expect_err("it has ended");
    assert!(error.is_safe_to_repeat(), "{error}");
    let gone = poll_fn(|task| {
        if near.instances().is_empty() {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    });
    actix::clock::timeout(PATIENCE, gone).await.expect("it is withdrawn");
}
