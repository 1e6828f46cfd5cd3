//! One direction of a connection through the proxy.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{self, Instant};

use super::{Cut, Direction, Event, Fault, Live};

/// The bytes of one read, and the limit of bytes in flight.
const READ_BYTES: usize = 16 << 10;
const UNDER_WAY: usize = 256 << 10;

/// One direction of one connection.
pub(super) struct Lane<'a> {
    fault: Fault,
    way: Direction,
    dice: fastrand::Rng,
    carried: &'a AtomicU64,
    live: watch::Receiver<Live>,
    /// The bytes that have passed the point of the events.
    passed: u64,
    /// The bytes in flight, each piece with its time of arrival.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    is_swallowing: bool,
}

/// The end of one direction.
pub(super) enum Ended {
    /// The sender closed it, and the end has been forwarded to the receiver.
    Over,
    /// The connection is to be cut.
    Cut(Cut),
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        fault: Fault,
        way: Direction,
        seed: u64,
        carried: &'a AtomicU64,
        live: watch::Receiver<Live>,
    ) -> Self {
        Self {
            fault,
            way,
            dice: fastrand::Rng::with_seed(seed),
            carried,
            live,
            passed: 0,
            under_way: VecDeque::new(),
            bytes: 0,
            is_swallowing: false,
        }
    }

    /// Forwards until the sender closes, or an event ends the connection. A failure is forwarded as a reset.
    pub(super) async fn run(&mut self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Ended {
        match self.forward(from, to).await {
            Ok(ended) => ended,
            Err(_) if self.is_swallowing => std::future::pending().await,
            Err(_) => Ended::Cut(Cut::Reset),
        }
    }

    async fn forward(&mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<Ended> {
        // Events before the first byte.
        if let Some(cut) = self.run_events().await {
            return Ok(Ended::Cut(cut));
        }
        let mut has_ended = false;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let due = self.under_way.front().map(|(due, _)| *due);
            let is_stalled = self.live.borrow_and_update().stalled[self.way as usize];
            // Not by a timer, which takes a millisecond even when it is due.
            if !is_stalled && due.is_some_and(|due| due <= Instant::now()) {
                if let Some((_, bytes)) = self.under_way.pop_front()
                    && let Some(cut) = self.pass(bytes, &mut to).await?
                {
                    return Ok(Ended::Cut(cut));
                }
                continue;
            }
            if has_ended && due.is_none() {
                if self.is_swallowing {
                    std::future::pending::<()>().await;
                }
                to.shutdown().await?;
                return Ok(Ended::Over);
            }
            tokio::select! {
                read = from.read(&mut buffer), if !has_ended && self.bytes < UNDER_WAY => match read? {
                    0 => has_ended = true,
                    read => self.depart(buffer[..read].to_vec()),
                },
                () = time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && !is_stalled => {}
                changed = self.live.changed() => if changed.is_err() { return Ok(Ended::Cut(Cut::Reset)) },
            }
        }
    }

    fn depart(&mut self, bytes: Vec<u8>) {
        let Fault { delay, jitter, .. } = self.fault;
        let now = Instant::now();
        let due = now + delay + jitter.mul_f64(self.dice.f64());
        let due = self.under_way.back().map_or(due, |(before, _)| due.max(*before));
        self.bytes += bytes.len();
        self.under_way.push_back((due, bytes));
    }

    /// Forwards bytes, with all events between them.
    async fn pass(&mut self, mut bytes: Vec<u8>, to: &mut WriteHalf<'_>) -> io::Result<Option<Cut>> {
        self.bytes -= bytes.len();
        while !bytes.is_empty() {
            let left = self.fault.events.first().map_or(u64::MAX, |(at, _)| at.saturating_sub(self.passed));
            let piece = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let rest = bytes.split_off(piece);
            self.write(&bytes, to).await?;
            bytes = rest;
            if bytes.is_empty() && left > piece as u64 {
                break;
            }
            if matches!(self.fault.events.first(), Some((_, Event::Corrupt))) {
                let Some(first) = bytes.first_mut() else { break };
                *first ^= 1;
                self.fault.events.remove(0);
            } else if let Some(cut) = self.run_events().await {
                return Ok(Some(cut));
            }
        }
        Ok(None)
    }

    async fn write(&mut self, bytes: &[u8], to: &mut WriteHalf<'_>) -> io::Result<()> {
        let slice = match self.fault.bytes_per_second {
            Some(rate) => usize::try_from(rate / 50).unwrap_or(READ_BYTES).clamp(1, READ_BYTES),
            None => READ_BYTES,
        };
        for slice in bytes.chunks(slice) {
            if !self.is_swallowing {
                to.write_all(slice).await?;
                self.carried.fetch_add(slice.len() as u64, Ordering::Relaxed);
            }
            self.passed += slice.len() as u64;
            if let Some(rate) = self.fault.bytes_per_second {
                time::sleep(Duration::from_secs_f64(slice.len() as f64 / rate.max(1) as f64)).await;
            }
        }
        Ok(())
    }

    /// Runs the event at this byte, if there is one.
    async fn run_events(&mut self) -> Option<Cut> {
        while let Some((_, then)) = self.fault.events.first().filter(|(at, _)| *at <= self.passed).copied() {
            if then == Event::Corrupt {
                // It needs the next byte.
                return None;
            }
            self.fault.events.remove(0);
            match then {
                Event::Cut(cut) => return Some(cut),
                Event::Stall(time) => time::sleep(time).await,
                Event::Swallow => self.is_swallowing = true,
                Event::Corrupt => {}
            }
        }
        None
    }
}
