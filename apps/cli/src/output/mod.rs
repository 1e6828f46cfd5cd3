//! The output: records for people or as JSON, one per line, written by a separate thread.
//!
//! A reader that does not read must not block the mesh, or Ctrl-C: lines go through a bounded queue to a thread that
//! waits for the reader. A service leaves out records while that queue is full.

mod errors;
mod escape;
mod format;
mod stream;
mod style;
mod table;

use std::fmt::Display;
use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

pub(crate) use errors::{ErrorOutput, report_now};
pub(crate) use escape::{line, message, text};
pub(crate) use format::Format;
pub(crate) use style::{BAD, FAINT, GOOD, STRONG};
pub(crate) use table::Table;

use self::stream::{Closed, LostTerminal, Stream, StreamWriter};
use crate::failure::Failure;

/// Standard output and standard error. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    format: Format,
    out: Stream,
    /// Standard error.
    pub(crate) errors: ErrorOutput,
}

/// The writing threads, to be waited for at the end.
#[derive(Debug)]
pub(crate) struct Writers {
    out: StreamWriter,
    errors: StreamWriter,
}

/// The time in which the last lines are written, if their reader does not read.
const FINAL_WRITES: Duration = Duration::from_millis(200);

/// The effect of closing the terminal while the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClosedTerminal {
    /// The program ends.
    Ends,
    /// The program goes on without it, as under `nohup`.
    IsIgnored,
}

impl Output {
    /// Starts the writing threads.
    pub(crate) fn start(format: Format, closed_terminal: ClosedTerminal) -> (Self, Writers) {
        let notice = match format {
            Format::Human => |count| format!("{FAINT}{}{FAINT:#}\n", left_out(count)),
            Format::Json => |count| format!("{{\"event\":\"left_out\",\"lines\":{count}}}\n"),
        };
        let lost = match closed_terminal {
            ClosedTerminal::Ends => LostTerminal::Fails,
            ClosedTerminal::IsIgnored => LostTerminal::LeavesOut,
        };
        let (out, out_writer) = Stream::start(anstream::stdout, notice, lost);
        let (err, err_writer) = Stream::start(anstream::stderr, notice, lost);
        (
            Self { format, out, errors: ErrorOutput::new(format, err) },
            Writers { out: out_writer, errors: err_writer },
        )
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints a record: its `Display` for people, its JSON for programs.
    pub(crate) async fn show<R: Serialize + Display>(&self, record: &R) -> Result<(), Failure> {
        self.line(self.written(record)?).await
    }

    /// Prints a record without waiting. If there is no room for it, it is left out and counted.
    pub(crate) fn offer<R: Serialize + Display>(&self, record: &R) {
        // A record that cannot be written as JSON is as good as left out.
        self.out.offer(|| self.written(record).map(|line| line + "\n").unwrap_or_default());
    }

    /// Prints a line for people, already escaped and styled.
    pub(crate) async fn line(&self, mut line: String) -> Result<(), Failure> {
        line.push('\n');
        self.out.line(line).await.map_err(|Closed| Failure::OutputClosed)
    }

    /// Prints a JSON object.
    pub(crate) async fn object<R: Serialize>(&self, record: &R) -> Result<(), Failure> {
        self.line(json(record)?).await
    }

    /// Waits until the reader has closed the output.
    pub(crate) async fn closed(&self) {
        self.out.closed().await;
    }

    fn written<R: Serialize + Display>(&self, record: &R) -> Result<String, Failure> {
        match self.format {
            Format::Human => Ok(record.to_string()),
            Format::Json => json(record),
        }
    }
}

impl Writers {
    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`Failure::Local`]: standard output cannot be written. There is nowhere to report that of standard error.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        let (out, _) = tokio::join!(self.out.finish(), self.errors.finish());
        out.map_err(|error| unwritable(&error))
    }

    /// Waits for a moment until everything is written. Records not read by then are counted on standard error.
    ///
    /// # Errors
    /// The same as those of [`finish`](Self::finish).
    pub(crate) async fn finish_output_briefly(&mut self, out: &Output) -> Result<(), Failure> {
        let written = match timeout(FINAL_WRITES, self.out.finish()).await {
            Ok(written) => written.map_err(|error| unwritable(&error)),
            Err(_) => {
                out.errors.unread(self.out.unwritten());
                Ok(())
            }
        };
        self.finish_errors_briefly().await;
        written
    }

    /// Waits for a moment until everything is written to standard error.
    pub(crate) async fn finish_errors_briefly(&mut self) {
        // There is nowhere to report that it cannot be.
        let _ = timeout(FINAL_WRITES, self.errors.finish()).await;
    }
}

/// Returns the failure to write to standard output.
pub(crate) fn unwritable(error: &io::Error) -> Failure {
    Failure::Local(format!("cannot write to standard output: {error}"))
}

fn left_out(count: u64) -> String {
    let lines = if count == 1 { "line was" } else { "lines were" };
    format!("({count} {lines} left out, because the output was not read)")
}

fn json<R: Serialize>(record: &R) -> Result<String, Failure> {
    let text = serde_json::to_string(record)
        .map_err(|error| Failure::Local(format!("this cannot be written as JSON: {error}")))?;
    Ok(escape::json(&text))
}
