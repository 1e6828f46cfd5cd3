//! Bytes on their way out of one connection: a bounded batch that anybody appends to and one task writes.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// A batch that grew beyond this is given back to the allocator once it was written.
const KEEP_BYTES: usize = 256 << 10;

/// The outgoing half of a connection, shared by all who send on it.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    limit: usize,
    filled: Notify,
    drained: Notify,
    /// Held by whoever waits for room, so that those who wait are served in order.
    turn: tokio::sync::Mutex<()>,
    /// How many wait for room or are about to use it: nobody may overtake them.
    queued: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    batch: Vec<u8>,
    /// Bytes appended since the connection began.
    placed: u64,
    /// Bytes handed to the system since the connection began.
    written: u64,
    closed: bool,
}

/// Why nothing was appended.
#[derive(Debug, PartialEq, Eq)]
pub enum PushError<E> {
    /// The connection is closed.
    Closed,
    /// As many bytes wait as may.
    Full,
    /// The frame could not be written.
    Frame(E),
}

impl Outbox {
    /// An outbox in which at most `limit` bytes wait, besides the frame that crosses the limit.
    pub fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit,
            filled: Notify::new(),
            drained: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
        }
    }

    /// Appends what `frame` writes, if there is room and nobody waits for it, and returns how many bytes have been
    /// appended since the beginning.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    pub fn try_push<E>(
        &self,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<u64, PushError<E>> {
        if self.queued.load(Ordering::Acquire) > 0 {
            return Err(PushError::Full);
        }
        self.append(Some(self.limit), frame)
    }

    /// Appends what `frame` writes however much waits already: for answers, whose number is bounded elsewhere.
    ///
    /// # Errors
    /// [`PushError::Closed`] or [`PushError::Frame`]; nothing was appended.
    pub fn push<E>(&self, frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<u64, PushError<E>> {
        self.append(None, frame)
    }

    /// Waits for room, behind those who waited before, and gives the right to [`Turn::push`].
    ///
    /// # Errors
    /// [`PushError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn turn(&self) -> Result<Turn<'_>, PushError<std::convert::Infallible>> {
        self.queued.fetch_add(1, Ordering::AcqRel);
        let queued = Queued { outbox: self };
        let turn = self.turn.lock().await;
        self.room(self.limit).await.map_err(|Closed| PushError::Closed)?;
        Ok(Turn { queued, _turn: turn })
    }

    /// Waits until fewer than `limit` bytes wait.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn room(&self, limit: usize) -> Result<(), Closed> {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.lock();
                if state.closed {
                    return Err(Closed);
                }
                if state.waiting() < limit as u64 {
                    return Ok(());
                }
            }
            drained.await;
        }
    }

    /// Closes the outbox: the writer writes what is there and ends, and nothing more is taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Bytes that the system has taken since the beginning.
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// Writes batches as they fill, until the outbox is closed or the connection fails.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn write_to(&self, socket: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut batch = Vec::new();
        loop {
            self.filled.notified().await;
            loop {
                let closed = {
                    let mut state = self.lock();
                    std::mem::swap(&mut state.batch, &mut batch);
                    state.closed
                };
                if batch.is_empty() {
                    if closed {
                        return socket.shutdown().await;
                    }
                    break;
                }
                let mut rest = &batch[..];
                while !rest.is_empty() {
                    let wrote = socket.write(rest).await?;
                    if wrote == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    rest = &rest[wrote..];
                    self.lock().written += wrote as u64;
                    self.drained.notify_waiters();
                }
                batch.clear();
                batch.shrink_to(KEEP_BYTES);
            }
        }
    }

    fn append<E>(
        &self,
        limit: Option<usize>,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<u64, PushError<E>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if limit.is_some_and(|limit| state.waiting() >= limit as u64) {
            return Err(PushError::Full);
        }
        let before = state.batch.len();
        let mut whole = Whole { batch: &mut state.batch, before, written: false };
        frame(whole.batch).map_err(PushError::Frame)?;
        whole.written = true;
        drop(whole);
        state.placed += (state.batch.len() - before) as u64;
        let placed = state.placed;
        drop(state);
        if before == 0 {
            self.filled.notify_one();
        }
        Ok(placed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while encoding leaves the batch as it was, see `Whole`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> u64 {
        self.placed - self.written
    }
}

/// The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Cuts off half a frame, whether its encoding failed or panicked.
struct Whole<'a> {
    batch: &'a mut Vec<u8>,
    before: usize,
    written: bool,
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        if !self.written {
            self.batch.truncate(self.before);
        }
    }
}

