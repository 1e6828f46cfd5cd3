//! A standard stream of this process, written by a separate thread behind a queue that is bounded in bytes.
//!
//! A reader that does not read, be it a paused terminal or a pipe, blocks that thread and nothing else.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{Semaphore, TryAcquireError, mpsc, oneshot};

/// The size of the queue in bytes. Beyond that, lines wait or are left out.
const QUEUE: u32 = 4 << 20;

/// The overhead of a line in bytes.
const LINE: usize = 64;

/// The size of a write in bytes.
const BATCH: usize = 64 * 1024;

/// The error of a closed terminal, on every Unix.
const EIO: i32 = 5;

/// The queue of lines in front of a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    queue: mpsc::UnboundedSender<QueueEntry>,
    /// The room in the queue, in bytes.
    room: Arc<Semaphore>,
    counts: Arc<LineCounters>,
    notice: fn(u64) -> String,
}

/// The counts of lines that have not been written.
#[derive(Debug, Default)]
struct LineCounters {
    /// Lines that are queued, or being written.
    queued: AtomicU64,
    /// Lines that were left out and not reported yet.
    left_out: AtomicU64,
}

/// The treatment of EIO, the error of a closed terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LostTerminal {
    /// An error like any other.
    Fails,
    /// The lines are left out: the program goes on without its terminal, as under `nohup`.
    LeavesOut,
}

/// The writing thread.
#[derive(Debug)]
pub(super) struct StreamWriter {
    queue: mpsc::WeakUnboundedSender<QueueEntry>,
    counts: Arc<LineCounters>,
    /// The result of the thread; `None` once it is known.
    ended: Option<oneshot::Receiver<io::Result<()>>>,
}

#[derive(Debug)]
enum QueueEntry {
    Line {
        text: String,
        cost: u32,
    },
    /// Completed when everything before it has been written.
    Mark(oneshot::Sender<()>),
}

/// The reader has closed the stream.
#[derive(Debug)]
pub(super) struct Closed;

impl Stream {
    /// Starts a thread that writes to the result of `open`. `notice` formats the line about lines left out.
    pub(super) fn start<W: Write>(
        open: impl FnOnce() -> W + Send + 'static,
        notice: fn(u64) -> String,
        lost_terminal: LostTerminal,
    ) -> (Self, StreamWriter) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let counts = Arc::new(LineCounters::default());
        let writer =
            StreamWriter { queue: queue.downgrade(), counts: Arc::clone(&counts), ended: Some(ended) };
        let room = Arc::new(Semaphore::new(QUEUE as usize));
        let this = Self { queue, room: Arc::clone(&room), counts: Arc::clone(&counts), notice };
        thread::spawn(move || {
            let writing = StreamThread { waiting, room: &room, counts: &counts, notice, lost_terminal };
            let result = writing.run(&mut open());
            // Lines need not wait for room any longer.
            room.close();
            // When the program does not wait for the end, it does not ask for the result.
            let _ = end.send(result);
        });
        (this, writer)
    }

    /// Queues a line, and waits until there is room for it.
    pub(super) async fn line(&self, text: String) -> Result<(), Closed> {
        let cost = cost(&text);
        self.room.acquire_many(cost).await.map_err(|_| Closed)?.forget();
        self.push(text, cost)
    }

    /// Queues a line if there is room for it, and counts it otherwise. Once lines were left out, half of the queue
    /// must be free before there are others, and the first reports how many are missing.
    pub(super) fn offer(&self, text: impl FnOnce() -> String) {
        let is_behind = self.counts.left_out.load(Ordering::Relaxed) > 0;
        if is_behind && self.room.available_permits() < QUEUE as usize / 2 {
            self.leave_out(1);
            return;
        }
        // The notice and the line are queued together or not at all: notices alone would fill the queue.
        let left_out = self.counts.left_out.swap(0, Ordering::Relaxed);
        let text = if left_out > 0 { (self.notice)(left_out) + &text() } else { text() };
        let cost = cost(&text);
        match self.room.try_acquire_many(cost) {
            Ok(room) => {
                room.forget();
                // The reader is gone: the program is about to end.
                let _ = self.push(text, cost);
            }
            Err(TryAcquireError::Closed) => {}
            Err(TryAcquireError::NoPermits) => self.leave_out(left_out + 1),
        }
    }

    fn leave_out(&self, lines: u64) {
        self.counts.left_out.fetch_add(lines, Ordering::Relaxed);
        if self.room.available_permits() < QUEUE as usize {
            return;
        }
        // Everything was written meanwhile, and the writer does not look again.
        let left_out = self.counts.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let notice = (self.notice)(left_out);
            let cost = cost(&notice);
            match self.room.try_acquire_many(cost) {
                Ok(room) => {
                    room.forget();
                    // As above.
                    let _ = self.push(notice, cost);
                }
                Err(_) => {
                    self.counts.left_out.fetch_add(left_out, Ordering::Relaxed);
                }
            }
        }
    }

    /// Waits until the reader has closed the stream.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    fn push(&self, text: String, cost: u32) -> Result<(), Closed> {
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        self.queue.send(QueueEntry::Line { text, cost }).map_err(|_| Closed)
    }
}

