//! The server of bare TCP for baselines: it echoes, answers or counts frames.
//!
//! The number of connections is limited, and a silent connection is closed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time;

use super::frames::{self, FrameBuffer};
use super::mode::{GREETING, Mode};
use super::threads::{Threads, Workers};
use crate::bench::traffic::counter::PacketCounter;
use crate::bench::traffic::pattern::Pattern;
use crate::failure::Failure;

/// The limit of concurrent connections.
const CONNECTIONS: usize = 512;
/// The idle timeout of a connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a failed accept, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves bare TCP until it is dropped.
#[derive(Debug)]
pub(crate) struct BaselineServer {
    accepting: Vec<JoinHandle<()>>,
    _workers: Workers,
}

impl BaselineServer {
    /// Serves at each of these addresses, on the same port everywhere. Returns that port as well.
    ///
    /// # Errors
    /// It cannot listen at any of them.
    pub(crate) async fn serve(addresses: impl Iterator<Item = SocketAddr>) -> Result<(Self, u16), Failure> {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let workers = Workers::start()
            .map_err(|error| Failure::Local(format!("cannot start threads for bare TCP: {error}")))?;
        let (mut accepting, mut port, mut trouble) = (Vec::new(), 0, String::new());
        for mut address in addresses {
            address.set_port(port);
            match TcpListener::bind(address).await.and_then(|bound| Ok((bound.local_addr()?.port(), bound))) {
                Ok((bound, listener)) => {
                    port = bound;
                    accepting.push(tokio::spawn(accept(listener, Arc::clone(&room), workers.handle())));
                }
                Err(error) => trouble = format!("cannot listen for bare TCP at {}: {error}", address.ip()),
            }
        }
        if accepting.is_empty() {
            return Err(Failure::Local(trouble));
        }
        Ok((Self { accepting, _workers: workers }, port))
    }
}

impl Drop for BaselineServer {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}

/// Accepts connections until it is aborted.
async fn accept(listener: TcpListener, room: Arc<Semaphore>, workers: Handle) {
    // It is never closed.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, permit, workers.clone()))),
            Err(error) => {
                tracing::debug!(%error, "a connection of bare TCP could not be accepted");
                time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves one connection, on the threads that its mode asks for.
async fn serve(mut stream: TcpStream, permit: OwnedSemaphorePermit, workers: Handle) {
    let mut greeting = [0; GREETING];
    let read = time::timeout(IDLE_TIMEOUT, stream.read_exact(&mut greeting)).await;
    let mode = read.ok().and_then(Result::ok).and_then(|_| Mode::read(greeting));
    // Without a mode it is not a client of this server, or one that has disconnected.
    let Some((mode, size)) = mode else { return };
    let ended = match (mode, moved(stream)) {
        (_, Err(error)) => Err(error),
        (Mode::PingBlocking | Mode::CountBlocking, Ok(stream)) => blocking(stream, mode, size, permit),
        (Mode::Calls(Threads::Workers) | Mode::Count(Threads::Workers), Ok(stream)) => {
            drop(workers.spawn(until_idle(stream, mode, size, permit)));
            Ok(())
        }
        (_, Ok(stream)) => {
            until_idle(stream, mode, size, permit).await;
            Ok(())
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of bare TCP ended");
    }
}

/// Takes a connection from the runtime that accepted it, so that another one, or a thread, can serve it.
fn moved(stream: TcpStream) -> io::Result<std::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.into_std()
}

/// Serves a connection until it ends or nothing arrives any more.
async fn until_idle(stream: std::net::TcpStream, mode: Mode, size: usize, _permit: OwnedSemaphorePermit) {
    let reads = AtomicU64::new(0);
    let serving = async {
        let stream = TcpStream::from_std(stream)?;
        match mode {
            Mode::Calls(_) => answer(stream, size, &reads).await,
            Mode::Count(_) | Mode::CountBlocking => count(stream, size, &reads).await,
            Mode::PingTokio | Mode::PingBlocking => echo(stream, size, &reads).await,
        }
    };
    let ended = tokio::select! {
        ended = serving => ended,
        () = idle(&reads) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of bare TCP ended");
    }
}

/// Waits until nothing has been read for a while. A timer for each read would slow the baseline down.
async fn idle(reads: &AtomicU64) {
    let mut before = None;
    loop {
        let now = Some(reads.load(Ordering::Relaxed));
        if now == before {
            return;
        }
        before = now;
        time::sleep(IDLE_TIMEOUT).await;
    }
}

/// Sends frames back as they are, for one round trip at a time.
async fn echo(mut stream: TcpStream, size: usize, reads: &AtomicU64) -> io::Result<()> {
    let (mut buffer, mut counter) = (FrameBuffer::new(), counter(size));
    while let length @ 1.. = stream.read(buffer.space()?).await? {
        reads.fetch_add(1, Ordering::Relaxed);
        // Only whole frames: two ends that both write without reading would deadlock.
        let whole = buffer.take(length, |number, body| counter.count(number, body))?;
        stream.write_all(whole).await?;
    }
    Ok(())
}

/// Answers each frame with a frame of its own, through a queue to the task that writes.
async fn answer(stream: TcpStream, size: usize, reads: &AtomicU64) -> io::Result<()> {
    let (mut read, write) = stream.into_split();
    let (outgoing, waiting) = mpsc::channel(frames::queue(size));
    let writing = tokio::spawn(frames::write(waiting, write));
    let (mut buffer, mut counter, mut replies) = (FrameBuffer::new(), counter(size), Vec::new());
    while let length @ 1.. = read.read(buffer.space()?).await? {
        reads.fetch_add(1, Ordering::Relaxed);
        buffer.take(length, |number, body| {
            counter.count(number, body);
            replies.push(frames::frame(number, body));
        })?;
        for reply in replies.drain(..) {
            outgoing.send(reply).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
    }
    drop(outgoing);
    writing.await.map_err(io::Error::other)?
}

/// Counts frames, and sends back the counts after the last.
async fn count(mut stream: TcpStream, size: usize, reads: &AtomicU64) -> io::Result<()> {
    let (mut buffer, mut counter) = (FrameBuffer::new(), counter(size));
    while let length @ 1.. = stream.read(buffer.space()?).await? {
        reads.fetch_add(1, Ordering::Relaxed);
        buffer.take(length, |number, body| counter.count(number, body))?;
    }
    stream.write_all(&counter.counts().to_bytes()).await
}

fn blocking(
    mut stream: std::net::TcpStream,
    mode: Mode,
    size: usize,
    permit: OwnedSemaphorePermit,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
    let serve = move || -> io::Result<()> {
        let _permit = permit;
        let (mut buffer, mut counter) = (FrameBuffer::new(), counter(size));
        while let length @ 1.. = stream.read(buffer.space()?)? {
            let whole = buffer.take(length, |number, body| counter.count(number, body))?;
            if mode == Mode::PingBlocking {
                stream.write_all(whole)?;
            }
        }
        if mode == Mode::CountBlocking {
            stream.write_all(&counter.counts().to_bytes())?;
        }
        stream.shutdown(Shutdown::Both)
    };
    std::thread::Builder::new().name("bare TCP".to_owned()).spawn(|| {
        if let Err(error) = serve() {
            tracing::debug!(%error, "a connection of bare TCP ended");
        }
    })?;
    Ok(())
}

/// Returns the counter of a connection, which is that of the mesh.
fn counter(size: usize) -> PacketCounter {
    PacketCounter::new(size, Pattern::new(size))
}
