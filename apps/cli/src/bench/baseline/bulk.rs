//! One way over bare TCP: frames as fast as they go, counted where they arrive.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{BUFFER, ConnectionMode, PREFIX, failed, prefix};
use crate::failure::Failure;

const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames that wait for the task that writes.
const QUEUE: usize = 1_024;
/// Bytes of frames that wait, at most.
const QUEUED: usize = 8 << 20;
/// Frames up to this length are copied together; longer ones are gathered by the system.
const COPIED: usize = 8 << 10;

/// Frames a second, written from a thread in pieces of 64 KiB.
pub(crate) async fn blocking(address: SocketAddr, size: usize, time: Duration) -> Result<f64, Failure> {
    let run = move || -> std::io::Result<f64> {
        let mut stream = TcpStream::connect_timeout(&address, IDLE_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
        stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
        stream.write_all(&ConnectionMode::CountBlocking.greeting())?;
        let mut frame = prefix(size).to_vec();
        frame.resize(PREFIX + size, 0x5a);
        let piece = frame.repeat((BUFFER / frame.len()).max(1));
        let started = Instant::now();
        while started.elapsed() < time {
            stream.write_all(&piece)?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut counted = [0; 8];
        stream.read_exact(&mut counted)?;
        Ok(u64::from_le_bytes(counted) as f64 / started.elapsed().as_secs_f64())
    };
    let ran = tokio::task::spawn_blocking(run).await;
    ran.map_err(std::io::Error::other).and_then(|ran| ran).map_err(failed(address))
}

/// Frames a second under tokio, to as many connections at once: each frame passes a queue to the task that writes,
/// which takes all that wait together.
pub(crate) async fn tokio(
    address: SocketAddr,
    size: usize,
    connections: usize,
    time: Duration,
) -> Result<f64, Failure> {
    let run = async {
        let queue = (QUEUED / size.max(1)).clamp(4, QUEUE);
        let (mut queues, mut writers) = (Vec::new(), JoinSet::new());
        for _ in 0..connections {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&ConnectionMode::CountTokio.greeting()).await?;
            let (frames, waiting) = mpsc::channel(queue);
            queues.push(frames);
            writers.spawn_local(write(stream, waiting));
        }
        let payload = Bytes::from(vec![0x5a; size]);
        let started = Instant::now();
        'time: while started.elapsed() < time {
            for _ in 0..64 {
                for frames in &queues {
                    if frames.send(payload.clone()).await.is_err() {
                        break 'time;
                    }
                }
            }
        }
        queues.clear();
        let mut counted = 0;
        while let Some(ended) = writers.join_next().await {
            counted += ended.map_err(std::io::Error::other)??;
        }
        Ok(counted as f64 / started.elapsed().as_secs_f64())
    };
    run.await.map_err(failed(address))
}

async fn write(
    mut stream: tokio::net::TcpStream,
    mut waiting: mpsc::Receiver<Bytes>,
) -> std::io::Result<u64> {
    let (mut frames, mut copied) = (Vec::new(), Vec::new());
    while waiting.recv_many(&mut frames, QUEUE).await > 0 {
        if frames.first().is_some_and(|frame| frame.len() <= COPIED) {
            copied.clear();
            for frame in frames.drain(..) {
                copied.extend_from_slice(&prefix(frame.len()));
                copied.extend_from_slice(&frame);
            }
            stream.write_all(&copied).await?;
        } else {
            write_gathered(&mut stream, &frames).await?;
            frames.clear();
        }
    }
    stream.shutdown().await?;
    let mut counted = [0; 8];
    stream.read_exact(&mut counted).await?;
    Ok(u64::from_le_bytes(counted))
}

async fn write_gathered(stream: &mut tokio::net::TcpStream, frames: &[Bytes]) -> std::io::Result<()> {
    let prefixes: Vec<_> = frames.iter().map(|frame| prefix(frame.len())).collect();
    let pieces = prefixes.iter().zip(frames).flat_map(|(prefix, frame)| [&prefix[..], &frame[..]]);
    let mut pieces: Vec<_> = pieces.map(IoSlice::new).collect();
    let mut left = &mut pieces[..];
    while !left.is_empty() {
        let written = stream.write_vectored(left).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
    }
    Ok(())
}
