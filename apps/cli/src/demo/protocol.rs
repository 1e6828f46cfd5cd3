//! The protocol between the demo and its processes: commands and events as JSON objects on standard streams.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::messages::{Move, Reading};
use crate::failure::Failure;
use crate::output::Output;
use crate::render;
use crate::stdin::{self, StdinLine, StdinLines};

/// A command to a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum DemoCommand {
    /// Send this message.
    Send(Move),
    /// Measure the rate of calls or news.
    Measure,
}

/// An event of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum DemoEvent {
    /// It advertises a service.
    Advertises { service: String, address: String },
    /// It found a service.
    Found { service: String, address: String, ms: f64 },
    /// It sent a message, with this outcome.
    Replied { message: String, outcome: CallOutcome, ms: f64 },
    /// It received an item of news.
    Heard { topic: String, reading: Reading },
    /// A service has appeared.
    Up { service: String, address: String },
    /// A service has gone.
    Down { service: String, reason: String },
    /// The rates of calls per second: one after another, and `under_way` at a time.
    Calls { one_by_one: f64, together: f64, under_way: usize },
    /// The rate of news per second, and the number of missed items.
    News { a_second: f64, missed: u64 },
    /// It has failed.
    Failed { reason: String },
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum CallOutcome {
    /// The service did it, and this is its state.
    Done(String),
    /// The service refused it.
    Declined(String),
    /// There was no reply.
    Failed(String),
}

/// The longest command, in bytes.
const CUE: usize = 64 << 10;

/// The streams of a process of the demo.
pub(crate) struct DemoChannel {
    cues: StdinLines,
    out: Output,
}

impl DemoChannel {
    pub(crate) fn new(out: Output) -> Self {
        Self { cues: stdin::lines(CUE), out }
    }

    /// Waits for the next command; `None` when the demo is over.
    pub(crate) async fn next(&mut self) -> Result<Option<DemoCommand>, Failure> {
        let line = match self.cues.next().await {
            Some(line) => line?,
            None => return Ok(None),
        };
        let (StdinLine::Text(line) | StdinLine::Replaced(line)) = line else {
            return Err(Failure::Usage("not a command of the demo: it is too long".to_owned()));
        };
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| Failure::Usage(format!("not a command of the demo: {error}")))
    }

    /// Sends an event.
    pub(crate) async fn send_event(&self, told: DemoEvent) -> Result<(), Failure> {
        self.out.object(&told).await
    }
}

/// Returns the milliseconds since then.
pub(crate) fn millis(started: Instant) -> f64 {
    render::millis(started.elapsed())
}
