//! The calling side over tokio: each call is a task that awaits its reply.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use peers_common::{Callers, Control, Load, Numbers, Plan, Result, RoundTrips, Sink, shared_body};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::frames::{Frame, Reader, frame, queue, write};
use crate::server::receive;

pub(crate) async fn run(plan: &Plan, control: &Control) -> Result {
    match plan.load {
        Load::RoundTrip => round_trips(plan, control).await?,
        Load::Calls => calls(plan, control).await?,
        Load::OneWay => send(plan, control).await?,
        Load::FanOut => subscribe(plan, control).await?,
    }
    control.over().await;
    Ok(())
}

type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<u64>>>>;

/// Calls over one connection; clones share it.
#[derive(Clone)]
struct Connection {
    outgoing: mpsc::Sender<Frame>,
    pending: Pending,
    body: Bytes,
}

impl Connection {
    async fn open(plan: &Plan) -> Result<Self> {
        let stream = TcpStream::connect(&plan.at).await?;
        stream.set_nodelay(true)?;
        let (read, out) = stream.into_split();
        let (outgoing, frames) = mpsc::channel(queue(plan.size));
        let pending = Pending::default();
        tokio::spawn(write(frames, out));
        tokio::spawn(replies(Reader::new(read), Arc::clone(&pending)));
        Ok(Self { outgoing, pending, body: shared_body(plan.size) })
    }

    async fn call(&self, number: u64) -> Result<u64> {
        let (reply, replied) = oneshot::channel();
        lock(&self.pending).insert(number, reply);
        self.send(number).await?;
        Ok(replied.await?)
    }

    async fn send(&self, number: u64) -> Result {
        Ok(self.outgoing.send(frame(number, &self.body)).await?)
    }
}

fn lock(
    pending: &Mutex<HashMap<u64, oneshot::Sender<u64>>>,
) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<u64>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn replies(mut reader: Reader, pending: Pending) -> Result {
    while reader.fill().await? {
        let mut pending = lock(&pending);
        reader.each(|number, _| {
            if let Some(reply) = pending.remove(&number) {
                // The caller may have given up.
                let _ = reply.send(number);
            }
        })?;
    }
    Ok(())
}

async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let connection = Connection::open(plan).await?;
    control.ready("");
    control.go().await;
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        trips.answered(Some(connection.call(number).await?));
    }
    trips.tell();
    Ok(())
}

async fn calls(plan: &Plan, control: &Control) -> Result {
    let connection = Connection::open(plan).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let connection = connection.clone();
        tasks.spawn(async move {
            while let Some(number) = caller.next_number() {
                caller.answered(number, Some(connection.call(number).await?));
            }
            Result::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn send(plan: &Plan, control: &Control) -> Result {
    let connection = Connection::open(plan).await?;
    control.ready("");
    control.go().await;
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        connection.send(number).await?;
    }
    numbers.tell();
    control.over().await;
    Ok(())
}

async fn subscribe(plan: &Plan, control: &Control) -> Result {
    let mut tasks = JoinSet::new();
    for tally in Sink::start(plan, control, plan.subscribers)? {
        let stream = TcpStream::connect(&plan.at).await?;
        // The other half stays open with the stream until the task ends.
        tasks.spawn(async move {
            let (read, write) = stream.into_split();
            let received = receive(Reader::new(read), tally).await;
            drop(write);
            received
        });
    }
    control.ready("");
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
