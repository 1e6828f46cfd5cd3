//! The output of the demo: a heading for each scene, and lines with time, process and event.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{FAINT, Output, STRONG, line};

/// The transcript of one run of the demo.
pub(crate) struct Transcript<'a> {
    out: &'a Output,
    started: Instant,
}

impl<'a> Transcript<'a> {
    pub(crate) fn begin(out: &'a Output) -> Self {
        Self { out, started: Instant::now() }
    }

    /// Returns the seconds since the beginning.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Begins a scene.
    pub(crate) async fn scene(&self, heading: &str) -> Result<(), Failure> {
        self.out.show(&Scene { scene: heading.to_owned() }).await
    }

    /// Prints a note.
    pub(crate) async fn note(&self, note: &str) -> Result<(), Failure> {
        self.out.show(&Note { note: note.to_owned() }).await
    }

    /// Prints an event of the process `who`.
    pub(crate) async fn event(&self, who: &'static str, what: impl Into<String>) -> Result<(), Failure> {
        self.out.show(&TranscriptLine { seconds: self.seconds(), who, what: what.into(), ms: None }).await
    }

    /// Prints an event of the process `who` with its duration in milliseconds.
    pub(crate) async fn timed_event(
        &self,
        who: &'static str,
        what: impl Into<String>,
        ms: f64,
    ) -> Result<(), Failure> {
        self.out.show(&TranscriptLine { seconds: self.seconds(), who, what: what.into(), ms: Some(ms) }).await
    }
}

#[derive(Serialize)]
struct Scene {
    scene: String,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{STRONG}{}{STRONG:#}", line(&self.scene))
    }
}

#[derive(Serialize)]
struct Note {
    note: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", line(&self.note))
    }
}

#[derive(Serialize)]
struct TranscriptLine {
    seconds: f64,
    who: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
}

impl fmt::Display for TranscriptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, who, what, ms } = self;
        let what = line(what).to_string();
        write!(f, "{FAINT}{seconds:>8.3} s{FAINT:#}  {who:<8} ")?;
        match ms {
            None => f.write_str(&what),
            Some(ms) => write!(f, "{what:<64} {STRONG}{:>9}{STRONG:#}", shown(*ms)),
        }
    }
}

/// Formats milliseconds to the digits that are significant.
fn shown(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

/// Formats a number with commas: `12,345`.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let numbers = [0.4, 999.0, 1_000.0, 1_234_567.0].map(thousands);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.1234, 12.34, 123.4].map(shown), ["0.12 ms", "12.3 ms", "123 ms"]);
    }
}
