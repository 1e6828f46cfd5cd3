//! A program for the tests of faults and the soak: it serves, or calls and subscribes, and prints the records that an account of
//! the promises needs. It ends when its standard input does.

#![allow(clippy::print_stdout, reason = "its output is its interface")]

mod log;

use std::cell::Cell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{Blob, CallError, Limits, Mesh, NewsError, Publisher, ServiceRef, Subscription};
use meshzero_testing::{Kind, Outcome, Record};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

const USAGE: &str = "serve MESH NAME BY [at=] [panics=] [publish=MS] | call MESH TARGET SENDER [every=MS] [allowed=MS] [most=BYTES] [listen=] [listeners=] [races=PER_SECOND]";

/// The most open calls of one caller.
const OPEN: usize = 64;

/// The time within which the program ends when it is told to.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The timeout of a subscription's confirmation.
const PATIENCE: Duration = Duration::from_secs(20);

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    log::begin();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, mesh, name, number, options @ ..] = &arguments[..] else { return Err(USAGE.into()) };
    let options = Options(options.iter().filter_map(|option| option.split_once('=')).collect());
    let mut limits = Limits::default();
    limits.races_per_second = options.get("races").unwrap_or(limits.races_per_second);
    // Many callers of a test may be on one host.
    limits.connections_per_address = limits.connections;
    let mesh = Mesh::join().mesh(mesh).limits(limits).await?;
    let number = number.parse()?;
    match role.as_str() {
        "serve" => serve(&mesh, name, number, &options).await?,
        "call" => call(&mesh, name, number, &options).await?,
        _ => return Err(USAGE.into()),
    }
    let traffic = mesh.traffic();
    println!("raced {} won {}", traffic.races, traffic.races_won);
    mesh.close().await;
    println!("closed");
    Ok(())
}

struct Options<'a>(HashMap<&'a str, &'a str>);

impl Options<'_> {
    fn get<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.parse().ok()
    }
}

/// A message with a number, and as much padding as the caller wants.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
struct Numbered {
    sender: u64,
    number: u64,
    padding: Blob,
}

/// A numbered item of news.
#[derive(Serialize, Deserialize)]
struct Item {
    by: u64,
    number: u64,
    padding: Blob,
}

struct Worker {
    by: u64,
    /// Panics on every n-th message.
    panics: Option<u64>,
    executed: Rc<Cell<u64>>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Numbered> for Worker {
    type Result = u64;

    fn handle(&mut self, message: Numbered, _: &mut Context<Self>) -> u64 {
        let Numbered { sender, number, .. } = message;
        println!("{}", Record::Executed { by: self.by, sender, number });
        self.executed.set(self.executed.get() + 1);
        let panics = self.panics.is_some_and(|every| self.executed.get().is_multiple_of(every));
        assert!(!panics, "on purpose");
        number
    }
}

async fn serve(mesh: &Mesh, name: &str, by: u64, options: &Options<'_>) -> Result<(), Box<dyn Error>> {
    let panics = options.get("panics");
    let factory = move || Worker { by, panics, executed: Rc::default() };
    let mut advertise = mesh.advertise(name, factory).handles::<Numbered>();
    if let Some(at) = options.get::<String>("at") {
        advertise = advertise.at(at);
    }
    let service = advertise.await?;
    println!("at {}", service.address());
    if let Some(every) = options.get("publish") {
        actix::spawn(publish(service.publisher(), by, Duration::from_millis(every)));
    }
    end_of_input().await;
    service.close().await;
    Ok(())
}

/// Publishes numbered items, most of them small, until the service is closed.
async fn publish(publisher: Publisher, by: u64, every: Duration) {
    let mut dice = fastrand::Rng::with_seed(by);
    let mut number = 0;
    loop {
        let length = if dice.u8(..64) == 0 { dice.usize(..100_000) } else { dice.usize(..300) };
        let item = Item { by, number, padding: vec![1; length].into() };
        if publisher.publish("item", &item).is_err() {
            return;
        }
        number += 1;
        actix::clock::sleep(every).await;
    }
}

async fn call(mesh: &Mesh, target: &str, sender: u64, options: &Options<'_>) -> Result<(), Box<dyn Error>> {
    let service = mesh.discover(target).within(Duration::from_secs(60)).await?;
    println!("found");
    if let Some(streams) = options.get("listen") {
        listen(&service, streams, options.get("listeners").unwrap_or(3)).await?;
    }
    let caller = Rc::new(Caller {
        service,
        sender,
        next: Cell::new(0),
        allowed: Duration::from_millis(options.get("allowed").unwrap_or(5_000)),
        most: options.get("most").unwrap_or(200),
        places: Semaphore::new(OPEN),
    });
    let every = Duration::from_millis(options.get("every").unwrap_or(10));
    tokio::select! {
        () = caller.send(every) => {}
        () = end_of_input() => {}
    }
    // Every call ends by its deadline, and the last one is executed after all tells.
    let all_places = OPEN.try_into().unwrap_or(u32::MAX);
    let all = actix::clock::timeout(END_TIMEOUT, caller.places.acquire_many(all_places)).await;
    caller.call(caller.message(0)).await;
    println!("{}", if all.is_ok() { "finished" } else { "calls are still open" });
    Ok(())
}

struct Caller {
    service: ServiceRef,
    sender: u64,
    /// The number of the next message.
    next: Cell<u64>,
    allowed: Duration,
    /// The longest padding.
    most: usize,
    places: Semaphore,
}

impl Caller {
    /// Sends numbered messages, a third of them tells, until it is dropped.
    async fn send(self: &Rc<Self>, every: Duration) {
        let mut dice = fastrand::Rng::with_seed(self.sender);
        loop {
            let length =
                if dice.u8(..32) == 0 { dice.usize(..=self.most) } else { dice.usize(..=64.min(self.most)) };
            let Ok(place) = self.places.acquire().await else { return };
            place.forget();
            let message = self.message(length);
            let (this, is_tell) = (Rc::clone(self), dice.u8(..3) == 0);
            // In a task of its own, because dropping this future must not leave a message without its outcome.
            let ended = actix::spawn(async move {
                if is_tell {
                    this.tell(message).await
                } else {
                    this.call(message).await
                }
                this.places.add_permits(1);
            });
            if is_tell && ended.await.is_err() {
                return;
            }
            // A call has been polled once when this task runs again.
            tokio::task::yield_now().await;
            actix::clock::sleep(every).await;
        }
    }

