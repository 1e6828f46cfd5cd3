//! Calls and news per second from one process to another, beside bare TCP with bytes of the same length in the same
//! minute. Only messages that have arrived count, and lost ones are reported.
//!
//! ```text
//! both processes, on loopback      cargo run --release --example demo -- throughput
//! or each in a terminal or on      cargo run --release --example throughput -- server
//! a machine of its own             cargo run --release --example throughput -- client
//! ```

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero::{Mesh, News, NewsError, Publisher, ServiceRef};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// The payload of a call each way, and of an item of news.
type Payload = [u64; 8];
const BYTES: usize = size_of::<Payload>();
const PAYLOAD: Payload = [0x0123_4567_89ab_cdef; 8];

/// Calls in flight.
const WINDOW: usize = 64;
/// Items per request for news, and such requests in flight. Together they are fewer than a publisher buffers for a
/// subscriber, so that none need be lost.
const BATCH: u64 = 128;
const BATCHES: u64 = 4;
/// The timeout for the last items.
const PATIENCE: Duration = Duration::from_secs(5);
/// The size of reads and writes of bare TCP.
const BUFFER: usize = 64 << 10;
/// The length of each measurement.
const TIME: Duration = Duration::from_millis(500);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Payload")]
struct Echo(Payload);

/// Publishes a number of items. The reply is the total number of published items.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
struct Publish(u64);

/// The addresses of the bare TCP servers: one echoes, the other sends without end. Published as news.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Bare {
    echo: SocketAddr,
    bulk: SocketAddr,
}

struct Server {
    news: Publisher,
    published: u64,
}

impl Actor for Server {
    type Context = Context<Self>;
}

impl Handler<Echo> for Server {
    type Result = MessageResult<Echo>;

    fn handle(&mut self, Echo(payload): Echo, _: &mut Context<Self>) -> MessageResult<Echo> {
        MessageResult(payload)
    }
}

impl Handler<Publish> for Server {
    type Result = Result<u64, String>;

    fn handle(&mut self, Publish(items): Publish, _: &mut Context<Self>) -> Result<u64, String> {
        for _ in 0..items {
            self.news.publish("item", &PAYLOAD).map_err(|error| error.to_string())?;
            self.published += 1;
        }
        Ok(self.published)
    }
}

#[actix::main]
async fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mesh = Mesh::join().await?;
    match arguments[..] {
        ["server"] => server(&mesh).await?,
        ["client"] => client(&mesh).await?,
        _ => return Err("usage: throughput server | client".into()),
    }
    mesh.close().await;
    Ok(())
}

async fn server(mesh: &Mesh) -> Result {
    let service = mesh
        .advertise_with("throughput", |news| Server { news, published: 0 })
        .handles::<Echo>()
        .handles::<Publish>()
        .retains("bare")
        .fail_if_exists()
        .await?;
    let host = service.address().ip();
    let (echo, bulk) = (TcpListener::bind((host, 0)).await?, TcpListener::bind((host, 0)).await?);
    service.publish("bare", &Bare { echo: echo.local_addr()?, bulk: bulk.local_addr()? })?;
    println!("process {} serves at {}", std::process::id(), service.address());
    tokio::select! {
        outcome = serve_echo(echo) => outcome?,
        outcome = serve_bulk(bulk) => outcome?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

async fn serve_echo(listener: TcpListener) -> Result {
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await
            && stream.write_all(&buffer[..length]).await.is_ok()
        {}
    }
}

async fn serve_bulk(listener: TcpListener) -> Result {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let buffer = vec![0; BUFFER];
        while stream.write_all(&buffer).await.is_ok() {}
    }
}

/// One figure of the table.
#[derive(Default)]
struct Measured {
    arrived: u64,
    lost: u64,
    seconds: f64,
}

impl Measured {
    fn a_second(&self) -> f64 {
        self.arrived as f64 / self.seconds
    }
}

