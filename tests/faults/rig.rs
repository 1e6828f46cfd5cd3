//! A service behind a proxy, numbered messages for it, and the account of their outcomes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{Blob, CallError, Limits, Mesh, News, NewsError, Service, ServiceRef};
use meshzero_testing::{FaultProxy, Kind, Links, Outcome, Promises, Record, Tally};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::pair::{PATIENCE, Pair};

/// The tolerance of deadlines: the machine may be busy.
pub const GRACE: Duration = Duration::from_secs(5);

/// The checker of the promises, shared by all parts of a test.
#[derive(Clone)]
pub struct Account(Arc<Mutex<Promises>>);

impl Account {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Promises::new(GRACE))))
    }

    pub fn note(&self, record: Record) {
        self.promises(|promises| promises.record(record));
    }

    pub fn promises<T>(&self, look: impl FnOnce(&mut Promises) -> T) -> T {
        look(&mut self.0.lock().expect("no holder of the lock panics"))
    }

    /// Returns the final tally, and panics if a promise was broken.
    #[track_caller]
    pub fn settle(&self, links: Links) -> Tally {
        self.promises(|promises| promises.verdict(links)).unwrap_or_else(|broken| panic!("{broken}"))
    }
}

/// A message with a number, and as much padding as the test wants.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
pub struct Numbered {
    pub sender: u64,
    pub number: u64,
    pub padding: Blob,
}

/// The number of the message that it answers, with the received padding.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub number: u64,
    pub padding: Blob,
}

/// Records the messages that it executes.
pub struct Worker {
    pub by: u64,
    pub account: Account,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Numbered> for Worker {
    type Result = MessageResult<Numbered>;

    fn handle(&mut self, message: Numbered, _: &mut Context<Self>) -> MessageResult<Numbered> {
        let Numbered { sender, number, padding } = message;
        self.account.note(Record::Executed { by: self.by, sender, number });
        MessageResult(Answer { number, padding })
    }
}

/// Offers a worker on `mesh`.
pub async fn offer(mesh: &Mesh, by: u64, name: &str, account: &Account) -> Service<Worker> {
    let account = account.clone();
    let service = mesh.advertise(name, move || Worker { by, account: account.clone() });
    service.handles::<Numbered>().await.expect("advertised")
}

/// Two nodes, a worker on one, and the account.
pub struct Rig {
    pub pair: Pair,
    pub service: Service<Worker>,
    pub account: Account,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let (pair, account) = (Pair::join_with(limits).await, Account::new());
        let service = offer(&pair.here, 1, "worker", &account).await;
        Self { pair, service, account }
    }

    /// A proxy in front of the service.
    pub fn proxy(&self) -> FaultProxy {
        FaultProxy::in_front_of(self.service.address())
    }

    /// The service through `proxy`, and its sender.
    pub async fn sender(&self, name: u64, proxy: &FaultProxy) -> Sender {
        let found = self.pair.there.discover(proxy.address().to_string()).within(PATIENCE).await;
        let worker = found.expect("the service answers through the proxy");
        Sender::new(name, worker, &self.account)
    }
}

/// Sends numbered messages, and records their outcomes.
pub struct Sender {
    pub name: u64,
    pub worker: ServiceRef,
    pub account: Account,
    /// The number of the next message.
    pub next: u64,
    /// The timeout of each message.
    pub allowed: Duration,
    open: Vec<JoinHandle<()>>,
}

impl Sender {
    /// A sender that calls `worker`.
    pub fn new(name: u64, worker: ServiceRef, account: &Account) -> Self {
        Self { name, worker, account: account.clone(), next: 0, allowed: PATIENCE, open: Vec::new() }
    }

    /// Sends a call, and awaits its reply in a task.
    pub async fn call(&mut self, padding: Blob) {
        let (sender, number, allowed, begun) = self.begin(Kind::Call);
        let length = padding.len();
        let message = Numbered { sender, number, padding };
        let mut request = Box::pin(self.worker.send(message).timeout(allowed));
        // Polled here, so that it is sent before later messages.
        let first = poll_fn(|task| Poll::Ready(Pin::new(&mut request).poll(task))).await;
        let account = self.account.clone();
        let end = move |ended: Result<Answer, CallError>| {
            let outcome = match ended {
                Ok(answer) if answer.number == number && answer.padding.len() == length => Outcome::Reply,
                Ok(_) => Outcome::WrongReply,
                Err(error) => outcome(&error),
            };
            account.note(Record::Ended { sender, number, outcome, took: begun.elapsed() });
        };
        match first {
            Poll::Ready(ended) => end(ended),
            Poll::Pending => self.open.push(actix::spawn(async move { end(request.await) })),
        }
    }

    /// Sends a tell, and waits until it is sent.
    pub async fn tell(&mut self, padding: Blob) {
        let (sender, number, allowed, begun) = self.begin(Kind::Tell);
        let message = Numbered { sender, number, padding };
        let told = self.worker.tell(message).timeout(allowed).await;
        let outcome = told.map_or_else(|error| outcome(&error), |()| Outcome::Sent);
        self.account.note(Record::Ended { sender, number, outcome, took: begun.elapsed() });
    }

    /// Waits until every call has ended.
    pub async fn finish(&mut self) {
        for call in self.open.drain(..) {
            actix::clock::timeout(PATIENCE * 2, call).await.expect("it ends").expect("no panic");
        }
    }

    fn begin(&mut self, kind: Kind) -> (u64, u64, Duration, Instant) {
        let Self { name: sender, next: number, allowed, .. } = *self;
        self.next += 1;
        self.account.note(Record::Started { sender, number, kind, allowed });
        (sender, number, allowed, Instant::now())
    }
}

/// The outcome of a message, according to the error.
pub fn outcome(error: &CallError) -> Outcome {
    match error {
        error if error.is_safe_to_repeat() => Outcome::NotSent,
        CallError::Unknown { .. } => Outcome::Unknown,
        _ => Outcome::Failed,
    }
}

/// The records of one subscriber of numbered news.
pub fn news_records(stream: u64, by: u64, news: &Result<News<Item>, NewsError>) -> Record {
    match news {
        Ok(news) => Record::Item { stream, by, number: news.item.number, skipped: news.skipped },
        Err(NewsError::Missed { count, .. }) => Record::Missed { stream, count: *count },
        Err(NewsError::Lost { .. }) => Record::Lost { stream },
        Err(other) => panic!("{other}"),
    }
}

/// A numbered item of news.
#[derive(Debug, Serialize, Deserialize)]
pub struct Item {
    pub number: u64,
    pub padding: Blob,
}