    /// The next message.
    fn message(&self, length: usize) -> Numbered {
        let number = self.next.replace(self.next.get() + 1);
        Numbered { sender: self.sender, number, padding: vec![1; length].into() }
    }

    async fn call(&self, message: Numbered) {
        let number = message.number;
        let begun = self.begin(number, Kind::Call);
        let outcome = match self.service.send(message).timeout(self.allowed).await {
            Ok(reply) if reply == number => Outcome::Reply,
            Ok(_) => Outcome::WrongReply,
            Err(error) => outcome(&error),
        };
        self.end(number, outcome, begun);
    }

    async fn tell(&self, message: Numbered) {
        let number = message.number;
        let begun = self.begin(number, Kind::Tell);
        let told = self.service.tell(message).timeout(self.allowed).await;
        self.end(number, told.map_or_else(|error| outcome(&error), |()| Outcome::Sent), begun);
    }

    fn begin(&self, number: u64, kind: Kind) -> Instant {
        println!("{}", Record::Started { sender: self.sender, number, kind, allowed: self.allowed });
        Instant::now()
    }

    fn end(&self, number: u64, outcome: Outcome, begun: Instant) {
        println!("{}", Record::Ended { sender: self.sender, number, outcome, took: begun.elapsed() });
    }
}

fn outcome(error: &CallError) -> Outcome {
    eprintln!("{error}");
    match error {
        error if error.is_safe_to_repeat() => Outcome::NotSent,
        CallError::Unknown { .. } => Outcome::Unknown,
        _ => Outcome::Failed,
    }
}

/// Opens this many subscriptions, alternating between policies; their numbers count from `streams`.
async fn listen(service: &ServiceRef, streams: u64, listeners: u64) -> Result<(), Box<dyn Error>> {
    for stream in 0..listeners {
        let begun = Instant::now();
        let news = loop {
            let subscribe = service.subscribe::<Item>("item");
            let subscribed = match stream % 3 {
                0 => subscribe.await,
                1 => subscribe.keep(16).await,
                _ => subscribe.latest().await,
            };
            match subscribed {
                // If a third of all packets is lost, the default timeout of a subscription may be too short.
                Err(error) if begun.elapsed() < PATIENCE => eprintln!("not subscribed yet: {error}"),
                subscribed => break subscribed?,
            }
        };
        actix::spawn(hear(streams + stream, news));
    }
    Ok(())
}

async fn hear(stream: u64, mut news: Subscription<Item>) {
    while let Some(next) = news.next().await {
        match next {
            Ok(news) => {
                let Item { by, number, .. } = news.item;
                say(Record::Item { stream, by, number, skipped: news.skipped });
            }
            Err(NewsError::Missed { count, .. }) => say(Record::Missed { stream, count }),
            Err(NewsError::Lost { .. }) => say(Record::Lost { stream }),
            Err(other) => say(format!("unexpected news: {other}")),
        }
    }
}

fn say(what: impl Display) {
    println!("{what}");
}

async fn end_of_input() {
    let input = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // An input that cannot be read has ended as well.
    drop(input.await);
}
