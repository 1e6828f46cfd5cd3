//! What can be done to a connection.

use std::time::Duration;

/// What is done to one connection.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// To what goes to the target.
    pub up: Fault,
    /// To what comes back.
    pub down: Fault,
}

/// What is done to one direction of a connection. By itself nothing.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// How much later everything arrives.
    pub delay: Duration,
    /// How much later still, at most and at random. Nothing overtakes anything.
    pub jitter: Duration,
    /// How many bytes pass in a second, where they are counted.
    pub bytes_per_second: Option<u64>,
    /// What happens once, and after how many bytes, in ascending order.
    pub then: Vec<(u64, Then)>,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Both its directions are cut.
    Cut(Cut),
    /// Nothing passes for so long.
    Stall(Duration),
    /// From now on everything is taken and nothing is handed on, not even the end: neither end learns of it.
    Swallow,
    /// The lowest bit of the next byte is flipped.
    Corrupt,
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// By RST.
    #[default]
    Reset,
    /// By FIN, in both directions.
    Close,
}

impl Faults {
    /// The same both ways.
    #[must_use]
    pub fn both(fault: Fault) -> Self {
        Self { up: fault.clone(), down: fault }
    }
}

impl Fault {
    /// One thing that happens after so many bytes.
    #[must_use]
    pub fn after(bytes: u64, then: Then) -> Self {
        Self { then: vec![(bytes, then)], ..Self::default() }
    }
}
