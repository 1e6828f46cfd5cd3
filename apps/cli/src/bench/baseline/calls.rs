//! Many calls at once over bare TCP under tokio: each caller is a task that awaits its replies.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::frames::{self, FrameBuffer};
use super::mode::Mode;
use super::threads::Threads;
use super::window::Window;
use super::{failed, not_whole};
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::traffic::pattern::Pattern;
use crate::failure::Failure;

/// The calls of a baseline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallLoad {
    /// The size of a packet in bytes.
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
    /// One in this many calls is timed.
    pub(crate) timed_every: u64,
    pub(crate) time: Duration,
}

/// Measures calls by `in_flight` concurrent callers. Returns their times and the rate per second.
pub(crate) async fn window(
    address: SocketAddr,
    load: CallLoad,
    threads: Threads,
) -> Result<(DurationHistogram, f64), Failure> {
    let ran = threads.run(call_all(address, load, threads)).await;
    let (callers, elapsed) = ran.map_err(failed(address))?;
    let mut times = DurationHistogram::default();
    callers.iter().flat_map(|caller| &caller.times).for_each(|time| times.record(*time));
    let calls = callers.iter().map(|caller| caller.calls).sum::<u64>();
    Ok((times, calls as f64 / elapsed.as_secs_f64()))
}

/// The results of one caller in the measured time.
#[derive(Debug, Default)]
struct CallerResults {
    calls: u64,
    times: Vec<Duration>,
}

/// The calls that wait for replies; none once the connection has ended.
type Pending = Mutex<Option<HashMap<u64, oneshot::Sender<u64>>>>;

/// Calls over one connection.
struct Connection {
    outgoing: mpsc::Sender<Bytes>,
    pending: Arc<Pending>,
    pattern: Pattern,
    next: AtomicU64,
    load: CallLoad,
}

async fn call_all(
    address: SocketAddr,
    load: CallLoad,
    threads: Threads,
) -> io::Result<(Vec<CallerResults>, Duration)> {
    let stream = frames::connect(address, Mode::Calls(threads), load.size).await?;
    let (read, write) = stream.into_split();
    let (outgoing, waiting) = mpsc::channel(frames::queue(load.size));
    let (pattern, pending) = (Pattern::new(load.size), Arc::new(Mutex::new(Some(HashMap::new()))));
    let mut both = JoinSet::new();
    both.spawn(frames::write(waiting, write));
    both.spawn(replies(read, load.size, pattern.clone(), Arc::clone(&pending)));
    let connection = Arc::new(Connection { outgoing, pending, pattern, next: AtomicU64::new(0), load });
    let (window, mut callers) = (Arc::new(Window::default()), JoinSet::new());
    for _ in 0..load.in_flight {
        callers.spawn(Arc::clone(&connection).call_until(Arc::clone(&window)));
    }
    drop(connection);
    let elapsed = window.pass(load.time).await;
    let mut results = Vec::new();
    while let Some(ended) = callers.join_next().await {
        results.push(ended.map_err(io::Error::other)??);
    }
    while let Some(ended) = both.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok((results, elapsed))
}

impl Connection {
    async fn call_until(self: Arc<Self>, window: Arc<Window>) -> io::Result<CallerResults> {
        let mut results = CallerResults::default();
        while !window.is_over() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let started = number.is_multiple_of(self.load.timed_every).then(Instant::now);
            let answer = self.call(number).await?;
            if answer != number {
                return Err(not_whole((number, answer)));
            }
            if window.is_measured() {
                results.calls += 1;
                results.times.extend(started.map(|started| started.elapsed()));
            }
        }
        Ok(results)
    }

    async fn call(&self, number: u64) -> io::Result<u64> {
        let (reply, replied) = oneshot::channel();
        lock(&self.pending).as_mut().ok_or(io::ErrorKind::BrokenPipe)?.insert(number, reply);
        let frame = frames::frame(number, self.pattern.body(number, self.load.size));
        self.outgoing.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(replied.await.map_err(|_| io::ErrorKind::UnexpectedEof)?)
    }
}

/// Passes replies on to their callers until the connection ends.
async fn replies(
    stream: OwnedReadHalf,
    size: usize,
    pattern: Pattern,
    pending: Arc<Pending>,
) -> io::Result<()> {
    let ended = read(stream, size, &pattern, &pending).await;
    // Callers that still wait get no reply.
    lock(&pending).take();
    ended
}

async fn read(
    mut stream: OwnedReadHalf,
    size: usize,
    pattern: &Pattern,
    pending: &Pending,
) -> io::Result<()> {
    let mut buffer = FrameBuffer::new();
    while let length @ 1.. = stream.read(buffer.space()?).await? {
        let mut damaged = 0;
        let mut pending = lock(pending);
        buffer.take(length, |number, body| {
            damaged += u64::from(!pattern.is_intact(number, body, size));
            if let Some(reply) = pending.as_mut().and_then(|pending| pending.remove(&number)) {
                // The caller may have been ended.
                let _ = reply.send(number);
            }
        })?;
        if damaged > 0 {
            return Err(not_whole(damaged));
        }
    }
    Ok(())
}

fn lock(pending: &Pending) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<u64>>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
