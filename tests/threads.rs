//! The threads that a node may run on, and operations that block such a thread.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use meshzero::{AdvertiseError, CallError, Limits, Mesh, Refusal, ServiceRef};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::pair::{PATIENCE, Pair, until};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u8")]
struct Ping;

/// Tells its handler to wait for a reply to [`Ping`], each variant in another way.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
#[rtype(result = "Option<u8>")]
enum Ask {
    ByBlockOn,
    ByAnotherBlockOn,
    ByTell,
    ByDiscovering,
    ByPollingOnce,
    ByPollingOnceAndLater,
    BySendingWhileOthersWait,
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
            Ask::BySendingWhileOthersWait => {
                let mut pings = FuturesUnordered::new();
                let mut replies = Vec::new();
                for _ in 0..8 {
                    pings.push(ping());
                    // On another thread the server may have replied by now.
                    replies.extend(pings.next().now_or_never().flatten());
                }
                return Box::pin(async move {
                    replies.extend(pings.collect::<Vec<_>>().await);
                    replies.into_iter().collect::<Result<Vec<_>, _>>().ok()?.pop()
                });
            }
            Ask::Joining => {
                let join = Mesh::join().mesh(self.mesh.name().as_str()).interfaces("lo");
                block_on(join.into_future()).map(|_| 7).ok()
            }
        };
        Box::pin(async move { reply })
    }
}

/// An executor as other libraries have it.
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

/// The result of asking a service on the other node.
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
async fn a_handler_that_blocks_its_thread_for_work_of_that_thread_panics() {
    for way in [Ask::ByBlockOn, Ask::ByAnotherBlockOn, Ask::ByDiscovering] {
        let asked = actix::clock::timeout(PATIENCE, ask(way, true)).await.expect("it ends");
        let refused = matches!(&asked, Err(CallError::Refused { reason: Refusal::Panicked, .. }));
        assert!(refused, "{way:?}: {asked:?}");
    }
}

#[actix::test]
async fn a_handler_may_block_for_a_reply_from_another_thread_and_poll_by_hand() {
    for (way, server_at_home) in [
        (Ask::ByBlockOn, false),
        (Ask::ByAnotherBlockOn, false),
        (Ask::ByTell, true),
        (Ask::ByPollingOnce, true),
        (Ask::ByPollingOnceAndLater, true),
        (Ask::ByPollingOnceAndLater, false),
        (Ask::BySendingWhileOthersWait, true),
        (Ask::BySendingWhileOthersWait, false),
        (Ask::Joining, true),
    ] {
        let asked = actix::clock::timeout(PATIENCE, ask(way, server_at_home)).await.expect("it ends");
        assert!(matches!(asked, Ok(Some(7))), "{way:?}: {asked:?}");
    }
}

/// A service for one message at a time, which occupies it until the message is told to end.
struct Busy {
    end: Arc<Semaphore>,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Work;

impl Actor for Busy {
    type Context = Context<Self>;
}

impl Handler<Work> for Busy {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Work, _: &mut Context<Self>) -> Self::Result {
        let end = Arc::clone(&self.end);
        Box::pin(async move { end.acquire().await.expect("it is never closed").forget() })
    }
}

/// Waits for [`Busy`] on its own thread, or polls once and gives up; signals when it waits.
struct Client {
    busy: ServiceRef,
    waits: std::sync::mpsc::Sender<()>,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "bool")]
struct Block;

/// Polls a call once and keeps it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Keep;

impl Actor for Client {
    type Context = Context<Self>;
}

impl Handler<Block> for Client {
    type Result = bool;

    fn handle(&mut self, _: Block, _: &mut Context<Self>) -> bool {
        let mut work = pin!(self.busy.send(Work));
        let waits = &self.waits;
        let mut polls = 0;
        let replied = block_on(poll_fn(|task| {
            let polled = work.as_mut().poll(task);
            polls += 1;
            if polls == 2 {
                waits.send(()).expect("the test listens");
            }
            if polls < 2 {
                task.waker().wake_by_ref();
            }
            polled
        }));
        replied.is_ok()
    }
}

impl Handler<Keep> for Client {
    type Result = ();

