//! Lines of standard input as items. A line that cannot be sent is left out and reported; the others are published.

use serde_json::json;

use crate::failure::Failure;
use crate::output::ErrorOutput;
use crate::stdin::{self, StdinLine};

/// The number of lines of each kind that are reported one by one. All are counted.
const REPORTED: u64 = 5;

/// The largest number of JSON bytes per byte of the message: `\u0061` is one. Spaces come on top, and are not planned
/// for.
const JSON: usize = 6;

/// The counts of lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LineCounts {
    pub(super) published: u64,
    /// Published lines in which characters were replaced.
    pub(super) replaced: u64,
    /// Lines that were left out.
    pub(super) left_out: u64,
}

/// The reason why a line was not published.
#[derive(Debug)]
pub(super) enum LineError {
    /// This line cannot be sent; others can.
    Line(String),
    /// Nothing can be published any more.
    Everything(Failure),
}

/// Publishes line after line until the end, or until `most` are published. No message is longer than `message_bytes`.
pub(super) async fn publish(
    most: Option<u64>,
    message_bytes: usize,
    errors: &ErrorOutput,
    mut publish: impl AsyncFnMut(&str) -> Result<(), LineError>,
) -> Result<LineCounts, Failure> {
    let longest = message_bytes.saturating_mul(JSON);
    let mut lines = stdin::lines(longest);
    let (mut counts, mut number) = (LineCounts::default(), 0_u64);
    while most.is_none_or(|most| counts.published < most)
        && let Some(line) = lines.next().await
    {
        number += 1;
        let (text, is_replaced) = match line? {
            StdinLine::Text(text) => (text, false),
            StdinLine::Replaced(text) => (text, true),
            StdinLine::TooLong(bytes) => {
                let reason = format!("it has {bytes} bytes; a message has {message_bytes} at most");
                leave_out(&mut counts, number, &reason, errors);
                continue;
            }
        };
        match publish(&text).await {
            Ok(()) => {
                counts.published += 1;
                if is_replaced {
                    replaced(&mut counts, number, errors);
                }
            }
            Err(LineError::Line(reason)) => leave_out(&mut counts, number, &reason, errors),
            Err(LineError::Everything(failure)) => return Err(failure),
        }
    }
    Ok(counts)
}

fn replaced(counts: &mut LineCounts, number: u64, errors: &ErrorOutput) {
    counts.replaced += 1;
    if counts.replaced <= REPORTED {
        let remark = format!("line {number} is not UTF-8: invalid bytes were replaced by \u{fffd}");
        errors.note(&remark, &json!({ "line": number, "replaced": "it is not UTF-8" }));
    }
}

fn leave_out(counts: &mut LineCounts, number: u64, reason: &str, errors: &ErrorOutput) {
    counts.left_out += 1;
    if counts.left_out <= REPORTED {
        let more = if counts.left_out == REPORTED { "; further ones are only counted" } else { "" };
        errors.note(
            &format!("line {number} is left out: {reason}{more}"),
            &json!({ "line": number, "left_out": reason }),
        );
    }
}
