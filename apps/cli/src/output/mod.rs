//! All that is printed: records, one a line, for people or as JSON, written by a thread of its own.
//!
//! A reader that does not read must not hold up the mesh, or Ctrl-C: so lines go through a bounded queue to a thread
//! that waits in their stead. What a service prints while it serves is left out where that queue is full.

mod errors;
mod escape;
mod stream;
mod table;

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub(crate) use errors::report_now;
pub(crate) use escape::{line, message, text};
pub(crate) use table::Table;

use self::stream::{Closed, Stream, StreamWriter};
use crate::failure::Failure;

/// What stands out.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What is good.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is bad.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// People: aligned, coloured on a terminal.
    People,
    /// Programs: one JSON object a line.
    Json,
}

/// Standard output and standard error. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    format: Format,
    out: Stream,
    err: Stream,
}

/// The threads that write, to be waited for at the end.
#[derive(Debug)]
pub(crate) struct Writers {
    out: StreamWriter,
    err: StreamWriter,
}

impl Output {
    /// Starts the threads that write.
    pub(crate) fn start(format: Format) -> (Self, Writers) {
        let notice = match format {
            Format::People => |count| format!("{FAINT}{}{FAINT:#}\n", left_out(count)),
            Format::Json => |count| format!("{{\"event\":\"left_out\",\"lines\":{count}}}\n"),
        };
        let (out, out_writer) = Stream::start(anstream::stdout, notice);
        let (err, err_writer) = Stream::start(anstream::stderr, notice);
        (Self { format, out, err }, Writers { out: out_writer, err: err_writer })
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints a record: what it displays for people, what it serialises to for programs.
    pub(crate) async fn show<R: Serialize + Display>(&self, record: &R) -> Result<(), Failure> {
        self.line(self.written(record)?).await
    }

    /// Prints a record of something that must not wait for a reader. If there is no room for it, it is left out and counted.
    pub(crate) fn offer<R: Serialize + Display>(&self, record: &R) {
        // A record that cannot be written as JSON is as good as left out.
        self.out.offer(|| self.written(record).map(|line| line + "\n").unwrap_or_default());
    }

    /// Prints a line for people; it is escaped and styled already.
    pub(crate) async fn line(&self, mut line: String) -> Result<(), Failure> {
        line.push('\n');
        self.out.line(line).await.map_err(|Closed| Failure::OutputClosed)
    }

    /// Prints a JSON object.
    pub(crate) async fn object<R: Serialize>(&self, record: &R) -> Result<(), Failure> {
        self.line(json(record)?).await
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.out.closed().await;
    }

    fn written<R: Serialize + Display>(&self, record: &R) -> Result<String, Failure> {
        match self.format {
            Format::People => Ok(record.to_string()),
            Format::Json => json(record),
        }
    }
}

impl Writers {
    /// Waits until everything is written.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        let Self { out, err } = self;
        let (out, err) = tokio::join!(out.finish(), err.finish());
        // There is nowhere to say that standard error cannot be written.
        drop(err);
        out.map_err(|error| Failure::Machine(format!("cannot write to standard output: {error}")))
    }
}

fn left_out(count: u64) -> String {
    let lines = if count == 1 { "line was" } else { "lines were" };
    format!("({count} {lines} left out, because the output was not read)")
}

fn json<R: Serialize>(record: &R) -> Result<String, Failure> {
    let text = serde_json::to_string(record)
        .map_err(|error| Failure::Machine(format!("this cannot be written as JSON: {error}")))?;
    Ok(escape::json(&text))
}
