//! One end of a simulated connection: turmoil's, with failures that turmoil does not have.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use meshzero_actors::net::connection::{Connection, CustomReadHalf, CustomWriteHalf, ReadHalf, WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::wires::Shared;

/// The state shared by both halves of one end and by what makes it fail.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failure: Option<ErrorKind>,
    reading: Option<Waker>,
    writing: Option<Waker>,
    /// True if the last write found no room, and no wake-up has come since.
    is_full: bool,
    /// The times after which a silent host is given up: one for a host that has acknowledged all bytes, and one for any other.
    patience: Option<Duration>,
    patience_with_any: Option<Duration>,
    /// The time of the last write.
    wrote: Duration,
    /// The time since which the other end has been gone without a FIN or RST.
    orphaned_since: Option<Duration>,
}

impl End {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error if the connection is lost. Nothing passes either once the simulation is over and its hosts are removed.
    fn check(&self) -> io::Result<()> {
        let is_over = turmoil::sim_elapsed().is_none().then_some(ErrorKind::NotConnected);
        self.lock().failure.or(is_over).map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Ends the connection for this end.
    pub(crate) fn fail(&self, failure: ErrorKind) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        let wakers = [state.reading.take(), state.writing.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Acts as a system's keepalive does: nothing has arrived since `silent`, and the other end exists or not.
    pub(crate) fn check_keepalive(&self, now: Duration, silent: Option<Duration>, is_alone: bool) {
        let mut state = self.lock();
        let failure = match silent {
            Some(since) => {
                // Unacknowledged bytes are retransmitted for a quarter of an hour, without keepalive probes meanwhile.
                let patience = if state.wrote < since { state.patience } else { None };
                let patience = [patience, state.patience_with_any].into_iter().flatten().min();
                patience.filter(|patience| now - since >= *patience).map(|_| ErrorKind::TimedOut)
            }
            None if is_alone => {
                let since = *state.orphaned_since.get_or_insert(now);
                let patience = state.patience.or(state.patience_with_any);
                patience.filter(|patience| now - since >= *patience).map(|_| ErrorKind::ConnectionReset)
            }
            None => {
                state.orphaned_since = None;
                None
            }
        };
        drop(state);
        if let Some(failure) = failure {
            self.fail(failure);
        }
    }
}

/// The end that is woken when there is room again. The other end may hold it for longer than this end lives.
struct Roomy(Weak<End>);

impl Wake for Roomy {
    fn wake(self: Arc<Self>) {
        let Some(end) = self.0.upgrade() else { return };
        let mut state = end.lock();
        state.is_full = false;
        let waker = state.writing.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Makes a connection from turmoil's stream.
pub(crate) fn connection(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<Connection> {
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    let end = Arc::new(End { local, remote, state: Mutex::default() });
    shared.keep(&end);
    let (reader, writer) = stream.into_split();
    let receiving = Receiving { half: reader, end: Arc::clone(&end), shared: Arc::clone(shared) };
    let sending = Sending { half: Mutex::new(writer), end, shared: Arc::clone(shared) };
    Ok(Connection {
        reader: ReadHalf::Other(Box::new(receiving)),
        writer: WriteHalf::Other(Box::new(sending)),
    })
}

#[derive(Debug)]
struct Receiving {
    half: OwnedReadHalf,
    end: Arc<End>,
    shared: Arc<Shared>,
}

impl AsyncRead for Receiving {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.end.lock();
        if let Some(failure) = state.failure {
            return Poll::Ready(Err(failure.into()));
        }
        state.reading = Some(task.waker().clone());
        drop(state);
        if self.shared.is_abandoned_by_other(&self.end) {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.half).poll_read(task, buffer)
    }
}

impl CustomReadHalf for Receiving {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.end.remote)
    }

    fn local_ip(&self) -> Option<IpAddr> {
        Some(self.end.local.ip())
    }

    fn reset_on_close(&self) {
        self.shared.abandon(&self.end);
        self.end.fail(ErrorKind::ConnectionReset);
    }
}

#[derive(Debug)]
struct Sending {
    half: Mutex<OwnedWriteHalf>,
    end: Arc<End>,
    shared: Arc<Shared>,
}

impl Sending {
    fn half(&self) -> MutexGuard<'_, OwnedWriteHalf> {
        self.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CustomWriteHalf for Sending {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.end.check()?;
        let length = bytes.len().min(self.shared.segment());
        self.end.lock().is_full = true;
        let roomy = Waker::from(Arc::new(Roomy(Arc::downgrade(&self.end))));
        let mut half = self.half();
        let wrote = Pin::new(&mut *half).poll_write(&mut Context::from_waker(&roomy), &bytes[..length]);
        let Poll::Ready(wrote) = wrote else { return Err(ErrorKind::WouldBlock.into()) };
        let mut state = self.end.lock();
        state.is_full = false;
        state.wrote = self.shared.now();
        wrote
    }

    fn poll_writable(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.end.lock();
        if let Some(failure) = state.failure {
            return Poll::Ready(Err(failure.into()));
        }
        if !state.is_full {
            return Poll::Ready(Ok(()));
        }
        state.writing = Some(task.waker().clone());
        Poll::Pending
    }

    fn shutdown(&self) -> io::Result<()> {
        self.end.check()?;
        let mut half = self.half();
        match Pin::new(&mut *half).poll_shutdown(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn keep_alive(&self, patience: Duration, also_unacknowledged: bool) {
        let mut state = self.end.lock();
        state.patience = Some(patience);
        if also_unacknowledged {
            state.patience_with_any = Some(patience);
        }
    }
}