fn cost(text: &str) -> u32 {
    u32::try_from(text.len() + LINE).unwrap_or(QUEUE).min(QUEUE)
}

impl StreamWriter {
    /// Returns the number of lines not written, including those left out.
    pub(super) fn unwritten(&self) -> u64 {
        let LineCounters { queued, left_out } = &*self.counts;
        queued.load(Ordering::Relaxed).saturating_add(left_out.load(Ordering::Relaxed))
    }

    /// Waits until everything queued before has been written.
    ///
    /// # Errors
    /// The stream cannot be written; a closed reader is not an error.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        let (tx, rx) = oneshot::channel();
        let marked = self.queue.upgrade().is_some_and(|queue| queue.send(QueueEntry::Mark(tx)).is_ok());
        if marked && rx.await.is_ok() {
            return Ok(());
        }
        let Some(ended) = &mut self.ended else { return Ok(()) };
        let result = ended.await;
        self.ended = None;
        match result {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

/// The state of the writing thread.
struct StreamThread<'a> {
    waiting: mpsc::UnboundedReceiver<QueueEntry>,
    room: &'a Semaphore,
    counts: &'a LineCounters,
    notice: fn(u64) -> String,
    lost_terminal: LostTerminal,
}

impl StreamThread<'_> {
    fn run(mut self, out: &mut impl Write) -> io::Result<()> {
        while let Some(mut entry) = self.waiting.blocking_recv() {
            let (mut lines, mut count, mut costs, mut mark) = (String::new(), 0, 0, None);
            loop {
                match entry {
                    QueueEntry::Line { text, cost } => {
                        lines.push_str(&text);
                        count += 1;
                        costs += cost as usize;
                    }
                    QueueEntry::Mark(tx) => mark = Some(tx),
                }
                if lines.len() >= BATCH || mark.is_some() {
                    break;
                }
                match self.waiting.try_recv() {
                    Ok(next) => entry = next,
                    Err(_) => break,
                }
            }
            self.write(out, &lines, count)?;
            self.counts.queued.fetch_sub(count, Ordering::Relaxed);
            self.room.add_permits(costs);
            if self.waiting.is_empty() {
                self.tell_left_out(out)?;
            }
            if let Some(tx) = mark {
                // The receiver may have given up waiting.
                let _ = tx.send(());
            }
        }
        Ok(())
    }

    /// Reports how many lines were left out, where no other line reports it.
    fn tell_left_out(&self, out: &mut impl Write) -> io::Result<()> {
        let count = self.counts.left_out.swap(0, Ordering::Relaxed);
        if count > 0 { self.write(out, &(self.notice)(count), count) } else { Ok(()) }
    }

    /// Writes text, which stands for `lines` lines.
    fn write(&self, out: &mut impl Write, text: &str, lines: u64) -> io::Result<()> {
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if self.lost_terminal == LostTerminal::LeavesOut && is_lost_terminal(&error) => {
                self.counts.left_out.fetch_add(lines, Ordering::Relaxed);
                Ok(())
            }
            written => written,
        }
    }
}

/// Returns whether this is the error of a closed terminal.
fn is_lost_terminal(error: &io::Error) -> bool {
    cfg!(unix) && error.raw_os_error() == Some(EIO)
}

#[cfg(test)]
mod tests;
