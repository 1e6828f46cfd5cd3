//! The server of bare TCP for baselines: it echoes bytes or counts frames.
//!
//! The number of connections is limited, and a silent connection is closed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time;

use super::{BUFFER, ConnectionMode, FrameCounter, FrameEcho};
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
}

impl BaselineServer {
    /// Serves at each of these addresses, on the same port everywhere. Returns that port as well.
    ///
    /// # Errors
    /// It cannot listen at any of them.
    pub(crate) async fn serve(addresses: impl Iterator<Item = SocketAddr>) -> Result<(Self, u16), Failure> {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let (mut accepting, mut port, mut trouble) = (Vec::new(), 0, String::new());
        for mut address in addresses {
            address.set_port(port);
            match TcpListener::bind(address).await.and_then(|bound| Ok((bound.local_addr()?.port(), bound))) {
                Ok((bound, listener)) => {
                    port = bound;
                    accepting.push(tokio::task::spawn_local(accept(listener, Arc::clone(&room))));
                }
                Err(error) => trouble = format!("cannot listen for bare TCP at {}: {error}", address.ip()),
            }
        }
        if accepting.is_empty() { Err(Failure::Local(trouble)) } else { Ok((Self { accepting }, port)) }
    }
}

impl Drop for BaselineServer {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, room: Arc<Semaphore>) {
    // It is never closed.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(serve(stream, permit))),
            Err(error) => {
                tracing::debug!(%error, "a connection of bare TCP could not be accepted");
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, permit: OwnedSemaphorePermit) {
    let mut greeting = [0; 5];
    let read = time::timeout(IDLE_TIMEOUT, stream.read_exact(&mut greeting)).await;
    let mode = read.ok().and_then(Result::ok).and_then(|_| ConnectionMode::read(greeting));
    let ended = match mode {
        Some(ConnectionMode::EchoTokio) => echo(stream).await,
        Some(ConnectionMode::CountTokio) => count(stream).await,
        Some(mode @ (ConnectionMode::EchoBlocking | ConnectionMode::CountBlocking)) => {
            blocking(stream, mode, permit)
        }
        // Not a client of this server, or one that has disconnected.
        None => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of bare TCP ended");
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut echo_buffer) = (vec![0; 4 * BUFFER], FrameEcho::default());
    while let length @ 1.. = time::timeout(IDLE_TIMEOUT, stream.read(&mut buffer)).await?? {
        time::timeout(IDLE_TIMEOUT, stream.write_all(echo_buffer.take(&buffer[..length])?)).await??;
    }
    Ok(())
}

async fn count(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut buffer, mut frames) = (vec![0; 4 * BUFFER], FrameCounter::default());
    while let length @ 1.. = time::timeout(IDLE_TIMEOUT, stream.read(&mut buffer)).await?? {
        frames.take(&buffer[..length]);
    }
    stream.write_all(&frames.counted.to_le_bytes()).await
}

fn blocking(stream: TcpStream, mode: ConnectionMode, permit: OwnedSemaphorePermit) -> std::io::Result<()> {
    let mut stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
    let serve = move || -> std::io::Result<()> {
        let _permit = permit;
        let (mut buffer, mut frames, mut echo_buffer) =
            (vec![0; 4 * BUFFER], FrameCounter::default(), FrameEcho::default());
        while let length @ 1.. = stream.read(&mut buffer)? {
            match mode {
                ConnectionMode::EchoBlocking | ConnectionMode::EchoTokio => {
                    stream.write_all(echo_buffer.take(&buffer[..length])?)?
                }
                ConnectionMode::CountBlocking | ConnectionMode::CountTokio => frames.take(&buffer[..length]),
            }
        }
        if mode == ConnectionMode::CountBlocking {
            stream.write_all(&frames.counted.to_le_bytes())?;
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
