//! The program that each host runs: it serves, calls and subscribes, and records the results.

use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix::prelude::*;
use fastrand::Rng;
use meshzero::{Blob, CallError, Limits, Mesh, NewsError, PublishError, Publisher, ServiceRef, Subscription};
use meshzero_actors::config::Config;
use meshzero_actors::net::interfaces::Interfaces;
use meshzero_actors::net::network::Network;
use meshzero_actors::node::Node;
use meshzero_testing::{Kind, Outcome, Record};
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep};

use crate::account::{Account, Scene, number};
use crate::scenario::{Policy, Program, Target, ip};

/// The ports of the workers and the publishers.
const WORKER_PORT: u16 = 9_000;
const NEWS_PORT: u16 = 9_001;

/// The most open calls of one caller.
const OPEN: usize = 32;

/// The timeout of the last message, once all faults are undone.
const LAST: Duration = Duration::from_secs(20);

/// The parameters of a program.
pub struct Start {
    pub host: usize,
    pub seed: u64,
    pub program: Program,
    pub servers: Vec<usize>,
    pub network: Network,
    pub account: Account,
    pub scene: Rc<Scene>,
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
struct Numbered {
    sender: u64,
    number: u64,
    padding: Blob,
}

/// As [`Numbered`], for work that takes a while.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
struct SlowNumbered {
    sender: u64,
    number: u64,
    millis: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    number: u64,
    length: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Item {
    by: u64,
    number: u64,
    padding: Blob,
}

struct Worker {
    by: u64,
    account: Account,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Numbered> for Worker {
    type Result = MessageResult<Numbered>;

    fn handle(&mut self, message: Numbered, _: &mut Context<Self>) -> MessageResult<Numbered> {
        let Numbered { sender, number, padding } = message;
        self.account.note(Record::Executed { by: self.by, sender, number });
        MessageResult(Answer { number, length: padding.len() })
    }
}

impl Handler<SlowNumbered> for Worker {
    type Result = AtomicResponse<Self, Answer>;

