//! A stream of this process, written by a thread of its own behind a queue that is bounded in bytes.
//!
//! A reader that does not read, be it a paused terminal or a pipe, holds up that thread and nobody else.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{Semaphore, TryAcquireError, mpsc, oneshot};

/// Bytes that wait for a slow reader. Beyond that, lines wait or are left out.
const QUEUE: u32 = 4 << 20;

/// Bytes that a line costs beside its text.
const LINE: usize = 64;

/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;

/// The queue of lines in front of a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    queue: mpsc::UnboundedSender<Entry>,
    /// The room in the queue, in bytes.
    room: Arc<Semaphore>,
    /// Lines that were left out and not told yet.
    left_out: Arc<AtomicU64>,
    notice: fn(u64) -> String,
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct StreamWriter {
    queue: mpsc::WeakUnboundedSender<Entry>,
    ended: oneshot::Receiver<io::Result<()>>,
}

#[derive(Debug)]
enum Entry {
    Line {
        text: String,
        cost: u32,
    },
    /// Everything before this has been written.
    Mark(oneshot::Sender<()>),
}

/// Nobody reads the stream any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Stream {
    /// Starts the thread that writes to `out`. `notice` is the line that says how many were left out.
    pub(super) fn start<W: Write>(
        open: impl FnOnce() -> W + Send + 'static,
        notice: fn(u64) -> String,
    ) -> (Self, StreamWriter) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let writer = StreamWriter { queue: queue.downgrade(), ended };
        let room = Arc::new(Semaphore::new(QUEUE as usize));
        let this = Self { queue, room, left_out: Arc::default(), notice };
        let (room, left_out) = (Arc::clone(&this.room), Arc::clone(&this.left_out));
        thread::spawn(move || {
            let result = Writing { waiting, room: &room, left_out: &left_out, notice }.run(&mut open());
            // Whoever waits for room need not wait any longer.
            room.close();
            // When the program does not wait for the end, it does not ask how it went.
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

    /// Queues a line if there is room for it, and counts it otherwise. Once lines were left out, half of the room must be free
    /// before there are others, and the first says how many are missing.
    pub(super) fn offer(&self, text: impl FnOnce() -> String) {
        if !self.tell_left_out() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let text = text();
        let cost = cost(&text);
        match self.room.try_acquire_many(cost) {
            Ok(room) => {
                room.forget();
                // Nobody reads any more: the program is about to end.
                let _ = self.push(text, cost);
            }
            Err(TryAcquireError::Closed) => {}
            Err(TryAcquireError::NoPermits) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                // Where all was written meanwhile, the writer does not look again.
                self.tell_left_out();
            }
        }
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Says how many lines were left out, if some were and there is room again. Returns whether there is nothing more to tell.
    fn tell_left_out(&self) -> bool {
        if self.left_out.load(Ordering::Relaxed) == 0 {
            return true;
        }
        if self.room.available_permits() < QUEUE as usize / 2 {
            return self.room.is_closed();
        }
        let count = self.left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            let notice = (self.notice)(count);
            // It is short, and there are never two of them for one line that was queued.
            let _ = self.push(notice, 0);
        }
        true
    }

    fn push(&self, text: String, cost: u32) -> Result<(), Closed> {
        self.queue.send(Entry::Line { text, cost }).map_err(|_| Closed)
    }
}

fn cost(text: &str) -> u32 {
    u32::try_from(text.len() + LINE).unwrap_or(QUEUE).min(QUEUE)
}

impl StreamWriter {
    /// Waits until all that was queued before has been written.
    ///
    /// # Errors
    /// Why it cannot be written, but for a reader that has gone.
    pub(super) async fn finish(self) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        let marked = self.queue.upgrade().is_some_and(|queue| queue.send(Entry::Mark(tell)).is_ok());
        if marked && told.await.is_ok() {
            return Ok(());
        }
        match self.ended.await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

/// The state of the thread that writes.
struct Writing<'a> {
    waiting: mpsc::UnboundedReceiver<Entry>,
    room: &'a Semaphore,
    left_out: &'a AtomicU64,
    notice: fn(u64) -> String,
}

impl Writing<'_> {
    fn run(mut self, out: &mut impl Write) -> io::Result<()> {
        while let Some(mut entry) = self.waiting.blocking_recv() {
            let (mut lines, mut costs, mut mark) = (String::new(), 0, None);
            loop {
                match entry {
                    Entry::Line { text, cost } => {
                        lines.push_str(&text);
                        costs += cost as usize;
                    }
                    Entry::Mark(tell) => mark = Some(tell),
                }
                if lines.len() >= BATCH || mark.is_some() {
                    break;
                }
                match self.waiting.try_recv() {
                    Ok(next) => entry = next,
                    Err(_) => break,
                }
            }
            out.write_all(lines.as_bytes())?;
            out.flush()?;
            self.room.add_permits(costs);
            if self.waiting.is_empty() {
                self.tell_left_out(out)?;
            }
            if let Some(tell) = mark {
                // Whoever asked may have given up waiting.
                let _ = tell.send(());
            }
        }
        Ok(())
    }

    /// Says how many lines were left out where no other line is there to say it.
    fn tell_left_out(&self, out: &mut impl Write) -> io::Result<()> {
        let count = self.left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            out.write_all((self.notice)(count).as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A reader that takes nothing until it is let.
    #[derive(Clone, Default)]
    struct Paused(Arc<Terminal>);

    #[derive(Default)]
    struct Terminal {
        /// Whether it takes anything, and what it has taken.
        state: Mutex<(bool, Vec<u8>)>,
        resumed: Condvar,
    }

    impl Paused {
        fn resume(&self) {
            self.0.state.lock().expect("it is not poisoned").0 = true;
            self.0.resumed.notify_all();
        }

        fn written(&self) -> String {
            String::from_utf8(self.0.state.lock().expect("it is not poisoned").1.clone()).expect("text")
        }
    }

    impl Write for Paused {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let state = self.0.state.lock().expect("it is not poisoned");
            let mut state = self.0.resumed.wait_while(state, |state| !state.0).expect("it is not poisoned");
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_a_paused_reader_misses_is_counted_and_told_in_its_place() {
        let paused = Paused::default();
        let reader = paused.clone();
        let (stream, writer) = Stream::start(move || reader, |count| format!("{count} left out\n"));
        let long = "x".repeat(100_000);
        for number in 0..1_000 {
            stream.offer(|| format!("{number} {long}\n"));
        }
        paused.resume();
        writer.finish().await.expect("all is written");
        let written = paused.written();
        let kept: Vec<usize> = written
            .lines()
            .take_while(|line| !line.contains("left out"))
            .map(|line| line.split(' ').next().and_then(|number| number.parse().ok()).expect("a number"))
            .collect();
        assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>());
        assert!((20..=42).contains(&kept.len()), "{} kept", kept.len());
        assert_eq!(written.lines().last(), Some(format!("{} left out", 1_000 - kept.len()).as_str()));
    }

    #[tokio::test]
    async fn a_line_that_waits_is_never_left_out() {
        let paused = Paused::default();
        let reader = paused.clone();
        let (stream, writer) = Stream::start(move || reader, |count| format!("{count} left out\n"));
        let long = "x".repeat(100_000);
        let line = async || {
            for _ in 0..100 {
                stream.line(format!("{long}\n")).await.expect("it is read");
            }
        };
        let resumed = async {
            tokio::task::yield_now().await;
            paused.resume();
        };
        tokio::join!(line(), resumed);
        writer.finish().await.expect("all is written");
        assert_eq!(paused.written().lines().filter(|line| *line == long).count(), 100);
    }
}
