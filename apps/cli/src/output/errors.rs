//! What is said on standard error: why a command failed, and what is beside the output proper.

use std::io::{self, Write};

use meshzero::diagnosis::Unanswering;
use meshzero::trace::TraceContext;
use meshzero::{Abandoned, AwaitedInterface};
use serde_json::{Value as Json, json};

use super::{BAD, FAINT, Format, Output, escape, text};
use crate::failure::Failure;

/// Standard error as the log writes to it, an event at a time.
#[derive(Debug, Clone)]
pub(crate) struct ErrorLines(Output);

impl Write for ErrorLines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.err.offer(|| String::from_utf8_lossy(event).into_owned());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Where the log goes.
    pub(crate) fn error_lines(&self) -> ErrorLines {
        ErrorLines(self.clone())
    }

    /// Says why the program failed.
    pub(crate) fn report(&self, failure: &Failure) {
        self.say(written(failure, self.format));
    }

    /// Says what a service of this program did not finish.
    pub(crate) fn abandon(&self, abandoned: &Abandoned) {
        let Abandoned { service, messages, others, connections, .. } = abandoned;
        match self.format {
            Format::People => {
                self.say(format!("{BAD}mz:{BAD:#} not finished in time: {}", text(&abandoned.to_string())));
            }
            Format::Json => self.say_object(&json!({
                "abandoned": service, "messages": messages, "others": others, "connections": connections,
            })),
        }
    }

    /// Says that an interface cannot be used yet.
    pub(crate) fn awaits(&self, interface: &AwaitedInterface) {
        match self.format {
            Format::People => self.remark(&interface.to_string()),
            Format::Json => {
                self.say_object(&json!({ "waiting_for": interface.chosen, "why": interface.to_string() }));
            }
        }
    }

    /// Says that a service does not answer, and why.
    pub(crate) fn unanswering(&self, unanswering: &Unanswering) {
        let Unanswering { service, finding, .. } = unanswering;
        match self.format {
            Format::People => self.remark(&format!("does not answer: {finding}")),
            Format::Json => self.say_object(&json!({
                "unanswering": service, "code": finding.code, "sentence": finding.sentence, "remedy": finding.remedy,
            })),
        }
    }

    /// Says which trace a message is part of.
    pub(crate) fn trace(&self, context: &TraceContext) {
        let (trace_id, traceparent) = (context.trace_id().to_string(), context.to_string());
        match self.format {
            Format::People => self.remark(&format!("trace {trace_id}")),
            Format::Json => self.say_object(&json!({ "trace_id": trace_id, "traceparent": traceparent })),
        }
    }

    /// Says something that is beside the output proper, to people.
    pub(crate) fn remark(&self, remark: &str) {
        self.say(format!("{FAINT}{}{FAINT:#}", text(remark)));
    }

    /// Says it to people as a remark, and to programs as an object.
    pub(crate) fn note(&self, remark: &str, object: &Json) {
        match self.format {
            Format::People => self.remark(remark),
            Format::Json => self.say_object(object),
        }
    }

    fn say_object(&self, object: &Json) {
        self.say(escape::json(&object.to_string()));
    }

    fn say(&self, mut line: String) {
        line.push('\n');
        self.err.offer(|| line);
    }
}

/// Says on standard error, at once, why a command line cannot be read.
pub(crate) fn report_now(failure: &Failure) {
    // There is nowhere else to say it.
    let _ = writeln!(anstream::stderr(), "{}", written(failure, Format::People));
}

fn written(failure: &Failure, format: Format) -> String {
    match format {
        Format::People => format!("{BAD}mz:{BAD:#} {}", text(&failure.to_string())),
        Format::Json => {
            let mut object = json!({ "error": failure.to_string(), "exit": failure.code() });
            if let Failure::Absent(absence) = failure {
                for (name, value) in absence.fields() {
                    object[name] = value;
                }
            }
            escape::json(&object.to_string())
        }
    }
}