    fn handle(&mut self, message: SlowNumbered, _: &mut Context<Self>) -> AtomicResponse<Self, Answer> {
        let SlowNumbered { sender, number, millis } = message;
        self.account.note(Record::Executed { by: self.by, sender, number });
        let pondering = async move {
            sleep(Duration::from_millis(millis)).await;
            Answer { number, length: 0 }
        };
        AtomicResponse::new(Box::pin(pondering.into_actor(self)))
    }
}

struct Paper;

impl Actor for Paper {
    type Context = Context<Self>;
}

/// The limits of all nodes: tight, so that they are reached in little time.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.keep_alive = Duration::from_secs(1);
    limits.reconnect = Duration::from_secs(8);
    limits.handshake = Duration::from_secs(2);
    limits
}

/// Runs until it is killed.
pub async fn run(start: Rc<Start>) -> Result<(), Box<dyn Error>> {
    let Start { host, seed, program, servers, network, account, scene } = &*start;
    let (host, count) = (*host, scene.start(*host));
    let others = servers.iter().filter(|server| **server != host);
    let config = Config {
        interfaces: Interfaces::loopback(),
        peers: others.map(|server| format!("{}:{WORKER_PORT}", ip(*server))).collect(),
        limits: limits().into(),
        network: network.clone(),
        ..Config::default()
    };
    let mesh = Mesh::from(Node::start_local(config).await?);
    let dice = &mut Rng::with_seed(seed ^ number(host, count, 0));
    let mut services = Vec::new();
    if program.serves {
        let (by, account) = (number(host, count, 0), account.clone());
        let worker = mesh.advertise("worker", move || Worker { by, account: account.clone() });
        let worker =
            worker.handles::<Numbered>().handles::<SlowNumbered>().at(WORKER_PORT.to_string()).await?;
        let paper = mesh.advertise(format!("paper-{host}"), || Paper).at(NEWS_PORT.to_string()).await?;
        spawn_local(publish(paper.publisher(), by, program.publishes_every, Rc::clone(scene), dice.fork()));
        services.push((worker, paper));
    }
    for (index, (publisher, hearing)) in program.subscriptions.iter().enumerate() {
        let stream = number(host, count, 50 + index as u64);
        scene.subscribed.borrow_mut().insert(stream, *publisher);
        let listener =
            Subscriber { stream, publisher: *publisher, hearing: *hearing, start: Rc::clone(&start) };
        spawn_local(listener.listen(mesh.clone(), dice.fork()));
    }
    for (index, target) in program.calls.iter().enumerate() {
        let caller = Caller {
            sender: number(host, count, 10 + index as u64),
            next: 0,
            open: VecDeque::new(),
            dice: dice.fork(),
            start: Rc::clone(&start),
        };
        scene.busy.set(scene.busy.get() + 1);
        spawn_local(caller.call_on(mesh.clone(), *target));
    }
    std::future::pending::<()>().await;
    drop(services);
    Ok(())
}

async fn publish(publisher: Publisher, by: u64, every: Duration, scene: Rc<Scene>, mut dice: Rng) {
    let mut next = 0;
    loop {
        let burst = if dice.u8(..32) == 0 { dice.usize(1..=200) } else { 1 };
        for _ in 0..burst {
            let length = if dice.u8(..64) == 0 { dice.usize(..40_000) } else { dice.usize(..100) };
            let item = Item { by, number: next, padding: vec![1; length].into() };
            let published = match publisher.publish("item", &item) {
                Err(PublishError::Full) => publisher.publish_all("item", &item).await,
                published => published,
            };
            if let Err(error) = published {
                return scene.complain(format!("{by} cannot publish: {error}"));
            }
            next += 1;
            scene.published.borrow_mut().insert(by, next);
        }
        sleep(every).await;
    }
}

/// Receives the news of one publisher.
struct Subscriber {
    stream: u64,
    publisher: usize,
    hearing: Policy,
    start: Rc<Start>,
}

impl Subscriber {
    async fn listen(self, mesh: Mesh, mut dice: Rng) {
        let mut subscription = self.subscribe(&mesh, &mut dice).await;
        let Self { stream, start, .. } = &self;
        let is_slow = dice.bool();
        while let Some(news) = subscription.next().await {
            let record = match news {
                Ok(news) => {
                    let Item { by, number, .. } = news.item;
                    start.scene.last_items.borrow_mut().insert(*stream, (by, number));
                    Record::Item { stream: *stream, by, number, skipped: news.skipped + news.thinned }
                }
                Err(NewsError::Missed { count, .. }) => Record::Missed { stream: *stream, count },
                Err(NewsError::Lost { .. }) => Record::Lost { stream: *stream },
                Err(other) => return start.scene.complain(format!("stream {stream}: {other}")),
            };
            start.account.note(record);
            if is_slow && !start.scene.is_healed.get() {
                sleep(Duration::from_millis(dice.u64(..30))).await;
            }
        }
        start.scene.complain(format!("stream {stream} has ended"));
    }

    async fn subscribe(&self, mesh: &Mesh, dice: &mut Rng) -> Subscription<Item> {
        let at = format!("{}:{NEWS_PORT}", ip(self.publisher));
        let name = format!("paper-{}", self.publisher);
        loop {
            let target = if dice.bool() { &at } else { &name };
            if let Ok(paper) = mesh.discover(target).within(Duration::from_secs(2)).await {
                let subscribe = paper.subscribe::<Item>("item");
                let subscribe = match self.hearing {
                    Policy::All => subscribe,
                    Policy::Keep(items) => subscribe.keep(items),
                    Policy::Latest => subscribe.latest(),
                    Policy::Last(items) => subscribe.last(items),
                    Policy::Rate(items) => subscribe.at_most(f64::from(items)),
                    Policy::Wait(items) => subscribe.keep(items).wait(),
                };
                if let Ok(subscription) = subscribe.await {
                    return subscription;
                }
            }
            sleep(Duration::from_millis(dice.u64(50..500))).await;
        }
    }
}

/// Sends numbered messages, and records their outcomes.
struct Caller {
    sender: u64,
    /// The number of the next message.
    next: u64,
    open: VecDeque<JoinHandle<()>>,
    dice: Rng,
    start: Rc<Start>,
}

impl Caller {
    async fn call_on(mut self, mesh: Mesh, target: Target) {
        let scene = Rc::clone(&self.start.scene);
        let target = match target {
            Target::At(host) => format!("{}:{WORKER_PORT}", ip(host)),
            Target::Named => "worker".to_owned(),
        };
        let worker = loop {
            match mesh.discover(&target).within(Duration::from_secs(2)).await {
                Ok(worker) => break worker,
                Err(_) => sleep(Duration::from_millis(self.dice.u64(50..500))).await,
            }
        };
        while !scene.is_over.get() {
            self.send(&worker).await;
            if self.open.len() >= OPEN {
                self.finish_one().await;
            }
            if self.dice.u8(..8) > 0 {
                sleep(self.start.program.pause.mul_f32(self.dice.f32())).await;
            }
        }
        while !self.open.is_empty() {
            self.finish_one().await;
        }
        let (number, begun) = self.begin(Kind::Call, LAST);
        let last = Numbered { sender: self.sender, number, padding: Blob::default() };
        let reply = worker.send(last).timeout(LAST).await;
        if let Err(error) = &reply {
            scene.complain(format!("{} is not healed after {:?}: {error}", self.sender, begun.elapsed()));
        }
        self.ended(number, begun, reply.as_ref().map_or_else(outcome, |answer| check(answer, number, 0)));
        scene.busy.set(scene.busy.get() - 1);
    }

