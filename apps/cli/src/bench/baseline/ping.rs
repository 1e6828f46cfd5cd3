//! Round trips over bare TCP: one at a time, and a window of concurrent calls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::{BUFFER, ConnectionMode, PREFIX, failed, prefix};
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::failure::Failure;

/// The timeout of a read or write.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Round trips before the measured ones.
const WARM_UP: usize = 20;

/// Measures one round trip at a time, from a blocking thread.
pub(crate) async fn blocking(
    address: SocketAddr,
    size: usize,
    time: Duration,
) -> Result<DurationHistogram, Failure> {
    let run = move || -> std::io::Result<DurationHistogram> {
        let mut stream = TcpStream::connect_timeout(&address, IDLE_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
        stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
        stream.write_all(&ConnectionMode::EchoBlocking.greeting())?;
        let (request, mut reply) = (frame(size), frame(size));
        let mut times = DurationHistogram::default();
        let mut begin = Instant::now();
        for round in 0.. {
            let started = Instant::now();
            stream.write_all(&request)?;
            stream.read_exact(&mut reply)?;
            if round < WARM_UP {
                begin = Instant::now();
                continue;
            }
            times.record(started.elapsed());
            if begin.elapsed() >= time {
                break;
            }
        }
        Ok(times)
    };
    let ran = tokio::task::spawn_blocking(run).await;
    ran.map_err(std::io::Error::other).and_then(|ran| ran).map_err(failed(address))
}

/// Measures one round trip at a time, under tokio.
pub(crate) async fn tokio(
    address: SocketAddr,
    size: usize,
    time: Duration,
) -> Result<DurationHistogram, Failure> {
    let run = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&ConnectionMode::EchoTokio.greeting()).await?;
        let (request, mut reply) = (frame(size), frame(size));
        let mut times = DurationHistogram::default();
        let mut begin = Instant::now();
        for round in 0.. {
            let started = Instant::now();
            stream.write_all(&request).await?;
            stream.read_exact(&mut reply).await?;
            if round < WARM_UP {
                begin = Instant::now();
                continue;
            }
            times.record(started.elapsed());
            if begin.elapsed() >= time {
                break;
            }
        }
        Ok(times)
    };
    run.await.map_err(failed(address))
}

/// Measures round trips under tokio with `in_flight` concurrent callers. Returns their times and the rate per second.
pub(crate) async fn window(
    address: SocketAddr,
    size: usize,
    in_flight: usize,
    time: Duration,
) -> Result<(DurationHistogram, f64), Failure> {
    let run = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&ConnectionMode::EchoTokio.greeting()).await?;
        let (mut read, mut write) = stream.into_split();
        let (calls, mut called) = mpsc::channel::<oneshot::Sender<()>>(in_flight.max(1));
        // Bounded by the callers, each of which has one call open.
        let (asked, mut open) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        let request = frame(size);
        let mut both = JoinSet::new();
        both.spawn_local(async move {
            let (mut waiting, mut batch) = (Vec::new(), Vec::new());
            // All that wait go into one write.
            while called.recv_many(&mut waiting, BUFFER / request.len() + 1).await > 0 {
                batch.clear();
                for reply in waiting.drain(..) {
                    batch.extend_from_slice(&request);
                    // The reader lives as long as the callers.
                    let _ = asked.send(reply);
                }
                write.write_all(&batch).await?;
            }
            Ok(())
        });
        both.spawn_local(async move {
            let (mut buffer, mut bytes, mut replies) = (vec![0; BUFFER], 0, VecDeque::new());
            while let length @ 1.. = read.read(&mut buffer).await? {
                bytes += length;
                while bytes >= PREFIX + size {
                    bytes -= PREFIX + size;
                    while let Ok(reply) = open.try_recv() {
                        replies.push_back(reply);
                    }
                    if let Some(reply) = replies.pop_front() {
                        // A caller whose deadline has passed does not wait.
                        let _: Result<(), ()> = reply.send(());
                    }
                }
            }
            Ok::<(), std::io::Error>(())
        });
        let started = Instant::now();
        let times = Rc::<RefCell<DurationHistogram>>::default();
        let mut callers = JoinSet::new();
        for _ in 0..in_flight {
            let calls = calls.clone();
            let times = Rc::clone(&times);
            callers.spawn_local(async move {
                while started.elapsed() < time {
                    let begun = Instant::now();
                    let (reply, replied) = oneshot::channel();
                    if calls.send(reply).await.is_err() || replied.await.is_err() {
                        break;
                    }
                    times.borrow_mut().record(begun.elapsed());
                }
            });
        }
        drop(calls);
        callers.join_all().await;
        let (times, elapsed) = (times.take(), started.elapsed());
        both.abort_all();
        let rate = times.per_second(elapsed);
        Ok((times, rate))
    };
    run.await.map_err(failed(address))
}

/// Returns a frame with a payload of `size` bytes.
fn frame(size: usize) -> Vec<u8> {
    let mut frame = prefix(size).to_vec();
    frame.resize(PREFIX + size, 0x5a);
    frame
}
