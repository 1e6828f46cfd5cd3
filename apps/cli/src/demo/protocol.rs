//! What the play tells a process to do, and what the process tells of it: JSON objects on its standard streams.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::messages::{Move, Reading};
use crate::failure::Failure;
use crate::output::Output;
use crate::render;
use crate::stdin::{self, Line, StdinLines};

/// What a process is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum DemoCommand {
    /// Send this message.
    Send(Move),
    /// Measure how many calls or news a second go through.
    Measure,
}

/// What a process tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum DemoEvent {
    /// It advertises a service.
    Advertises { service: String, address: String },
    /// It found a service.
    Found { service: String, address: String, ms: f64 },
    /// It sent a message, and this came of it.
    Replied { message: String, outcome: CallOutcome, ms: f64 },
    /// It heard an item of news.
    Heard { topic: String, reading: Reading },
    /// It was told that a service is there.
    Up { service: String, address: String },
    /// It was told that a service is gone.
    Down { service: String, why: String },
    /// So many calls a second: one after another, and with so many under way.
    Calls { one_by_one: f64, together: f64, under_way: usize },
    /// So many items of news a second came, and so many were missed.
    News { a_second: f64, missed: u64 },
    /// It cannot go on.
    Failed { why: String },
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum CallOutcome {
    /// The service did it, and says how things stand.
    Done(String),
    /// The service replied that it will not.
    Declined(String),
    /// There was no reply.
    Failed(String),
}

/// The longest cue, in bytes.
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

    /// Waits for what to do next; `None` when the play is over, or whoever gave it is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<DemoCommand>, Failure> {
        let line = match self.cues.next().await {
            Some(line) => line?,
            None => return Ok(None),
        };
        let (Line::Text(line) | Line::Replaced(line)) = line else {
            return Err(Failure::Usage("this is no cue of the demo: it is too long".to_owned()));
        };
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| Failure::Usage(format!("this is no cue of the demo: {error}")))
    }

    /// Tells something.
    pub(crate) async fn tell(&self, told: DemoEvent) -> Result<(), Failure> {
        self.out.object(&told).await
    }
}

/// Milliseconds since then, as they are told.
pub(crate) fn millis(started: Instant) -> f64 {
    render::millis(started.elapsed())
}