async fn client(mesh: &Mesh) -> Result {
    let server = mesh.discover("throughput").await?;
    let bare = server.subscribe::<Bare>("bare").await?.next().await.ok_or("the mesh was left")??.item;
    for _ in 0..WINDOW {
        server.send(Echo(PAYLOAD)).await?;
    }
    println!("{BYTES} bytes each, {TIME:?} a measurement, with {}", bare.echo.ip());
    println!("{:<22} {:>12} {:>6} {:>14} {:>7}", "a second", "meshzero", "lost", "bare TCP", "ratio");
    let mut lost = 0;
    let mut row = |what: &str, ours: Measured, theirs: Measured| {
        lost += ours.lost;
        let (many, bare) = (ours.a_second(), theirs.a_second());
        println!(
            "{what:<22} {:>12} {:>6} {:>14} {:>7.3}",
            grouped(many),
            ours.lost,
            grouped(bare),
            many / bare
        );
    };
    row("calls, one at a time", calls(&server, 1).await?, bare_echo(bare.echo, 1).await?);
    row("calls, 64 in flight", calls(&server, WINDOW).await?, bare_echo(bare.echo, WINDOW).await?);
    row("news", news(&server).await?, bare_bulk(bare.bulk).await?);
    if cfg!(debug_assertions) {
        println!("(built for debugging: `cargo run --release` measures what meshzero can do)");
    }
    if lost > 0 { Err(format!("{lost} were lost").into()) } else { Ok(()) }
}

/// Calls, `window` of them in flight.
async fn calls(server: &ServiceRef, window: usize) -> Result<Measured> {
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..window {
        let server = server.clone();
        callers.spawn(async move {
            let (mut arrived, mut lost) = (0, 0);
            while started.elapsed() < TIME {
                match server.send(Echo(PAYLOAD)).await {
                    Ok(PAYLOAD) => arrived += 1,
                    Ok(_) | Err(_) => lost += 1,
                }
            }
            (arrived, lost)
        });
    }
    let mut measured = Measured::default();
    while let Some(caller) = callers.join_next().await {
        let (arrived, lost) = caller?;
        measured.arrived += arrived;
        measured.lost += lost;
    }
    measured.seconds = started.elapsed().as_secs_f64();
    Ok(measured)
}

/// News, requested as fast as it arrives.
async fn news(server: &ServiceRef) -> Result<Measured> {
    let mut items = server.subscribe::<Payload>("item").await?;
    let before = server.send(Publish(0)).await??;
    let mut measured = Measured::default();
    let mut asked = 0;
    let started = Instant::now();
    while started.elapsed() < TIME {
        while asked - measured.arrived - measured.lost <= (BATCHES - 1) * BATCH {
            server.try_send(Publish(BATCH))?;
            asked += BATCH;
        }
        measured.take(items.next().await)?;
    }
    measured.seconds = started.elapsed().as_secs_f64();

    let published = server.send(Publish(0)).await?? - before;
    let mut late = Measured::default();
    while measured.arrived + measured.lost + late.arrived + late.lost < published {
        match tokio::time::timeout(PATIENCE, items.next()).await {
            Ok(item) => late.take(item)?,
            Err(_) => late.lost = published - measured.arrived - measured.lost - late.arrived,
        }
    }
    measured.lost += late.lost;
    Ok(measured)
}

impl Measured {
    fn take(&mut self, item: Option<Result<News<Payload>, NewsError>>) -> Result {
        match item.ok_or("the mesh was left")? {
            Ok(_) => self.arrived += 1,
            Err(NewsError::Missed { count, .. }) => self.lost += count,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Messages of the same length echoed over TCP, `window` of them in flight.
async fn bare_echo(address: SocketAddr, window: usize) -> Result<Measured> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    let (mut bytes, started) = (0, Instant::now());
    stream.write_all(&buffer[..window * BYTES]).await?;
    while started.elapsed() < TIME {
        // One at a time is a whole message in any case; with more, all bytes that have arrived are echoed at once.
        let length = stream.read(&mut buffer).await?;
        bytes += length;
        stream.write_all(&buffer[..length]).await?;
    }
    Ok(Measured::of_bytes(bytes, started))
}

/// Messages of the same length over TCP one way, as many as fit into each read.
async fn bare_bulk(address: SocketAddr) -> Result<Measured> {
    let mut stream = TcpStream::connect(address).await?;
    let mut buffer = vec![0; BUFFER];
    let (mut bytes, started) = (0, Instant::now());
    while started.elapsed() < TIME {
        bytes += stream.read(&mut buffer).await?;
    }
    Ok(Measured::of_bytes(bytes, started))
}

impl Measured {
    fn of_bytes(bytes: usize, started: Instant) -> Self {
        Self { arrived: (bytes / BYTES) as u64, lost: 0, seconds: started.elapsed().as_secs_f64() }
    }
}

/// A number with commas: `1,234,567`.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let places = digits.len();
    let commas = |place: usize| if place > 0 && (places - place).is_multiple_of(3) { "," } else { "" };
    digits.chars().enumerate().map(|(place, digit)| format!("{}{digit}", commas(place))).collect()
}
