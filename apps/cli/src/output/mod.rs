//! All that is printed: records, one a line, for people or as JSON, written by a thread of its own.
//!
//! A reader that does not read must not hold up the mesh, or Ctrl-C: so lines go through a bounded queue to a thread
//! that waits in their stead.

mod escape;
mod table;

use std::fmt::Display;
use std::io::{self, Write};
use std::thread;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use meshzero::diagnosis::Unanswering;
use meshzero::trace::TraceContext;
use meshzero::{Abandoned, AwaitedInterface};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

pub(crate) use escape::{line, message, text};
pub(crate) use table::Table;

use crate::failure::Failure;

/// What stands out.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What is good.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is bad.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Lines that wait for a slow reader before those who print them wait.
const QUEUE: usize = 1_024;

/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// People: aligned, coloured on a terminal.
    People,
    /// Programs: one JSON object a line.
    Json,
}

/// Standard output. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    format: Format,
    lines: mpsc::Sender<String>,
}

/// The thread that writes, to be waited for at the end.
#[derive(Debug)]
pub(crate) struct Writer {
    finished: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// Starts the thread that writes.
    pub(crate) fn start(format: Format) -> (Self, Writer) {
        let (lines, waiting) = mpsc::channel(QUEUE);
        let (finish, finished) = oneshot::channel();
        thread::spawn(move || {
            let stdout = io::stdout();
            let result = write_all(waiting, &mut AutoStream::auto(stdout.lock()));
            // When the program does not wait for the end, it does not ask how it went.
            let _ = finish.send(result);
        });
        (Self { format, lines }, Writer { finished })
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints a record: what it displays for people, what it serialises to for programs.
    pub(crate) async fn show<R: Serialize + Display>(&self, record: &R) -> Result<(), Failure> {
        match self.format {
            Format::People => self.line(record.to_string()).await,
            Format::Json => self.object(record).await,
        }
    }

    /// Prints a line for people; it is escaped and styled already.
    pub(crate) async fn line(&self, mut line: String) -> Result<(), Failure> {
        line.push('\n');
        self.lines.send(line).await.map_err(|_| Failure::OutputClosed)
    }

    /// Prints a JSON object.
    pub(crate) async fn object<R: Serialize>(&self, record: &R) -> Result<(), Failure> {
        self.line(json(record)?).await
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn closed(&self) {
        self.lines.closed().await;
    }
}

impl Writer {
    /// Waits until everything is written. All `Output`s must have been dropped.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        match self.finished.await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Machine(format!("cannot write to standard output: {error}")))
            }
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::Machine("the thread that writes has ended".to_owned())),
        }
    }
}

/// Says on standard error why the program failed.
pub(crate) fn report(failure: &Failure, format: Format) {
    let line = match format {
        Format::People => format!("{BAD}mz:{BAD:#} {}", text(&failure.to_string())),
        Format::Json => {
            let mut object = serde_json::json!({ "error": failure.to_string(), "exit": failure.code() });
            if let Failure::Absent(absence) = failure {
                for (name, value) in absence.fields() {
                    object[name] = value;
                }
            }
            escape::json(&object.to_string())
        }
    };
    // There is nowhere else to say it.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Says on standard error what a service of this program did not finish.
pub(crate) fn abandon(abandoned: &Abandoned, format: Format) {
    let line = match format {
        Format::People => {
            format!("{BAD}mz:{BAD:#} not finished in time: {}", text(&abandoned.to_string()))
        }
        Format::Json => {
            let Abandoned { service, messages, others, connections, .. } = abandoned;
            let object = serde_json::json!({
                "abandoned": service, "messages": messages, "others": others, "connections": connections,
            });
            escape::json(&object.to_string())
        }
    };
    // As above.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Says on standard error that an interface cannot be used yet.
pub(crate) fn awaits(interface: &AwaitedInterface, format: Format) {
    match format {
        Format::People => remark(&interface.to_string()),
        Format::Json => {
            let object = serde_json::json!({ "waiting_for": interface.chosen, "why": interface.to_string() });
            // As above.
            let _ = writeln!(anstream::stderr(), "{}", escape::json(&object.to_string()));
        }
    }
}

/// Says on standard error that a service does not answer, and why.
pub(crate) fn unanswering(unanswering: &Unanswering, format: Format) {
    let Unanswering { service, finding, .. } = unanswering;
    match format {
        Format::People => remark(&format!("does not answer: {finding}")),
        Format::Json => {
            let object = serde_json::json!({
                "unanswering": service, "code": finding.code, "sentence": finding.sentence, "remedy": finding.remedy,
            });
            // As above.
            let _ = writeln!(anstream::stderr(), "{}", escape::json(&object.to_string()));
        }
    }
}

/// Says on standard error which trace a message is part of.
pub(crate) fn trace(context: &TraceContext, format: Format) {
    let (trace_id, traceparent) = (context.trace_id().to_string(), context.to_string());
    match format {
        Format::People => remark(&format!("trace {trace_id}")),
        Format::Json => {
            let object = serde_json::json!({ "trace_id": trace_id, "traceparent": traceparent });
            // As above.
            let _ = writeln!(anstream::stderr(), "{}", escape::json(&object.to_string()));
        }
    }
}

/// Says something on standard error that is beside the output proper.
pub(crate) fn remark(remark: &str) {
    // As above.
    let _ = writeln!(anstream::stderr(), "{FAINT}{}{FAINT:#}", text(remark));
}

fn json<R: Serialize>(record: &R) -> Result<String, Failure> {
    let text = serde_json::to_string(record)
        .map_err(|error| Failure::Machine(format!("this cannot be written as JSON: {error}")))?;
    Ok(escape::json(&text))
}

fn write_all(mut waiting: mpsc::Receiver<String>, out: &mut impl Write) -> io::Result<()> {
    while let Some(mut lines) = waiting.blocking_recv() {
        while lines.len() < BATCH
            && let Ok(line) = waiting.try_recv()
        {
            lines.push_str(&line);
        }
        out.write_all(lines.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}
