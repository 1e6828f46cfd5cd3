//! Tests of a stream: readers that are paused, slow or gone.

use std::sync::{Condvar, Mutex};

use super::*;

/// A reader that takes nothing until it is resumed.
#[derive(Clone, Default)]
struct Paused(Arc<Terminal>);

#[derive(Default)]
struct Terminal {
    /// Whether it is resumed, and the text written.
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

fn start(reader: impl Write + Send + 'static) -> (Stream, StreamWriter) {
    Stream::start(move || reader, |count| format!("{count} left out\n"), LostTerminal::LeavesOut)
}

#[tokio::test]
async fn notices_do_not_fill_the_queue() {
    let paused = Paused::default();
    let (stream, mut writer) = start(paused.clone());
    // Half of the room is free, and there is no room for any of the others.
    let (kept, long) = ("a".repeat(QUEUE as usize * 2 / 5), "x".repeat(QUEUE as usize * 4 / 5));
    stream.offer(|| format!("{kept}\n"));
    for _ in 0..1_000 {
        stream.offer(|| format!("{long}\n"));
    }
    assert_eq!(writer.unwritten(), 1_001);
    paused.resume();
    writer.finish().await.expect("all is written");
    assert_eq!(paused.written(), format!("{kept}\n1000 left out\n"));
    assert_eq!(writer.unwritten(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_terminal_that_was_lost_ends_no_program_that_outlives_it() {
    /// A terminal that is closed after its first line.
    struct Lost(bool);

    impl Write for Lost {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                Err(io::Error::from_raw_os_error(EIO))
            } else {
                Ok(bytes.len())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    for (lost_terminal, left_out) in [(LostTerminal::LeavesOut, Some(2)), (LostTerminal::Fails, None)] {
        let (stream, mut writer) = Stream::start(|| Lost(false), |count| format!("{count}\n"), lost_terminal);
        for line in ["one\n", "two\n", "three\n"] {
            // The stream ends meanwhile where that is an error.
            let _ = stream.line(line.to_owned()).await;
            let (tx, rx) = oneshot::channel();
            let _ = stream.queue.send(QueueEntry::Mark(tx));
            let _ = rx.await;
        }
        match left_out {
            Some(left_out) => {
                assert_eq!(writer.finish().await.ok(), Some(()));
                assert_eq!(writer.unwritten(), left_out);
            }
            None => assert!(writer.finish().await.is_err()),
        }
    }
}

#[tokio::test]
async fn what_a_paused_reader_misses_is_counted_and_told_in_its_place() {
    let paused = Paused::default();
    let reader = paused.clone();
    let (stream, mut writer) = start(reader);
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
    let (stream, mut writer) = start(reader);
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
