//! The stand-in for `meshzero_actors::net::connection`: a connection that takes few bytes at a time, and can be cut.

use std::io::{self, ErrorKind, IoSlice};
use std::task::{Context, Poll, Waker};

use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The most bytes in flight from one end to the other.
const CAPACITY: usize = 24;

/// The end that writes.
#[derive(Debug)]
pub(crate) struct WriteHalf {
    wire: Arc<Wire>,
}

/// The end that reads.
#[derive(Debug, Clone)]
pub(crate) struct ReadHalf {
    wire: Arc<Wire>,
}

#[derive(Debug)]
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    has_ended: bool,
    /// The number of bytes until it is cut.
    bytes_until_cut: usize,
    writers: Vec<Waker>,
}

/// Both ends of a connection that is cut once this many bytes have arrived.
pub(crate) fn connection(bytes_until_cut: usize) -> (WriteHalf, ReadHalf) {
    let state = State { bytes: Vec::new(), has_ended: false, bytes_until_cut, writers: Vec::new() };
    let wire = Arc::new(Wire { state: Mutex::new(state), changed: Condvar::new() });
    (WriteHalf { wire: Arc::clone(&wire) }, ReadHalf { wire })
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn wake_writers(&self, mut state: MutexGuard<'_, State>) {
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        writers.into_iter().for_each(Waker::wake);
    }
}

impl WriteHalf {
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.wire.lock();
        if state.bytes_until_cut == 0 {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = CAPACITY - state.bytes.len();
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = bytes.len().min(room);
        state.bytes.extend_from_slice(&bytes[..taken]);
        self.wire.changed.notify_all();
        Ok(taken)
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write(&slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>())
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        std::future::poll_fn(|task| self.poll(task, |state| state.bytes.len() < CAPACITY)).await;
        Ok(())
    }

    pub(crate) fn set_notsent_lowat(&self) {}

    pub(crate) fn is_unix(&self) -> bool {
        false
    }

    pub(crate) fn shutdown(&self) -> io::Result<()> {
        let mut state = self.wire.lock();
        state.has_ended = true;
        self.wire.changed.notify_all();
        if state.bytes_until_cut == 0 { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Ready once the connection is cut, or `is_ready` holds.
    fn poll(&self, task: &mut Context<'_>, is_ready: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.wire.lock();
        if state.bytes_until_cut == 0 || is_ready(&state) {
            return Poll::Ready(());
        }
        state.writers.push(task.waker().clone());
        Poll::Pending
    }
}

impl ReadHalf {
    /// Waits for bytes; none when the connection has ended or is cut. Bytes that had not arrived by then never do.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut state = self.wire.lock();
        while state.bytes.is_empty() && !state.has_ended && state.bytes_until_cut > 0 {
            state = self.wire.changed.wait(state).expect("no panic");
        }
        let arrived = state.bytes.len().min(state.bytes_until_cut);
        let mut bytes = std::mem::take(&mut state.bytes);
        bytes.truncate(arrived);
        state.bytes_until_cut -= arrived;
        self.wire.changed.notify_all();
        self.wire.wake_writers(state);
        bytes
    }

    /// Returns whether all bytes have arrived and no more will come.
    pub(crate) fn has_ended(&self) -> bool {
        let state = self.wire.lock();
        state.has_ended && state.bytes.is_empty() && state.bytes_until_cut > 0
    }

    /// Ready once the connection is cut, as its reader notices.
    pub(crate) fn poll_cut(&self, task: &mut Context<'_>) -> Poll<()> {
        WriteHalf { wire: Arc::clone(&self.wire) }.poll(task, |_| false)
    }
}
