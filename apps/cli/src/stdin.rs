//! Standard input, as a whole and line by line, in the conventions of every system.

use std::io::{self, BufRead, Read, stdin};
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::detached::run_detached;
use crate::encoding;
use crate::failure::Failure;

/// The longest text that is read as a whole.
const LONGEST: usize = 64 << 20;

/// The limits of the queue of lines, in lines and in bytes. A longer line is queued alone.
const QUEUE: usize = 16;
const QUEUE_BYTES: u32 = 1 << 20;

/// Reads all of standard input as a message.
///
/// # Errors
/// [`Failure::Local`]: it cannot be read. [`Failure::Usage`]: it is not text, or is longer than any message.
///
/// # Cancel safety
/// This function is not cancel safe: dropping the future loses the input read so far.
pub(crate) async fn whole() -> Result<String, Failure> {
    // The end of the input may never come.
    let read = run_detached(|| {
        let mut bytes = Vec::new();
        stdin().lock().take(LONGEST as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let unread = |reason: String| Failure::Local(format!("cannot read standard input: {reason}"));
    let bytes = read
        .await
        .ok_or_else(|| unread("no thread could be started".to_owned()))?
        .map_err(|error| unread(error.to_string()))?;
    if bytes.len() > LONGEST {
        let problem = format!("standard input is longer than {LONGEST} bytes, the limit of a message");
        return Err(Failure::Usage(problem));
    }
    encoding::decode(&bytes).map_err(|error| Failure::Usage(format!("standard input {error}")))
}

/// A line of standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StdinLine {
    /// As it was written.
    Text(String),
    /// It was not UTF-8. Invalid bytes are replaced by U+FFFD.
    Replaced(String),
    /// A line that was too long and skipped, with its length in bytes.
    TooLong(u64),
}

impl StdinLine {
    /// Returns the length of its text in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Replaced(text) => text.len(),
            Self::TooLong(_) => 0,
        }
    }
}

/// The lines of standard input, in a queue that is bounded in bytes.
#[derive(Debug)]
pub(crate) struct StdinLines(mpsc::Receiver<(Result<StdinLine, Failure>, OwnedSemaphorePermit)>);

impl StdinLines {
    /// Returns the next line; `None` after the last one.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<StdinLine, Failure>> {
        self.0.recv().await.map(|(line, _)| line)
    }
}

/// Reads lines of standard input of at most `longest` bytes each, on a detached thread: the next line may never come.
///
/// # Panics
/// Outside of a tokio runtime.
pub(crate) fn lines(longest: usize) -> StdinLines {
    let (lines, read) = mpsc::channel(QUEUE);
    let (runtime, room) = (Handle::current(), Arc::new(Semaphore::new(QUEUE_BYTES as usize)));
    let queue = move |line: Result<StdinLine, Failure>| {
        let bytes = line.as_ref().map_or(0, StdinLine::bytes);
        let cost = u32::try_from(bytes).unwrap_or(QUEUE_BYTES).min(QUEUE_BYTES);
        runtime.block_on(async {
            // It is never closed.
            let Ok(room) = Arc::clone(&room).acquire_many_owned(cost).await else { return false };
            lines.send((line, room)).await.is_ok()
        })
    };
    thread::spawn(move || {
        let mut input = stdin().lock();
        let unread = |reason: &str| Failure::Local(format!("cannot read standard input: {reason}"));
        let start = match first_bytes(&mut input, longest) {
            Ok(start) if encoding::is_utf16(&start) => {
                let problem = "standard input is UTF-16, and lines are read as UTF-8; save it as UTF-8";
                queue(Err(Failure::Usage(problem.to_owned())));
                return;
            }
            Ok(start) => start,
            Err(error) => {
                queue(Err(unread(&error.to_string())));
                return;
            }
        };
        let mut input = LineReader { input: io::Cursor::new(start).chain(input), longest, is_first: true };
        while let Some(line) = input.next().transpose() {
            let line = line.map_err(|error| unread(&error.to_string()));
            let is_last = line.is_err();
            // Without a receiver nothing more is read.
            if !queue(line) || is_last {
                return;
            }
        }
    });
    StdinLines(read)
}

/// Reads as many bytes as decide whether the input is UTF-16: one unless it may have the mark, else up to a zero byte,
/// or up to and including the byte after the first line end, which is its other half in UTF-16, or up to a line too
/// long. This holds for any size of reads: the mark may arrive alone.
fn first_bytes(input: &mut impl BufRead, longest: usize) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    for byte in input.bytes() {
        let byte = byte?;
        let is_behind = start.ends_with(b"\n");
        start.push(byte);
        if is_behind || byte == 0 || start.len() > longest || !encoding::may_have_utf16_mark(&start) {
            break;
        }
    }
    Ok(start)
}

/// A reader of lines, each in bounded memory.
struct LineReader<R> {
    input: R,
    longest: usize,
    is_first: bool,
}

