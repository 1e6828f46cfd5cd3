//! Bytes on their way out of one connection: a bounded batch that anybody appends to, and whoever is free writes.
//!
//! Batching is opportunistic. While nobody writes, a sender in a hurry writes its own frame at once; while somebody
//! does, the batch fills, and leaves whole when the write has ended.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use meshzero_proto::codec;
use meshzero_proto::frame::Whole;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::outgoing::{Outgoing, SLICES};
use crate::traffic::{Carrying, Meter};

/// A gathered batch of this length is written by whoever filled it. Measured: with a quarter of it large messages reach
/// less than half the throughput, and more gains nothing.
const FLUSH_BYTES: usize = 256 << 10;

/// The same where large payloads lie beside the batch, which takes no more cache for them. Measured: one system call of this
/// length moves nearly twice as many bytes a second as three of a third, and one of twice as much fewer again.
const FLUSH_SHARED_BYTES: usize = 640 << 10;

/// Senders that can wait do so while as much waits for the socket: more only costs memory and cache.
const AHEAD_BYTES: usize = 2 << 20;

/// The outgoing half of a connection, shared by all who send on it.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    limit: usize,
    socket: OwnedWriteHalf,
    meter: Arc<Meter>,
    filled: Notify,
    drained: Notify,
    /// Held by whoever waits for room, so that those who wait are served in order.
    turn: tokio::sync::Mutex<()>,
    /// How many wait for room or are about to use it: nobody may overtake them.
    queued: AtomicUsize,
}

#[derive(Debug)]
struct State {
    filling: Outgoing,
    /// What is being written. Whoever writes has taken it.
    leaving: Option<Outgoing>,
    /// Bytes appended since the connection began.
    placed: u64,
    /// Bytes handed to the system since the connection began.
    written: u64,
    closed: bool,
}

/// What room a frame needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Any below the limit, if nobody waits for it: for senders that are refused otherwise.
    Limit,
    /// Room below what senders keep ahead of the socket, if nobody waits for it: for those that can wait.
    Ahead,
    /// None: for answers, whose number is bounded elsewhere, and for those whose turn it is.
    Any,
}

/// When what was appended is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once, by whoever appended it, unless somebody is writing.
    AtOnce,
    /// By the connection's own task, with whatever has been appended until then.
    Gathered,
}

