//! One way over bare TCP: frames as fast as they go, counted and checked where they arrive.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::frames::{self, BUFFER, HEAD};
use super::mode::Mode;
use super::threads::Threads;
use super::window::Window;
use super::{failed, not_whole};
use crate::bench::traffic::counter::PacketCounts;
use crate::bench::traffic::packet::NUMBER;
use crate::bench::traffic::pattern::Pattern;
use crate::failure::Failure;

const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Frames a second, written from a thread in pieces of 64 KiB.
pub(crate) async fn blocking(address: SocketAddr, size: usize, time: Duration) -> Result<f64, Failure> {
    let ran = tokio::task::spawn_blocking(move || send_blocking(address, size, time)).await;
    ran.map_err(io::Error::other).and_then(|ran| ran).map_err(failed(address))
}

fn send_blocking(address: SocketAddr, size: usize, time: Duration) -> io::Result<f64> {
    let mut stream = TcpStream::connect_timeout(&address, IDLE_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
    stream.write_all(&Mode::CountBlocking.greeting(size))?;
    let (pattern, warm_up, started) = (Pattern::new(size), Window::warm_up(time), Instant::now());
    let frames = (BUFFER / (HEAD - NUMBER + size)).max(1) as u64;
    let (mut piece, mut number, mut first) = (Vec::new(), 0, None);
    let measured = loop {
        piece.clear();
        for _ in 0..frames {
            frames::append(&mut piece, number, pattern.body(number, size));
            number += 1;
        }
        stream.write_all(&piece)?;
        let elapsed = started.elapsed();
        match first {
            None if elapsed >= warm_up => first = Some((number, elapsed)),
            Some((before, begun)) if elapsed >= begun + time => {
                break (number - before) as f64 / (elapsed - begun).as_secs_f64();
            }
            _ => {}
        }
    };
    stream.shutdown(Shutdown::Write)?;
    let mut counted = [0; PacketCounts::LENGTH];
    stream.read_exact(&mut counted)?;
    check(PacketCounts::from_bytes(counted), number)?;
    Ok(measured)
}

/// Frames a second under tokio, to as many connections at once: each frame passes a queue to the task that writes,
/// which takes all that wait together.
pub(crate) async fn tokio(
    address: SocketAddr,
    size: usize,
    connections: usize,
    threads: Threads,
    time: Duration,
) -> Result<f64, Failure> {
    threads.run(send(address, size, connections, threads, time)).await.map_err(failed(address))
}

async fn send(
    address: SocketAddr,
    size: usize,
    connections: usize,
    threads: Threads,
    time: Duration,
) -> io::Result<f64> {
    let (mut queues, mut writers) = (Vec::new(), JoinSet::new());
    for _ in 0..connections {
        let stream = frames::connect(address, Mode::Count(threads), size).await?;
        let (mut read, write) = stream.into_split();
        let (frames, waiting) = mpsc::channel(frames::queue(size));
        queues.push(frames);
        writers.spawn(async move {
            frames::write(waiting, write).await?;
            let mut counted = [0; PacketCounts::LENGTH];
            read.read_exact(&mut counted).await?;
            io::Result::Ok(PacketCounts::from_bytes(counted))
        });
    }
    let window = Arc::new(Window::default());
    let sending = tokio::spawn(send_all(queues, size, Arc::clone(&window)));
    let elapsed = window.pass(time).await;
    let (sent, measured) = sending.await.map_err(io::Error::other)?;
    while let Some(ended) = writers.join_next().await {
        check(ended.map_err(io::Error::other)??, sent)?;
    }
    Ok((measured * connections as u64) as f64 / elapsed.as_secs_f64())
}

/// Sends frames to all queues until the time is over. Returns the number of frames to each, in all and in the measured
/// time.
async fn send_all(queues: Vec<mpsc::Sender<Bytes>>, size: usize, window: Arc<Window>) -> (u64, u64) {
    let (pattern, mut number, mut measured) = (Pattern::new(size), 0, 0);
    let Some((last, others)) = queues.split_last() else { return (0, 0) };
    while !window.is_over() {
        let frame = frames::frame(number, pattern.body(number, size));
        for queue in others {
            // A task that writes has failed, which it reports.
            if queue.send(frame.clone()).await.is_err() {
                return (number, measured);
            }
        }
        if last.send(frame).await.is_err() {
            return (number, measured);
        }
        number += 1;
        measured += u64::from(window.is_measured());
    }
    (number, measured)
}

fn check(counted: PacketCounts, sent: u64) -> io::Result<()> {
    let whole = PacketCounts { received: sent, ..PacketCounts::default() };
    if counted == whole { Ok(()) } else { Err(not_whole(counted)) }
}

/// Sends frames with these numbers, each with the bytes of another number, and returns the counts of the server.
#[cfg(test)]
pub(crate) async fn count_numbers(
    address: SocketAddr,
    size: usize,
    frames: &[(u64, u64)],
    threads: Threads,
) -> io::Result<PacketCounts> {
    use tokio::io::AsyncWriteExt;

    let (pattern, mut bytes) = (Pattern::new(size), Vec::new());
    for (number, of) in frames {
        frames::append(&mut bytes, *number, pattern.body(*of, size));
    }
    let mut stream = frames::connect(address, Mode::Count(threads), size).await?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    let mut counted = [0; PacketCounts::LENGTH];
    stream.read_exact(&mut counted).await?;
    Ok(PacketCounts::from_bytes(counted))
}