/// One who waits, counted.
#[derive(Debug)]
struct Queued<'a> {
    outbox: &'a Outbox,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.outbox.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to append next, with room for it.
#[derive(Debug)]
pub struct Turn<'a> {
    queued: Queued<'a>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Appends what `frame` writes, and returns how many bytes have been appended since the beginning.
    ///
    /// # Errors
    /// [`PushError::Closed`] or [`PushError::Frame`]; nothing was appended.
    pub fn push<E>(&self, frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<u64, PushError<E>> {
        self.queued.outbox.append(None, frame)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn bytes(count: usize) -> impl FnOnce(&mut Vec<u8>) -> Result<(), Infallible> {
        move |out| {
            out.resize(out.len() + count, 7);
            Ok(())
        }
    }

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.expect("connected"), far.expect("accepted").0)
    }

    #[test]
    fn a_frame_that_fails_or_panics_leaves_nothing_behind() {
        let outbox = Outbox::new(100);
        assert_eq!(outbox.try_push(bytes(3)), Ok(3));
        let failed = outbox.try_push(|out| {
            out.push(1);
            Err("no")
        });
        assert_eq!(failed, Err(PushError::Frame("no")));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            outbox.try_push(|out| -> Result<(), Infallible> {
                out.push(1);
                panic!("a value that cannot be serialised")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(outbox.try_push(bytes(3)), Ok(6));
        assert_eq!(outbox.lock().batch, [7; 6]);
    }

    #[test]
    fn beyond_the_limit_nothing_is_taken_but_answers() {
        let outbox = Outbox::new(10);
        assert_eq!(outbox.try_push(bytes(20)), Ok(20), "the frame that crosses the limit");
        assert_eq!(outbox.try_push(bytes(1)), Err(PushError::Full));
        assert_eq!(outbox.push(bytes(1)), Ok(21));
        outbox.close();
        assert_eq!(outbox.push(bytes(1)), Err(PushError::Closed));
    }

    #[tokio::test]
    async fn those_who_wait_have_their_turn_in_order_and_nobody_overtakes_them() {
        let outbox = Arc::new(Outbox::new(1));
        outbox.try_push(bytes(1)).expect("room");
        let (order, mut came) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (outbox, order) = (Arc::clone(&outbox), order.clone());
            waiting.push(tokio::spawn(async move {
                let turn = outbox.turn().await.expect("open");
                turn.push(bytes(1)).expect("room");
                order.send(number).expect("the test listens");
            }));
            // On this one thread the task waits in the queue before the next is made.
            tokio::task::yield_now().await;
        }
        assert_eq!(outbox.try_push(bytes(1)), Err(PushError::Full), "three wait already");
        let (near, mut far) = connection().await;
        let (_reader, mut writer) = near.into_split();
        let writing = Arc::clone(&outbox);
        let writer = tokio::spawn(async move { writing.write_to(&mut writer).await });
        for number in 0..3 {
            assert_eq!(came.recv().await, Some(number));
        }
        outbox.close();
        writer.await.expect("no panic").expect("written");
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.expect("read");
        assert_eq!((read.len(), outbox.written()), (4, 4));
    }

    #[tokio::test]
    async fn closing_ends_all_waiting() {
        let outbox = Arc::new(Outbox::new(1));
        outbox.try_push(bytes(1)).expect("room");
        let waiting = Arc::clone(&outbox);
        let waiting = tokio::spawn(async move { waiting.turn().await.is_err() });
        tokio::task::yield_now().await;
        outbox.close();
        assert!(waiting.await.expect("no panic"));
    }
}
