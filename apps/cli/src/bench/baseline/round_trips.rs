//! Round trips over bare TCP, one at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::frames::{self, HEAD};
use super::mode::Mode;
use super::threads::Threads;
use super::{failed, not_whole};
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::traffic::pattern::Pattern;
use crate::failure::Failure;

/// The timeout of a read or write.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Round trips before the measured ones.
const WARM_UP: u64 = 20;

/// The times of a connection with one frame at a time.
struct Rounds {
    pattern: Pattern,
    size: usize,
    number: u64,
    request: Vec<u8>,
    reply: Vec<u8>,
    times: DurationHistogram,
    begun: Instant,
    started: Instant,
}

impl Rounds {
    fn new(size: usize) -> Self {
        let (now, pattern) = (Instant::now(), Pattern::new(size));
        let reply = vec![0; HEAD + pattern.body(0, size).len()];
        Self {
            pattern,
            size,
            number: 0,
            request: Vec::new(),
            reply,
            times: DurationHistogram::default(),
            begun: now,
            started: now,
        }
    }

    /// Begins a round: the clock starts before the packet is encoded, as it does in the mesh.
    fn begin(&mut self) {
        self.started = Instant::now();
        self.request.clear();
        frames::append(&mut self.request, self.number, self.pattern.body(self.number, self.size));
    }

    /// Ends a round, and returns whether the time is over.
    fn end(&mut self, time: Duration) -> io::Result<bool> {
        let now = Instant::now();
        let is_intact = self.pattern.is_intact(self.number, &self.reply[HEAD..], self.size);
        if self.reply[..HEAD] != self.request[..HEAD] || !is_intact {
            return Err(not_whole(self.number));
        }
        self.number += 1;
        if self.number <= WARM_UP {
            self.begun = now;
            return Ok(false);
        }
        self.times.record(now - self.started);
        Ok(now - self.begun >= time)
    }
}

/// Measures one round trip at a time, from a blocking thread.
pub(crate) async fn blocking(
    address: SocketAddr,
    size: usize,
    time: Duration,
) -> Result<DurationHistogram, Failure> {
    let run = move || -> io::Result<DurationHistogram> {
        let mut stream = TcpStream::connect_timeout(&address, IDLE_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
        stream.set_write_timeout(Some(IDLE_TIMEOUT))?;
        stream.write_all(&Mode::PingBlocking.greeting(size))?;
        let mut rounds = Rounds::new(size);
        loop {
            rounds.begin();
            stream.write_all(&rounds.request)?;
            stream.read_exact(&mut rounds.reply)?;
            if rounds.end(time)? {
                return Ok(rounds.times);
            }
        }
    };
    let ran = tokio::task::spawn_blocking(run).await;
    ran.map_err(io::Error::other).and_then(|ran| ran).map_err(failed(address))
}

/// Measures one round trip at a time, under tokio on this thread. The task that calls reads and writes the socket itself,
/// which takes less time than a queue and a task that writes.
pub(crate) async fn tokio(
    address: SocketAddr,
    size: usize,
    time: Duration,
) -> Result<DurationHistogram, Failure> {
    let run = async move {
        let mut stream = frames::connect(address, Mode::PingTokio, size).await?;
        let mut rounds = Rounds::new(size);
        loop {
            rounds.begin();
            stream.write_all(&rounds.request).await?;
            stream.read_exact(&mut rounds.reply).await?;
            if rounds.end(time)? {
                return Ok(rounds.times);
            }
        }
    };
    Threads::One.run(run).await.map_err(failed(address))
}