    async fn send(&mut self, worker: &ServiceRef) {
        let length = if self.dice.u8(..32) == 0 { self.dice.usize(..60_000) } else { self.dice.usize(..100) };
        let allowed = Duration::from_millis(self.dice.u64(100..4_000));
        match self.dice.u8(..8) {
            0..=3 => {
                let (number, begun) = self.begin(Kind::Call, allowed);
                let message = Numbered { sender: self.sender, number, padding: vec![1; length].into() };
                let request = worker.send(message).timeout(allowed);
                self.leave_open(number, length, begun, request).await;
            }
            4 => {
                let (number, begun) = self.begin(Kind::Call, allowed);
                let message = SlowNumbered { sender: self.sender, number, millis: self.dice.u64(..30) };
                let request = worker.send(message).timeout(allowed);
                self.leave_open(number, 0, begun, request).await;
            }
            _ => {
                let (number, begun) = self.begin(Kind::Tell, allowed);
                let message = Numbered { sender: self.sender, number, padding: vec![1; length].into() };
                let told = worker.tell(message).timeout(allowed).await;
                self.ended(number, begun, told.map_or_else(|error| outcome(&error), |()| Outcome::Sent));
            }
        }
    }

    /// Polls a request once, so that it is sent before later messages, and leaves the rest to a task.
    async fn leave_open(
        &mut self,
        number: u64,
        length: usize,
        begun: Instant,
        request: impl Future<Output = Result<Answer, CallError>> + 'static,
    ) {
        let mut request = Box::pin(request);
        let first = poll_fn(|task| Poll::Ready(Pin::new(&mut request).poll(task))).await;
        let end = move |reply: Result<Answer, CallError>| {
            reply.map_or_else(|error| outcome(&error), |answer| check(&answer, number, length))
        };
        match first {
            Poll::Ready(reply) => self.ended(number, begun, end(reply)),
            Poll::Pending => {
                let (account, sender) = (self.start.account.clone(), self.sender);
                self.open.push_back(spawn_local(async move {
                    let outcome = end(request.await);
                    account.note(Record::Ended { sender, number, outcome, took: begun.elapsed() });
                }));
            }
        }
    }

    async fn finish_one(&mut self) {
        if let Some(open) = self.open.pop_front()
            && let Err(error) = open.await
        {
            self.start.scene.complain(format!("a call of {}: {error}", self.sender));
        }
    }

    fn begin(&mut self, kind: Kind, allowed: Duration) -> (u64, Instant) {
        let number = self.next;
        self.next += 1;
        self.start.account.note(Record::Started { sender: self.sender, number, kind, allowed });
        (number, Instant::now())
    }

    fn ended(&self, number: u64, begun: Instant, outcome: Outcome) {
        let took = begun.elapsed();
        self.start.account.note(Record::Ended { sender: self.sender, number, outcome, took });
    }
}

fn check(answer: &Answer, number: u64, length: usize) -> Outcome {
    if (answer.number, answer.length) == (number, length) { Outcome::Reply } else { Outcome::WrongReply }
}

/// The outcome of a message, according to the error.
fn outcome(error: &CallError) -> Outcome {
    match error {
        error if error.is_safe_to_repeat() => Outcome::NotSent,
        CallError::Unknown { .. } => Outcome::Unknown,
        _ => Outcome::Failed,
    }
}
