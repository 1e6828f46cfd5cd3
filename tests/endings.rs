//! Promise 1, however the thread of a node ends: pending operations end, and later ones fail at once.

use std::fmt::Debug;
use std::future::{IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix::{Arbiter, ArbiterHandle, SystemRunner};
use meshzero::{
    AdvertiseError, CallError, DiscoverError, Limits, Mesh, PublishError, Service, ServiceEnd,
    SubscribeError, TrySendError, block_on,
};
use meshzero_actors::config::Config;
use meshzero_actors::node::Node;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::pair::PATIENCE;

/// A handler that never replies.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u8")]
struct Never;

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u8")]
struct Now;

struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

impl Handler<Never> for Idle {
    type Result = ResponseFuture<u8>;

    fn handle(&mut self, _: Never, _: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

impl Handler<Now> for Idle {
    type Result = u8;

    fn handle(&mut self, _: Now, _: &mut Context<Self>) -> u8 {
        1
    }
}

/// The parts of a node under test.
struct NodeParts {
    mesh: Mesh,
    near: Service<Idle>,
    full: Service<Idle>,
    closing: Service<Idle>,
    apart: Service<Idle>,
}

async fn advertise(mesh: &Mesh, name: &str) -> Service<Idle> {
    mesh.advertise(name, || Idle).handles::<Never>().handles::<Now>().await.expect("advertised")
}

/// A call that ended by its timeout would be a failure of the test.
fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.mailbox, limits.request_timeout) = (MAILBOX, Duration::MAX);
    limits
}

/// The number of messages that a service handles at once.
const MAILBOX: usize = 4;

fn join(name: &str) -> meshzero::Join {
    Mesh::join().mesh(name).interfaces("lo").limits(limits())
}

/// A node on a thread that will end.
struct NodeThread {
    mesh: String,
    /// The arbiter of one of its services, which outlives the thread.
    arbiter: ArbiterHandle,
    inside: Sender<NodeParts>,
    end: oneshot::Receiver<()>,
}

impl NodeThread {
    /// Joins on the current thread. The returned channel fires when the thread should end.
    async fn settle(self) -> oneshot::Receiver<()> {
        let mesh = join(&self.mesh).await.expect("joined");
        self.advertise_all(mesh).await
    }

    /// Joins on the current `LocalSet`.
    async fn join_locally(self) -> oneshot::Receiver<()> {
        let config = Config {
            mesh: self.mesh.parse().expect("a name"),
            interfaces: "lo".parse().expect("interfaces"),
            limits: limits().into(),
            ..Config::default()
        };
        let mesh = Mesh::from(Node::start_local(config).await.expect("started"));
        self.advertise_all(mesh).await
    }

    async fn advertise_all(self, mesh: Mesh) -> oneshot::Receiver<()> {
        let apart = mesh.advertise("apart", || Idle).handles::<Never>().on(&self.arbiter);
        let inside = NodeParts {
            near: advertise(&mesh, "near").await,
            full: advertise(&mesh, "full").await,
            closing: advertise(&mesh, "closing").await,
            apart: apart.await.expect("advertised"),
            mesh,
        };
        assert!(self.inside.send(inside).is_ok(), "the test listens");
        self.end
    }

    async fn live(self) {
        self.settle().await.await.expect("the test says when");
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A pending operation by name, and whether it ended as it should.
type Ended = (&'static str, Result<(), String>);

/// Pending operations on threads of their own, by name, and the result of each.
struct Waiting {
    begun: Receiver<()>,
    ended: Receiver<Ended>,
    senders: (Sender<()>, Sender<Ended>),
    names: Vec<&'static str>,
}

impl Waiting {
    fn new() -> Self {
        let ((tell_begun, begun), (tell_ended, ended)) = (channel(), channel());
        Self { begun, ended, senders: (tell_begun, tell_ended), names: Vec::new() }
    }

    /// Runs `verb` on another thread. It must not end at once, and then end as `is_right` requires.
    fn begin<F>(
        &mut self,
        name: &'static str,
        verb: F,
        is_right: impl Fn(&F::Output) -> bool + Send + 'static,
    ) where
        F: IntoFuture<IntoFuture: Send, Output: Debug> + Send + 'static,
    {
        let (begun, ended) = self.senders.clone();
        self.names.push(name);
        thread::spawn(move || {
            let output = block_on(async {
                let mut verb = pin!(verb.into_future());
                let first = poll_fn(|task| Poll::Ready(verb.as_mut().poll(task))).await;
                begun.send(()).expect("the test listens");
                match first {
                    Poll::Ready(output) => Err(format!("did not wait: {output:?}")),
                    Poll::Pending => Ok(verb.await),
                }
            });
            let result = output.and_then(|output| match is_right(&output) {
                true => Ok(()),
                false => Err(format!("ended in {output:?}")),
            });
            // The test may have failed meanwhile.
            let _ = ended.send((name, result));
        });
        self.begun.recv_timeout(PATIENCE).expect("it begins");
    }

    /// Waits until all have ended, and returns those that have not, or not as they should.
    fn end(mut self) -> Vec<String> {
        let (patience, mut wrong) = (Instant::now() + PATIENCE, Vec::new());
        while !self.names.is_empty() {
            match self.ended.recv_timeout(patience.saturating_duration_since(Instant::now())) {
                Ok((name, result)) => {
                    self.names.retain(|other| *other != name);
                    wrong.extend(result.err().map(|problem| format!("{name} {problem}")));
                }
                Err(_) => {
                    wrong.extend(self.names.drain(..).map(|name| format!("{name} has not ended")));
                }
            }
        }
        wrong
    }
}

fn is_unknown<T>(result: &Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::Unknown { .. }))
}

fn is_unhandled<T>(result: &Result<T, CallError>) -> bool {
    result.as_ref().is_err_and(CallError::is_safe_to_repeat)
}

fn settled(what: &str, condition: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < patience, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A node on the ending thread, and a peer that outlives it.
struct Scene {
    peer: Mesh,
    far: Service<Idle>,
    apart: Arbiter,
    _system: SystemRunner,
}

/// Runs every operation that can wait for a node, while its thread ends in this way; and then every operation that can be
/// started.
fn check_ending(ends: fn(NodeThread)) {
    let name = format!("test-{:032x}", fastrand::u128(..));
    let system = System::new();
    let scene = Scene {
        peer: block_on(async { join(&name).await }).expect("joined"),
        far: block_on(async { advertise(&join(&name).await.expect("joined"), "far").await }),
        apart: Arbiter::new(),
        _system: system,
    };
    let (tell_inside, told_inside) = channel();
    let (end, told_end) = oneshot::channel();
    let tenant = NodeThread { mesh: name, arbiter: scene.apart.handle(), inside: tell_inside, end: told_end };
    let ending = thread::spawn(move || ends(tenant));
    let NodeParts { mesh, near, full, closing, apart } =
        told_inside.recv_timeout(PATIENCE).expect("it lives there");
    let find = |name: &str| block_on(mesh.discover(name).within(PATIENCE)).expect("found");
    let (far, here, packed) = (find("far"), find("near"), find("full"));
    let (shutting, aside) = (find("closing"), find("apart"));
    let nobody = {
        let short = block_on(async { advertise(&scene.peer, "short").await });
        let found = find("short");
        block_on(short.close());
        settled("it is withdrawn", || found.instances().is_empty());
        found
    };
    let lagging = block_on(async {
        let near = scene.peer.discover("near").within(PATIENCE).await.expect("found");
        near.subscribe::<u64>("").wait().keep(1).await.expect("confirmed")
    });

    let mut waiting = Waiting::new();
    waiting.begin("a call to another program", far.send(Never), is_unknown);
    waiting.begin("a call that may be repeated", far.send(Never).idempotent(), is_unknown);
    waiting.begin("a call within the program", here.send(Never), is_unknown);
    waiting.begin("a call to another arbiter", aside.send(Never), is_unknown);
    let endless = aside.send(Never).timeout(Duration::MAX);
    waiting.begin("a call to another arbiter without an end", endless, is_unknown);
    for _ in 0..MAILBOX {
        waiting.begin("a call within the program", packed.send(Never), is_unknown);
    }
    settled("all places are taken", || full.unfinished() == MAILBOX);
    waiting.begin("a call without a place", packed.send(Never), is_unhandled);
    let tell = packed.clone();
    waiting.begin("a tell without a place", async move { tell.tell(Never).await }, is_unhandled);
    waiting.begin("a call to nobody", nobody.send(Never), is_unhandled);
    let tell = nobody.clone();
    waiting.begin("a tell to nobody", async move { tell.tell(Never).await }, is_unhandled);
    waiting.begin("a description of nobody", nobody.describe(), is_unhandled);
    waiting.begin("statistics of nobody", nobody.ask_stats(), is_unhandled);
    waiting.begin("discover", mesh.discover("nobody").within(Duration::MAX), |found| {
        matches!(found, Err(DiscoverError::Gone(_)))
    });
    waiting.begin("discover at an address", mesh.discover("127.0.0.1:1").within(Duration::MAX), |found| {
        matches!(found, Err(DiscoverError::Gone(_)))
    });
    waiting.begin("a list", mesh.discover_group("nobody").within(Duration::MAX), Vec::is_empty);
    waiting.begin("a subscription to nobody", nobody.subscribe::<u64>(""), Result::is_err);
    for (name, publisher) in [("news of another program", &far), ("news of this program", &here)] {
        let mut news = block_on(publisher.subscribe::<u64>("topic")).expect("confirmed");
        let all = async move { while news.next().await.is_some() {} };
        waiting.begin(name, all, |()| true);
    }
    let mut watch = mesh.watch("");
    let all = async move { while watch.next().await.is_some() {} };
    waiting.begin("a watch", all, |()| true);
    let publisher = near.publisher();
    let publishing = async move {
        loop {
            if let Err(error) = publisher.publish_all("topic", &0u64).await {
                return error;
            }
        }
    };
    waiting.begin("publish_all", publishing, |error| matches!(error, PublishError::Closed));
    // Its handler may have begun, or not.
    waiting.begin("a call to what closes", shutting.send(Never), |ended| {
        is_unknown(ended) || is_unhandled(ended)
    });
    settled("it is there", || closing.unfinished() == 1);
    waiting.begin("Service::close", closing.close(), |_| true);
    let ended = near.publisher();
    waiting.begin("Service::ended", async move { near.ended().await }, |end| {
        matches!(end, ServiceEnd::Closed | ServiceEnd::Stopped)
    });
    settled("calls have arrived", || scene.far.unfinished() == 2 && apart.unfinished() == 2);

    end.send(()).expect("it waits");
    let mut wrong = waiting.end();
    // Some of them panic.
    let _ = ending.join();
    drop(lagging);

    let mut after = Vec::new();
    let mut begin = |name: &'static str, is_right: bool| after.extend((!is_right).then_some(name));
    let begun = Instant::now();
    begin("a call afterwards", is_unhandled(&block_on(far.send(Now))));
    begin("a call within the program", is_unhandled(&block_on(here.send(Now))));
    begin("a call to another arbiter", is_unhandled(&block_on(aside.send(Never))));
    let endless = aside.send(Never).timeout(Duration::MAX);
    begin("a call to another arbiter without an end", is_unhandled(&block_on(endless)));
    begin("a tell", is_unhandled(&block_on(far.tell(Now))));
    begin("a tell within the program", is_unhandled(&block_on(here.tell(Now))));
    begin("try_send", matches!(far.try_send(Now), Err(TrySendError::NotConnected(_))));
    begin("try_send within", matches!(here.try_send(Now), Err(TrySendError::NotConnected(_))));
    far.do_send(Now);
    begin("a description", is_unhandled(&block_on(far.describe())));
    begin("statistics of others", is_unhandled(&block_on(far.ask_stats())));
    begin("statistics", block_on(mesh.stats()).is_err());
    begin("discover", matches!(block_on(mesh.discover("far")), Err(DiscoverError::Gone(_))));
    begin("a list", block_on(mesh.discover_all()).is_empty());
    begin("a watch", block_on(mesh.watch("").next()).is_none());
    begin("a subscription", block_on(far.subscribe::<u64>("")).is_err());
    begin(
        "a group",
        matches!(block_on(mesh.discover_group("far").subscribe::<u64>("")), Err(SubscribeError::Gone(_))),
    );
    begin("advertise", matches!(block_on(mesh.advertise("late", || Idle)), Err(AdvertiseError::Gone(_))));
    begin(
        "advertise elsewhere",
        block_on(mesh.advertise("late", || Idle).on(&scene.apart.handle())).is_err(),
    );
    begin("publish", matches!(ended.publish("topic", &0u64), Err(PublishError::Closed)));
    begin("publish_all", matches!(block_on(ended.publish_all("topic", &0u64)), Err(PublishError::Closed)));
    block_on(mesh.diagnose(""));
    block_on(mesh.reachability(""));
    begin("a second close", block_on(mesh.close()).is_empty());
    begin("at once", begun.elapsed() < PATIENCE);
    wrong.extend(after.into_iter().map(|name| format!("{name}, begun afterwards, did not fail")));

    // Other nodes see a program that has left.
    let near = block_on(scene.peer.discover("near").within(Duration::from_millis(1)));
    let is_gone = || {
        let still = block_on(scene.peer.discover_group("near").separator("").within(Duration::ZERO));
        still.is_empty() && scene.far.unfinished() == 2
    };
    drop(near);
    settled("others know that it has gone", is_gone);
    scene.apart.stop();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_tasks_of_its_threads_system_have_ended() {
    check_ending(|tenant| System::new().block_on(tenant.live()));
}

#[test]
fn its_system_was_stopped() {
    check_ending(|tenant| {
        let system = System::new();
        Arbiter::current().spawn(async {
            tenant.live().await;
            System::current().stop();
        });
        system.run().expect("it was stopped");
    });
}

#[test]
fn its_system_was_stopped_and_its_tasks_continued() {
    check_ending(|tenant| {
        System::new().block_on(async {
            tenant.live().await;
            System::current().stop();
            tokio::task::yield_now().await;
        });
    });
}

#[test]
fn its_system_runner_was_dropped() {
    check_ending(|tenant| {
        let system = System::new();
        let end = system.block_on(tenant.settle());
        system.block_on(end).expect("the test says when");
        drop(system);
    });
}

#[test]
fn its_arbiter_was_stopped() {
    check_ending(|tenant| {
        System::new().block_on(async {
            let arbiter = Arbiter::new();
            let (tell, told) = oneshot::channel();
            arbiter.spawn(async { tell.send(tenant.settle().await).expect("it waits") });
            told.await.expect("it lives there").await.expect("the test says when");
            arbiter.stop();
            arbiter.join().expect("no panic");
        });
    });
}

#[test]
fn the_arbiter_of_its_system_was_stopped() {
    check_ending(|tenant| {
        System::new().block_on(async {
            tenant.live().await;
            Arbiter::current().stop();
            tokio::task::yield_now().await;
        });
    });
}

#[test]
fn its_thread_panicked() {
    check_ending(|tenant| {
        System::new().block_on(async {
            tenant.live().await;
            // Without the panic hook, because this panic is no failure of the test.
            std::panic::resume_unwind(Box::new("over"));
        });
    });
}

#[test]
fn its_local_set_was_dropped() {
    check_ending(|tenant| {
        let (runtime, tasks) = (runtime(), LocalSet::new());
        let end = tasks.block_on(&runtime, tenant.join_locally());
        runtime.block_on(tasks.run_until(end)).expect("the test says when");
        drop(tasks);
    });
}

#[test]
fn its_runtime_was_shut_down_before_its_local_set() {
    check_ending(|tenant| {
        let (runtime, tasks) = (runtime(), LocalSet::new());
        let end = tasks.block_on(&runtime, tenant.join_locally());
        runtime.block_on(tasks.run_until(end)).expect("the test says when");
        runtime.shutdown_background();
        drop(tasks);
    });
}

#[test]
fn the_mesh_was_closed() {
    check_ending(|tenant| {
        System::new().block_on(async {
            let mesh = join(&tenant.mesh).await.expect("joined");
            let end = tenant.advertise_all(mesh.clone()).await;
            end.await.expect("the test says when");
            mesh.close_within(Duration::ZERO).await;
        });
    });
}