    fn handle(&mut self, _: Keep, context: &mut Context<Self>) {
        let mut work = Box::pin(self.busy.send(Work));
        assert!(work.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
        context.spawn(actix::fut::wrap_future::<_, Self>(async move {
            let _work = work;
            std::future::pending::<()>().await;
        }));
    }
}

#[actix::test]
async fn a_handler_may_block_for_a_permit_on_another_arbiter_and_manual_polling_holds_up_nobody() {
    let mut limits = Limits::default();
    limits.mailbox = 1;
    let pair = Pair::join_with(limits).await;
    let (arbiter, end) = (Arbiter::new(), Arc::new(Semaphore::new(0)));
    let gate = Arc::clone(&end);
    let busy = pair.here.advertise("busy", move || Busy { end: Arc::clone(&gate) }).handles::<Work>();
    let service = busy.on(&arbiter.handle()).await.expect("advertised");
    let busy = pair.here.discover("busy").within(PATIENCE).await.expect("found");
    let (waits, told) = std::sync::mpsc::channel();
    let called = busy.clone();
    let make = move || Client { busy: called.clone(), waits: waits.clone() };
    let client = pair.here.advertise("client", make).handles::<Block>().handles::<Keep>();
    let client = client.await.expect("advertised");
    let near = pair.reach(&client).await;

    let first = actix::spawn(busy.send(Work).timeout(PATIENCE).into_future());
    until("the only place is taken", || service.unfinished() == 1).await;
    let gate = Arc::clone(&end);
    // The thread that this runs on is blocked meanwhile.
    let ending = thread::spawn(move || {
        told.recv_timeout(PATIENCE).expect("it waits");
        gate.add_permits(2);
    });
    let blocked = near.send(Block).timeout(PATIENCE);
    let replied = actix::clock::timeout(PATIENCE, blocked.into_future()).await.expect("it ends");
    assert!(replied.expect("no panic"), "it was handled");
    first.await.expect("no panic").expect("handled");
    ending.join().expect("no panic");

    let second = actix::spawn(busy.send(Work).timeout(PATIENCE).into_future());
    until("the only place is taken", || service.unfinished() == 1).await;
    near.send(Keep).timeout(PATIENCE).await.expect("no panic");
    let third = actix::spawn(busy.send(Work).timeout(PATIENCE).into_future());
    end.add_permits(3);
    for call in [second, third] {
        call.await.expect("no panic").expect("nobody is in its way");
    }
    arbiter.stop();
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

/// Joins, and runs the mesh.
async fn join_and_call() {
    let mesh = mesh().await;
    let _server = mesh.advertise("server", || Server).handles::<Ping>().await.expect("advertised");
    let server = mesh.discover("server").within(PATIENCE).await.expect("found");
    assert_eq!(server.send(Ping).timeout(PATIENCE).await.expect("answered"), 7);
}

/// Runs `test` on a fresh thread, and waits for it.
fn on_fresh_thread(test: impl FnOnce() + Send + 'static) {
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
fn a_mesh_needs_no_system_on_its_thread() {
    // After a System has ended.
    on_fresh_thread(|| {
        System::new().block_on(async {});
        meshzero::block_on(join_and_call());
    });
    // With a System that was created, does not run yet, and runs later.
    on_fresh_thread(|| {
        let system = System::new();
        meshzero::block_on(join_and_call());
        system.block_on(join_and_call());
        meshzero::block_on(join_and_call());
    });
    // The same in a runtime other than actix's.
    on_fresh_thread(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _system = System::new();
        runtime.block_on(join_and_call());
    });
    // In a System that runs, with another created after it.
    on_fresh_thread(|| {
        let first = System::new();
        let _second = System::new();
        first.block_on(join_and_call());
    });
    // After an arbiter has stopped, as long as its thread runs.
    on_fresh_thread(|| {
        System::new().block_on(async {
            Arbiter::current().stop();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            join_and_call().await;
        });
    });
    // In a System that runs, which is blocked.
    on_fresh_thread(|| System::new().block_on(async { meshzero::block_on(join_and_call()) }));
}

#[test]
fn a_mesh_runs_in_the_running_system_of_its_thread() {
    on_fresh_thread(|| {
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
    on_fresh_thread(|| {
        let _system = System::new();
        let idle = Arbiter::current();
        meshzero::block_on(async {
            let mesh = mesh().await;
            let error = mesh.advertise("server", || Server).on(&idle).await.expect_err("it does nothing");
            assert!(matches!(error, AdvertiseError::IdleArbiter), "{error}");
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