/// Where a frame was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its last byte is this byte of the stream.
    pub end: u64,
    /// Whether appending it took the time to write a whole batch: then others on the thread should have their turn.
    pub wrote_batch: bool,
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
    /// An outbox in which at most `limit` bytes wait for `socket`, besides the frame that crosses the limit.
    pub fn new(socket: OwnedWriteHalf, limit: usize, carrying: &Carrying) -> Self {
        let state = State {
            filling: Outgoing::default(),
            leaving: Some(Outgoing::default()),
            placed: 0,
            written: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            limit,
            socket,
            meter: Arc::clone(&carrying.meter),
            filled: Notify::new(),
            drained: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            queued: AtomicUsize::new(0),
        }
    }

    /// Appends what `frame` writes, where there is `room` for it.
    ///
    /// # Errors
    /// [`PushError`]; nothing was appended.
    #[inline(always)]
    pub fn push<E>(
        &self,
        room: Room,
        pace: Pace,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        let limit = match room {
            Room::Any => None,
            _ if self.is_awaited() => return Err(PushError::Full),
            Room::Limit => Some(self.limit),
            Room::Ahead => Some(self.ahead()),
        };
        self.append(limit, pace, frame)
    }

    /// Appends whole frames and leaves `frames` empty, and writes at once. A closed connection drops them.
    pub fn push_frames(&self, frames: &mut Vec<u8>) {
        let mut state = self.lock();
        if state.closed {
            return frames.clear();
        }
        state.placed += frames.len() as u64;
        let batch = state.filling.batch();
        if batch.is_empty() {
            std::mem::swap(batch, frames);
        } else {
            batch.append(frames);
        }
        self.go_on(state, Pace::AtOnce, true);
    }

    /// Appends whole frames without copying them, and writes at once.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn share(&self, frames: impl IntoIterator<Item = Bytes>) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        for frames in frames {
            state.placed += frames.len() as u64;
            state.filling.share(frames);
        }
        self.go_on(state, Pace::AtOnce, true);
        Ok(())
    }

    /// Waits for room, behind those who waited before, and gives the right to [`Turn::push`].
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn turn(&self) -> Result<Turn<'_>, Closed> {
        self.queued.fetch_add(1, Ordering::AcqRel);
        let queued = Queued { outbox: self };
        let turn = self.turn.lock().await;
        self.room(self.ahead()).await?;
        Ok(Turn { queued, _turn: turn })
    }

    /// Whether somebody waits for room.
    pub fn is_awaited(&self) -> bool {
        self.queued.load(Ordering::Acquire) > 0
    }

    /// Waits until fewer than `limit` bytes wait.
    ///
    /// # Errors
    /// [`Closed`].
    ///
    /// # Cancel safety
    /// Loses nothing.
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

    /// Closes the outbox: what is there is still written, and nothing more is taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Bytes that the system has taken since the beginning.
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// Writes what nobody else writes, until the outbox is closed and written or the connection fails.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn keep_writing(&self) -> io::Result<()> {
        loop {
            self.filled.notified().await;
            while let Some(mut leaving) = self.take() {
                while !leaving.is_empty() {
                    match self.write(&leaving) {
                        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                        Ok(wrote) => {
                            leaving.advance(wrote);
                            self.lock().written += wrote as u64;
                            self.drained.notify_waiters();
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            self.socket.writable().await?
                        }
                        Err(error) => return Err(error),
                    }
                }
                self.lock().leaving = Some(leaving);
            }
            let state = self.lock();
            if state.closed && state.waiting() == 0 {
                drop(state);
                return socket2::SockRef::from(AsRef::<TcpStream>::as_ref(&self.socket))
                    .shutdown(std::net::Shutdown::Write);
            }
        }
    }

    /// What is to be written now; `None` if there is nothing, or somebody writes and will say when that has ended.
    fn take(&self) -> Option<Outgoing> {
        let mut state = self.lock();
        let state = &mut *state;
        let leaving = state.leaving.as_mut()?;
        if leaving.is_empty() {
            std::mem::swap(leaving, &mut state.filling);
        }
        if leaving.is_empty() { None } else { state.leaving.take() }
    }

    #[inline(always)]
    fn append<E>(
        &self,
        limit: Option<usize>,
        pace: Pace,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if limit.is_some_and(|limit| state.waiting() >= limit as u64) {
            return Err(PushError::Full);
        }
        let batch = state.filling.batch();
        let before = batch.len();
        let whole = Whole::begin(batch);
        let blobs = codec::beside(whole.buffer, frame).map_err(PushError::Frame)?;
        whole.end();
        let length = state.filling.batch().len();
        let mut is_full = length >= FLUSH_BYTES;
        state.placed += (length - before) as u64;
        if !blobs.is_empty() {
            let beside: usize = blobs.iter().map(|blob| blob.bytes.len()).sum();
            state.placed += beside as u64;
            state.filling.put_between(blobs);
            is_full = state.waiting() >= FLUSH_SHARED_BYTES as u64;
        }
        let end = state.placed;
        let wrote_batch = pace == Pace::Gathered && is_full;
        self.go_on(state, if wrote_batch { Pace::AtOnce } else { pace }, before == 0);
        Ok(Placed { end, wrote_batch })
    }

    /// Sees to it that what has been appended is written. `first` says that nothing had been before it.
    #[inline(always)]
    fn go_on(&self, mut state: MutexGuard<'_, State>, pace: Pace, first: bool) {
        let Some(leaving) = &mut state.leaving else {
            // Whoever writes looks again afterwards.
            return;
        };
        if pace == Pace::Gathered || !leaving.is_empty() {
            // Where something waited already, the task has been told.
            let tell = first || !leaving.is_empty();
            drop(state);
            if tell {
                self.filled.notify_one();
            }
            return;
        }
        self.write_now(state);
    }

    /// Writes what has been appended, while nobody else does.
    #[inline(never)]
    fn write_now(&self, mut state: MutexGuard<'_, State>) {
        let Some(mut leaving) = state.leaving.take() else { return };
        std::mem::swap(&mut leaving, &mut state.filling);
        drop(state);
        // What fails here fails again for the connection's own task, which tells.
        let wrote = self.write(&leaving).unwrap_or(0);
        leaving.advance(wrote);
        let mut state = self.lock();
        state.written += wrote as u64;
        let more = !leaving.is_empty() || !state.filling.is_empty() || state.closed;
        if state.filling.is_empty() && leaving.is_empty() {
            // The same memory again for the next batch.
            std::mem::swap(&mut leaving, &mut state.filling);
        }
        state.leaving = Some(leaving);
        drop(state);
        if wrote > 0 {
            self.drained.notify_waiters();
        }
        if more {
            self.filled.notify_one();
        }
    }

    /// Hands to the system what it takes at once.
    fn write(&self, leaving: &Outgoing) -> io::Result<usize> {
        let socket: &TcpStream = self.socket.as_ref();
        let wrote = match leaving.only_batch() {
            Some(batch) => socket.try_write(batch),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = leaving.fill(&mut slices);
                socket.try_write_vectored(&slices[..count])
            }
        }?;
        self.meter.wrote(wrote);
        Ok(wrote)
    }

    fn ahead(&self) -> usize {
        self.limit.min(AHEAD_BYTES)
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
    /// Appends what `frame` writes.
    ///
    /// # Errors
    /// [`PushError::Closed`] or [`PushError::Frame`]; nothing was appended.
    pub fn push<E>(
        &self,
        pace: Pace,
        frame: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Placed, PushError<E>> {
        self.queued.outbox.push(Room::Any, pace, frame)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    fn bytes(count: usize) -> impl FnOnce(&mut Vec<u8>) -> Result<(), Infallible> {
        move |out| {
            out.resize(out.len() + count, 7);
            Ok(())
        }
    }

    /// An outbox whose task does not run yet, and the other end of its connection.
    async fn outbox(limit: usize) -> (Arc<Outbox>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_, writer) = near.expect("connected").into_split();
        (Arc::new(Outbox::new(writer, limit, &Carrying::default())), far.expect("accepted").0)
    }

    fn end(pushed: Result<Placed, PushError<Infallible>>) -> Result<u64, PushError<Infallible>> {
        pushed.map(|placed| placed.end)
    }

    fn writing(outbox: &Arc<Outbox>) -> tokio::task::JoinHandle<io::Result<()>> {
        let outbox = Arc::clone(outbox);
        tokio::spawn(async move { outbox.keep_writing().await })
    }

    async fn all(mut far: TcpStream) -> Vec<u8> {
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.expect("read");
        read
    }

    #[tokio::test]
    async fn a_frame_that_fails_or_panics_leaves_nothing_behind() {
        let (outbox, _far) = outbox(100).await;
        assert_eq!(end(outbox.push(Room::Limit, Pace::Gathered, bytes(3))), Ok(3));
        let failed = outbox.push(Room::Limit, Pace::Gathered, |out| {
            out.push(1);
            Err("no")
        });
        assert_eq!(failed, Err(PushError::Frame("no")));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            outbox.push(Room::Limit, Pace::Gathered, |out| -> Result<(), Infallible> {
                out.push(1);
                panic!("a value that cannot be serialised")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(end(outbox.push(Room::Limit, Pace::Gathered, bytes(3))), Ok(6));
        assert_eq!(*outbox.lock().filling.batch(), [7; 6]);
    }

    #[tokio::test]
    async fn beyond_the_limit_nothing_is_taken_but_answers() {
        let (outbox, _far) = outbox(10).await;
        assert_eq!(
            end(outbox.push(Room::Limit, Pace::Gathered, bytes(20))),
            Ok(20),
            "the frame that crosses the limit"
        );
        assert_eq!(end(outbox.push(Room::Limit, Pace::Gathered, bytes(1))), Err(PushError::Full));
        assert_eq!(end(outbox.push(Room::Any, Pace::Gathered, bytes(1))), Ok(21));
        outbox.close();
        assert_eq!(end(outbox.push(Room::Any, Pace::Gathered, bytes(1))), Err(PushError::Closed));
    }

    #[tokio::test]
    async fn frames_leave_in_order_whoever_writes_them() {
        let (outbox, far) = outbox(1 << 20).await;
        let reader = tokio::spawn(all(far));
        // The system says that the socket takes bytes before anybody writes.
        outbox.socket.writable().await.expect("connected");
        let mut expected = Vec::new();
        let mut writer = None;
        for number in 0..=255 {
            let frame = vec![number; 1 + usize::from(number) * 40];
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(&frame);
                Ok::<_, Infallible>(())
            };
            expected.extend_from_slice(&frame);
            match number % 4 {
                0 => drop(outbox.push(Room::Any, Pace::AtOnce, write)),
                1 => drop(outbox.push(Room::Any, Pace::Gathered, write)),
                2 => outbox.push_frames(&mut frame.clone()),
                _ => outbox.share([Bytes::new(), frame.into()]).expect("open"),
            }
            if number == 100 {
                writer = Some(writing(&outbox));
            }
            if number % 10 == 0 {
                tokio::task::yield_now().await;
            }
        }
        outbox.close();
        writer.expect("started").await.expect("no panic").expect("written");
        assert_eq!(outbox.written(), expected.len() as u64);
        drop(outbox);
        assert!(reader.await.expect("no panic") == expected, "other bytes arrived");
    }

    #[tokio::test]
    async fn an_idle_connection_takes_a_frame_at_once() {
        let (outbox, mut far) = outbox(100).await;
        outbox.socket.writable().await.expect("connected");
        outbox.push(Room::Limit, Pace::AtOnce, bytes(3)).expect("room");
        assert_eq!(outbox.written(), 3, "though nobody writes but the sender");
        let mut read = [0; 3];
        far.read_exact(&mut read).await.expect("read");
        assert_eq!(read, [7; 3]);
    }

    #[tokio::test]
    async fn those_who_wait_have_their_turn_in_order_and_nobody_overtakes_them() {
        let (outbox, far) = outbox(1).await;
        outbox.push(Room::Limit, Pace::Gathered, bytes(1)).expect("room");
        let (order, mut came) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (outbox, order) = (Arc::clone(&outbox), order.clone());
            waiting.push(tokio::spawn(async move {
                let turn = outbox.turn().await.expect("open");
                turn.push(Pace::Gathered, bytes(1)).expect("room");
                order.send(number).expect("the test listens");
            }));
            // On this one thread the task waits in the queue before the next is made.
            tokio::task::yield_now().await;
        }
        let overtaking = outbox.push(Room::Limit, Pace::Gathered, bytes(1));
        assert_eq!(end(overtaking), Err(PushError::Full), "three wait already");
        let writer = writing(&outbox);
        for number in 0..3 {
            assert_eq!(came.recv().await, Some(number));
        }
        outbox.close();
        writer.await.expect("no panic").expect("written");
        assert_eq!(outbox.written(), 4);
        drop((outbox, waiting));
        assert_eq!(all(far).await.len(), 4);
    }

    #[tokio::test]
    async fn closing_ends_all_waiting() {
        let (outbox, _far) = outbox(1).await;
        outbox.push(Room::Limit, Pace::Gathered, bytes(1)).expect("room");
        let waiting = Arc::clone(&outbox);
        let waiting = tokio::spawn(async move { waiting.turn().await.is_err() });
        tokio::task::yield_now().await;
        outbox.close();
        assert!(waiting.await.expect("no panic"));
    }
}
