//! From the outbox to the connection of the moment, and over to the next one.

use std::io::{self, IoSlice};
use std::sync::{Arc, MutexGuard};

use meshzero_proto::stream::{NotThere, SLICES};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::{Leaving, Outbox, State};

/// What became of a write.
enum Wrote {
    Some,
    /// Nothing, until the socket takes more.
    Blocked(Arc<OwnedWriteHalf>),
}

impl Outbox {
    /// Writes what nobody else writes, until the outbox is closed and written or the connection fails.
    ///
    /// # Errors
    /// Those of the socket.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn keep_writing(&self) -> io::Result<()> {
        loop {
            while let Some(leaving) = self.take() {
                let wrote = self.write(&leaving);
                if let Wrote::Blocked(socket) = self.put_back(leaving, wrote)? {
                    socket.writable().await?;
                    self.lock().is_blocked = false;
                }
            }
            if let Some(socket) = self.is_finished() {
                let socket = socket2::SockRef::from(AsRef::<TcpStream>::as_ref(&*socket))
                    .shutdown(std::net::Shutdown::Write);
                return socket;
            }
            self.filled.notified().await;
        }
    }

    /// Lets go of the connection. What is appended waits for the next one.
    pub fn detach(&self) {
        let mut state = self.lock();
        state.is_attached = false;
        state.is_blocked = false;
        if let Some(leaving) = &mut state.leaving {
            leaving.socket = None;
        }
    }

    /// Goes on over another connection, from the byte numbered `from`, which the other end wants next.
    ///
    /// # Errors
    /// [`NotThere`]: the other end cannot want that.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outbox without a connection.
    pub async fn attach(&self, socket: OwnedWriteHalf, from: u64) -> Result<(), NotThere> {
        let mut socket = Some(Arc::new(socket));
        loop {
            let returned = self.drained.notified();
            {
                let mut state = self.lock();
                let state = &mut *state;
                if let Some(leaving) = &mut state.leaving {
                    let (pieces, left) = state.sent.take_back(from, state.handed)?;
                    leaving.bytes.put_back(pieces, left);
                    leaving.socket = socket.take();
                    state.written = from;
                    state.is_attached = true;
                    break;
                }
            }
            // A sender is about to return from the system.
            returned.await;
        }
        self.filled.notify_one();
        Ok(())
    }

    /// What is to be written now; `None` if there is nothing, or somebody writes and will say when that has ended, or nothing
    /// may be written.
    fn take(&self) -> Option<Leaving> {
        let mut state = self.lock();
        if state.is_held(self.window) {
            return None;
        }
        let state = &mut *state;
        let leaving = state.leaving.as_mut()?;
        if leaving.bytes.is_empty() {
            std::mem::swap(&mut leaving.bytes, &mut state.filling);
        }
        if leaving.bytes.is_empty() { None } else { state.leaving.take() }
    }

    /// The connection, when all has been written and nothing more will come.
    fn is_finished(&self) -> Option<Arc<OwnedWriteHalf>> {
        let state = self.lock();
        let is_finished = state.closed && state.waiting() == 0;
        is_finished.then(|| state.leaving.as_ref()?.socket.clone()).flatten()
    }

    /// Writes what has been appended, while nobody else does.
    #[inline(never)]
    pub(super) fn write_now(&self, mut state: MutexGuard<'_, State>) {
        if state.is_held(self.window) {
            // The next connection or acknowledgement lets it leave.
            return;
        }
        let Some(mut leaving) = state.leaving.take() else { return };
        std::mem::swap(&mut leaving.bytes, &mut state.filling);
        drop(state);
        let wrote = self.write(&leaving).unwrap_or(0);
        let mut state = self.lock();
        let more = state.returned(leaving, wrote);
        drop(state);
        if wrote > 0 {
            self.drained.notify_waiters();
        }
        // What failed here fails again for the connection's own task, which tells.
        if more {
            self.filled.notify_one();
        }
    }

    fn put_back(&self, leaving: Leaving, wrote: io::Result<usize>) -> io::Result<Wrote> {
        let socket = leaving.socket.clone();
        let mut state = self.lock();
        let (bytes, result) = match (wrote, socket) {
            (Ok(0), _) => (0, Err(io::ErrorKind::WriteZero.into())),
            (Ok(bytes), _) => (bytes, Ok(Wrote::Some)),
            (Err(error), Some(socket)) if error.kind() == io::ErrorKind::WouldBlock => {
                state.is_blocked = state.is_attached;
                (0, Ok(Wrote::Blocked(socket)))
            }
            (Err(error), _) => (0, Err(error)),
        };
        state.returned(leaving, bytes);
        drop(state);
        self.drained.notify_waiters();
        result
    }

    /// Hands to the system what it takes at once.
    fn write(&self, leaving: &Leaving) -> io::Result<usize> {
        let Leaving { bytes, socket } = leaving;
        let socket: &TcpStream = socket.as_ref().ok_or(io::ErrorKind::NotConnected)?.as_ref().as_ref();
        let wrote = match bytes.only_batch() {
            Some(batch) => socket.try_write(batch),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = bytes.fill(&mut slices);
                socket.try_write_vectored(&slices[..count])
            }
        }?;
        self.meter.wrote(wrote);
        Ok(wrote)
    }
}

impl State {
    /// Takes back what was being written, of which `wrote` bytes have left, and says whether the connection's task has
    /// something to do.
    fn returned(&mut self, mut leaving: Leaving, wrote: usize) -> bool {
        leaving.bytes.advance(wrote, &mut self.sent);
        self.written += wrote as u64;
        self.handed = self.handed.max(self.written);
        if !self.is_attached {
            leaving.socket = None;
        }
        let is_empty = leaving.bytes.is_empty();
        let more = !is_empty || !self.filling.is_empty() || self.closed;
        if self.filling.is_empty() && is_empty {
            // The same memory again for the next batch.
            std::mem::swap(&mut leaving.bytes, &mut self.filling);
        }
        self.leaving = Some(leaving);
        more
    }
}
