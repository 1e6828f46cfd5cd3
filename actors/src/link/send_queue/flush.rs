//! From the outbox to the connection of the moment, and over to the next one.

use std::io::{self, IoSlice};

use meshzero_proto::news;
use meshzero_proto::stream::{InvalidAck, SLICES, WriteBatch};

use super::{SendQueue, SendState};
use crate::net::connection::WriteHalf;
use crate::runtime::sync::atomic::Ordering;
use crate::runtime::sync::{Arc, MutexGuard};

impl SendQueue {
    /// Writes what nobody else writes, until the outbox is closed and written or the connection fails.
    ///
    /// # Errors
    /// Those of the socket.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn run_flush(&self) -> io::Result<()> {
        loop {
            while let Some((leaving, socket)) = self.take() {
                let wrote = self.write(&socket, &leaving);
                if !self.put_back(leaving, wrote)? {
                    socket.writable().await?;
                    self.lock().is_blocked = false;
                }
            }
            if let Some(socket) = self.finished_socket() {
                return socket.shutdown();
            }
            if self.is_cut_off() {
                return Ok(());
            }
            self.filled.notified().await;
        }
    }

    /// Returns whether the outbox is closed without a connection: nothing of what is there can leave any more.
    fn is_cut_off(&self) -> bool {
        let state = self.lock();
        state.closed && state.socket.is_none()
    }

    /// Lets go of the connection. What is appended waits for the next one.
    pub(crate) fn detach(&self) {
        let mut state = self.lock();
        state.socket = None;
        (state.is_blocked, state.is_kept_short) = (false, false);
    }

    /// Goes on over another connection, from the byte numbered `from`, which the other end wants next. Where news that newer ones
    /// supersede are [left out](Outbox::keep_newest), other bytes follow, if the other end reads from no connection of before
    /// (`is_latest`).
    ///
    /// # Errors
    /// [`InvalidAck`]: the other end cannot want that.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outbox without a connection.
    pub(crate) async fn attach(
        &self,
        socket: WriteHalf,
        from: u64,
        is_latest: bool,
    ) -> Result<(), InvalidAck> {
        let socket = Arc::new(socket);
        loop {
            let returned = self.drained.notified();
            {
                let mut state = self.lock();
                if !state.flow.is_taken() {
                    state.flow.go_back(from)?;
                    if let Some(items) = state.newest.filter(|_| is_latest) {
                        state.flow.revise(|frames| news::newest(frames, items));
                    }
                    state.socket = Some(socket);
                    state.resumed += 1;
                    state.keep_kernel_short();
                    break;
                }
            }
            // A sender is about to return from the system.
            returned.await;
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Takes the bytes to write now, and the socket; `None` if there is nothing, or somebody writes and will say when that has
    /// ended, or nothing may be written.
    fn take(&self) -> Option<(WriteBatch, Arc<WriteHalf>)> {
        let mut state = self.lock();
        let socket = state.socket.clone()?;
        Some((state.flow.take()?, socket))
    }

    /// The connection, when all has been written and nothing more will come.
    fn finished_socket(&self) -> Option<Arc<WriteHalf>> {
        let state = self.lock();
        if state.closed && state.flow.waiting() == 0 { state.socket.clone() } else { None }
    }

    /// Writes what has been appended, while nobody else does. Where nothing may be written, the next connection or
    /// acknowledgement lets it leave.
    #[inline(never)]
    pub(super) fn write_now(&self, mut state: MutexGuard<'_, SendState>) {
        let Some(socket) = state.socket.clone() else { return };
        let Some(leaving) = state.flow.take() else { return };
        drop(state);
        let wrote = self.write(&socket, &leaving).unwrap_or(0);
        let mut state = self.lock();
        // What failed here fails again for the connection's own task, which tells.
        let more = state.flow.put_back(leaving, wrote) || state.closed;
        let tell = wrote > 0 || state.socket.is_none();
        drop(state);
        if tell {
            self.drained.notify_waiters();
        }
        if more {
            self.filled.notify_one();
        }
    }

    /// Brings back what was taken, and says whether the socket took any of it.
    fn put_back(&self, leaving: WriteBatch, wrote: io::Result<usize>) -> io::Result<bool> {
        let (bytes, result) = match wrote {
            Ok(0) => (0, Err(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => (bytes, Ok(true)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Ok(false)),
            Err(error) => (0, Err(error)),
        };
        let mut state = self.lock();
        state.is_blocked = matches!(result, Ok(false));
        state.flow.put_back(leaving, bytes);
        drop(state);
        if bytes > 0 {
            self.drained.notify_waiters();
        }
        result
    }

    /// Hands to the system what it takes at once.
    fn write(&self, socket: &WriteHalf, leaving: &WriteBatch) -> io::Result<usize> {
        let wrote = match leaving.only_batch() {
            Some(batch) => socket.try_write(batch),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = leaving.fill(&mut slices);
                socket.try_write_vectored(&slices[..count])
            }
        }?;
        self.meter.wrote(wrote);
        if self.is_watched.load(Ordering::SeqCst) && self.is_watched.swap(false, Ordering::SeqCst) {
            self.left.notify_one();
        }
        Ok(wrote)
    }
}
