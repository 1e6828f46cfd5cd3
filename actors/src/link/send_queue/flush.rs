//! Flushing: from the send queue to the current connection.

use std::io::{self, IoSlice};

use meshzero_proto::stream::{SLICES, WriteBatch};

use super::{SendQueue, SendState};
use crate::net::connection::WriteHalf;
use crate::runtime::sync::atomic::Ordering;
use crate::runtime::sync::{Arc, MutexGuard};

impl SendQueue {
    /// Writes everything that the senders do not write themselves, until the queue is closed and all of it is written, or the
    /// connection fails.
    ///
    /// # Errors
    /// The socket's errors.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn run_flush(&self) -> io::Result<()> {
        loop {
            while let Some((batch, socket)) = self.take() {
                let written = self.write(&socket, &batch);
                if !self.put_back(batch, written)? {
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

    /// Returns whether the queue is closed without a connection: no byte in it can be sent any more.
    fn is_cut_off(&self) -> bool {
        let state = self.lock();
        state.closed && state.socket.is_none()
    }

    /// Takes the bytes to write now, and the socket; `None` if there is nothing to write, if another task is writing, which
    /// will notify this one, or if nothing may be written.
    fn take(&self) -> Option<(WriteBatch, Arc<WriteHalf>)> {
        let mut state = self.lock();
        let socket = state.socket.clone()?;
        Some((state.flow.take()?, socket))
    }

    /// Returns the connection if everything has been written and nothing more will be appended.
    fn finished_socket(&self) -> Option<Arc<WriteHalf>> {
        let state = self.lock();
        if state.closed && state.flow.pending_bytes() == 0 { state.socket.clone() } else { None }
    }

    /// Writes the appended bytes, unless another task is writing. Where nothing may be written, the next connection or
    /// acknowledgement releases them.
    #[inline(never)]
    pub(super) fn write_now(&self, mut state: MutexGuard<'_, SendState>) {
        let Some(socket) = state.socket.clone() else { return };
        let Some(batch) = state.flow.take() else { return };
        drop(state);
        let written = self.write(&socket, &batch).unwrap_or(0);
        let mut state = self.lock();
        // An error here recurs in the connection's own task, which reports it.
        let more = state.flow.put_back(batch, written) || state.closed;
        let has_drained = written > 0 || state.socket.is_none();
        drop(state);
        if has_drained {
            self.drained.notify_waiters();
        }
        if more {
            self.filled.notify_one();
        }
    }

    /// Returns the batch to the stream, and whether the socket accepted any of it.
    fn put_back(&self, batch: WriteBatch, written: io::Result<usize>) -> io::Result<bool> {
        let (bytes, result) = match written {
            Ok(0) => (0, Err(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => (bytes, Ok(true)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, Ok(false)),
            Err(error) => (0, Err(error)),
        };
        let mut state = self.lock();
        state.is_blocked = matches!(result, Ok(false));
        state.flow.put_back(batch, bytes);
        drop(state);
        if bytes > 0 {
            self.drained.notify_waiters();
        }
        result
    }

    /// Passes to the system as many bytes as it accepts now.
    fn write(&self, socket: &WriteHalf, batch: &WriteBatch) -> io::Result<usize> {
        let written = match batch.only_batch() {
            Some(bytes) => socket.try_write(bytes),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = batch.fill(&mut slices);
                socket.try_write_vectored(&slices[..count])
            }
        }?;
        self.counters.wrote(written);
        if self.is_send_watched.load(Ordering::SeqCst) && self.is_send_watched.swap(false, Ordering::SeqCst) {
            self.bytes_left.notify_one();
        }
        Ok(written)
    }
}