impl<R: BufRead> LineReader<R> {
    /// Reads the next line, without its end; `None` after the last one. The end of the input ends a line as well.
    fn next(&mut self) -> io::Result<Option<StdinLine>> {
        let mut bytes = Vec::new();
        // With room for the line's end.
        let most = self.longest as u64 + 2;
        if self.input.by_ref().take(most).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let (mut passed_over, has_end) = (0, bytes.ends_with(b"\n"));
        if has_end {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        } else if bytes.len() > self.longest {
            passed_over = self.pass_over()?;
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        if bytes.len() > self.longest {
            return Ok(Some(StdinLine::TooLong(bytes.len() as u64 + passed_over)));
        }
        let text =
            |text: &str| if is_first { encoding::without_mark(text).to_owned() } else { text.to_owned() };
        Ok(Some(match std::str::from_utf8(&bytes) {
            Ok(line) => StdinLine::Text(text(line)),
            Err(_) => StdinLine::Replaced(text(&String::from_utf8_lossy(&bytes))),
        }))
    }

    /// Skips the rest of the line, and returns the number of bytes skipped.
    fn pass_over(&mut self) -> io::Result<u64> {
        let mut passed_over = 0;
        loop {
            let read = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let end = read.iter().position(|byte| *byte == b'\n');
            let count = end.unwrap_or(read.len());
            passed_over += count as u64;
            let is_over = end.is_some() || read.is_empty();
            self.input.consume(count + usize::from(end.is_some()));
            if is_over {
                return Ok(passed_over);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: impl BufRead, longest: usize) -> Vec<StdinLine> {
        let mut lines = LineReader { input, longest, is_first: true };
        std::iter::from_fn(|| lines.next().expect("memory can be read")).collect()
    }

    fn text(text: &str) -> StdinLine {
        StdinLine::Text(text.to_owned())
    }

    #[test]
    fn lines_end_as_on_every_system() {
        let input = "\u{feff}one\r\n\n\r\n two\u{feff}\0\r\nlast".as_bytes();
        assert_eq!(all(input, 100), [text("one"), text(""), text(""), text(" two\u{feff}\0"), text("last")]);
        assert_eq!(all(&b""[..], 100), []);
        assert_eq!(all(&b"\n"[..], 100), [text("")]);
    }

    #[test]
    fn a_line_that_cannot_be_sent_costs_no_other() {
        let input =
            [b"ok\n".as_slice(), b"a\xff\xfeb\n", &[b'x'; 13], b"\n", &[b'y'; 10], b"\r\nend"].concat();
        let replaced = StdinLine::Replaced("a\u{fffd}\u{fffd}b".to_owned());
        let expected = [text("ok"), replaced, StdinLine::TooLong(13), text(&"y".repeat(10)), text("end")];
        // For any size of reads.
        for capacity in [1, 3, 7, 1_000] {
            assert_eq!(all(io::BufReader::with_capacity(capacity, &input[..]), 10), expected, "{capacity}");
        }
    }

    #[test]
    fn the_first_line_tells_whether_it_is_utf16_however_it_comes() {
        let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("\u{feff}{text}").encode_utf16().flat_map(order).collect()
        };
        for capacity in [1, 2, 3, 1_000] {
            let start = |input: &[u8]| {
                let mut input = io::BufReader::with_capacity(capacity, input);
                let start = first_bytes(&mut input, 100).expect("memory can be read");
                let rest = all(io::Cursor::new(start.clone()).chain(input), 100);
                (encoding::is_utf16(&start), start.len(), rest)
            };
            for text in ["hi\n", "\u{6e29}\u{5ea6}\n", "\u{6e29}\r\nmore", "\n"] {
                assert!(start(&utf16(text, u16::to_le_bytes)).0, "{text} {capacity}");
                assert!(start(&utf16(text, u16::to_be_bytes)).0, "{text} {capacity}");
            }
            let replaced = StdinLine::Replaced("\u{fffd}\u{fffd} bad".to_owned());
            assert_eq!(start(b"\xff\xfe bad\nok\0\n"), (false, 8, vec![replaced, text("ok\0")]));
            // Without the mark nothing more is read.
            assert_eq!(start(b"\nok"), (false, 1, vec![text(""), text("ok")]));
            assert_eq!(start("\u{feff}one\n".as_bytes()), (false, 1, vec![text("one")]));
            assert_eq!(start(b""), (false, 0, vec![]));
            assert_eq!(start(&[&[0xfe, 0xff], &[b'x'; 500][..]].concat()).1, 101);
        }
    }

    #[test]
    fn a_line_without_an_end_is_passed_over() {
        let endless = io::BufReader::new(io::repeat(b'x').take(50_000_000));
        assert_eq!(all(endless, 1_000), [StdinLine::TooLong(50_000_000)]);
    }
}
