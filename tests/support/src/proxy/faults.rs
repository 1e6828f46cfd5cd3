//! The faults of a connection.

use std::time::Duration;

/// The faults of one connection.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Faults on the way to the target.
    pub up: Fault,
    /// Faults on the way back.
    pub down: Fault,
}

/// The faults of one direction of a connection. None by default.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// The delay of all bytes.
    pub delay: Duration,
    /// The most additional delay, at random. Nothing overtakes anything.
    pub jitter: Duration,
    /// The bandwidth in bytes per second, without a limit if `None`.
    pub bytes_per_second: Option<u64>,
    /// Events that happen once, each after this many bytes, in ascending order.
    pub events: Vec<(u64, Event)>,
}

/// An event of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Both its directions are cut.
    Cut(Cut),
    /// Nothing passes for this long.
    Stall(Duration),
    /// From now on everything is read and nothing is forwarded, not even the end: neither end is notified.
    Swallow,
    /// The lowest bit of the next byte is flipped.
    Corrupt,
}

/// The way in which a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// By RST.
    #[default]
    Reset,
    /// By FIN, in both directions.
    Close,
}

impl Faults {
    /// The same fault in both directions.
    #[must_use]
    pub fn both(fault: Fault) -> Self {
        Self { up: fault.clone(), down: fault }
    }
}

impl Fault {
    /// One event after this many bytes.
    #[must_use]
    pub fn after(bytes: u64, then: Event) -> Self {
        Self { events: vec![(bytes, then)], ..Self::default() }
    }
}
