//! Standard error: failures, and everything beside the output proper.

use std::io::{self, Write};

use meshzero::diagnosis::{HiddenServices, UnreachableEndpoint};
use meshzero::trace::TraceContext;
use meshzero::{DrainReport, PendingInterface};
use serde_json::{Value as Json, json};

use super::escape::{self, text};
use super::format::Format;
use super::stream::Stream;
use super::style::{BAD, FAINT};
use crate::failure::Failure;

/// A writer of the log to standard error, one event at a time.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter(Stream);

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.offer(|| String::from_utf8_lossy(event).into_owned());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error. Cheap to clone; it never blocks.
#[derive(Debug, Clone)]
pub(crate) struct ErrorOutput {
    format: Format,
    stream: Stream,
}

impl ErrorOutput {
    pub(super) fn new(format: Format, stream: Stream) -> Self {
        Self { format, stream }
    }

    /// Returns a writer for the log.
    pub(crate) fn log(&self) -> LogWriter {
        LogWriter(self.stream.clone())
    }

    /// Reports the failure of the program.
    pub(crate) fn report(&self, failure: &Failure) {
        self.print(written(failure, self.format));
    }

    /// Reports a service of this program that did not finish everything.
    pub(crate) fn report_unfinished(&self, abandoned: &DrainReport) {
        let DrainReport { service, messages, others, connections, .. } = abandoned;
        match self.format {
            Format::Human => {
                self.print(format!("{BAD}mz:{BAD:#} not finished in time: {}", text(&abandoned.to_string())));
            }
            Format::Json => self.print_object(&json!({
                "abandoned": service, "messages": messages, "others": others, "connections": connections,
            })),
        }
    }

    /// Reports that an interface cannot be used yet.
    pub(crate) fn pending_interface(&self, interface: &PendingInterface) {
        match self.format {
            Format::Human => self.remark(&interface.to_string()),
            Format::Json => {
                self.print_object(
                    &json!({ "waiting_for": interface.chosen, "reason": interface.to_string() }),
                );
            }
        }
    }

    /// Reports that a service does not answer, and why.
    pub(crate) fn unreachable(&self, unreachable: &UnreachableEndpoint) {
        let UnreachableEndpoint { service, finding, .. } = unreachable;
        match self.format {
            Format::Human => self.remark(&format!("does not answer: {finding}")),
            Format::Json => self.print_object(&json!({
                "unreachable": service, "code": finding.code, "sentence": finding.sentence, "remedy": finding.remedy,
            })),
        }
    }

    /// Reports how many services a limit keeps from being listed.
    pub(crate) fn hidden(&self, hidden: &HiddenServices) {
        let HiddenServices { services, finding, .. } = hidden;
        self.note(
            &format!("not listed: {finding}"),
            &json!({
                "hidden": services, "code": finding.code, "sentence": finding.sentence, "remedy": finding.remedy,
            }),
        );
    }

    /// Reports hidden services as [`hidden`](Self::hidden) does, and also that there are none any more.
    pub(crate) fn hidden_now(&self, hidden: Option<&HiddenServices>) {
        match hidden {
            Some(hidden) => self.hidden(hidden),
            None => self.note("all services are listed now", &json!({ "hidden": 0 })),
        }
    }

    /// Prints the trace of a message.
    pub(crate) fn trace(&self, context: &TraceContext) {
        let (trace_id, traceparent) = (context.trace_id().to_string(), context.to_string());
        match self.format {
            Format::Human => self.remark(&format!("trace {trace_id}")),
            Format::Json => self.print_object(&json!({ "trace_id": trace_id, "traceparent": traceparent })),
        }
    }

    /// Reports that the last records were not read.
    pub(crate) fn unread(&self, lines: u64) {
        match self.format {
            Format::Human => {
                let lines = if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") };
                self.remark(&format!("the last {lines} not printed, because the output was not read"));
            }
            Format::Json => self.print_object(&json!({ "event": "unread", "lines": lines })),
        }
    }

    /// Prints a remark for people.
    pub(crate) fn remark(&self, remark: &str) {
        self.print(format!("{FAINT}{}{FAINT:#}", text(remark)));
    }

    /// Prints a remark for people, or an object for programs.
    pub(crate) fn note(&self, remark: &str, object: &Json) {
        match self.format {
            Format::Human => self.remark(remark),
            Format::Json => self.print_object(object),
        }
    }

    fn print_object(&self, object: &Json) {
        self.print(escape::json(&object.to_string()));
    }

    fn print(&self, mut line: String) {
        line.push('\n');
        self.stream.offer(|| line);
    }
}

/// Reports on standard error, at once, that a command line cannot be read: nothing else has been started yet.
pub(crate) fn report_now(failure: &Failure) {
    // There is nowhere else to report it.
    let _ = writeln!(anstream::stderr(), "{}", written(failure, Format::Human));
}

fn written(failure: &Failure, format: Format) -> String {
    match format {
        Format::Human => format!("{BAD}mz:{BAD:#} {}", text(&failure.to_string())),
        Format::Json => {
            let mut object = json!({ "error": failure.to_string(), "exit": failure.code() });
            if let Failure::NotFound(absence) = failure {
                for (name, value) in absence.fields() {
                    object[name] = value;
                }
            }
            escape::json(&object.to_string())
        }
    }
}
