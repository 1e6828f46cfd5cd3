//! The cases: the measurements and their parameters.

use peers_common::Load;

/// A measurement of every contestant that supports it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    /// The bytes of a message.
    pub(crate) size: usize,
    /// Calls in flight at once.
    pub(crate) in_flight: usize,
    pub(crate) cores: Cores,
    /// Subscribers, or services of the server, or connections: the other two are 1.
    pub(crate) spread: Spread,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Both processes on one core.
    One,
    /// Both processes on any core.
    Free,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    None,
    Subscribers(usize),
    Services(usize),
    Links(usize),
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Every case, in the order in which they are run and shown.
pub(crate) fn all() -> Vec<Case> {
    use Cores::{Free, One};
    use Load::{Calls, FanOut, OneWay, RoundTrip};
    let case =
        |name, load, size, cores| Case { name, load, size, in_flight: 64, cores, spread: Spread::None };
    let spread = |name, load, spread| Case { spread, ..case(name, load, 64, Free) };
    vec![
        case("rtt-pinned", RoundTrip, 64, One),
        case("rtt-free", RoundTrip, 64, Free),
        case("calls64-pinned", Calls, 64, One),
        case("calls64-free", Calls, 64, Free),
        case("oneway8", OneWay, 8, Free),
        case("oneway64", OneWay, 64, Free),
        case("oneway1k", OneWay, KIB, Free),
        case("oneway64k", OneWay, 64 * KIB, Free),
        case("oneway1m", OneWay, MIB, Free),
        spread("fanout8", FanOut, Spread::Subscribers(8)),
        Case { in_flight: 1, ..case("inproc", Calls, 64, Free) },
        spread("services1", OneWay, Spread::Services(1)),
        spread("services10", OneWay, Spread::Services(10)),
        spread("services100", OneWay, Spread::Services(100)),
        spread("services1000", OneWay, Spread::Services(1_000)),
        spread("links1", OneWay, Spread::Links(1)),
        spread("links10", OneWay, Spread::Links(10)),
        spread("links100", OneWay, Spread::Links(100)),
    ]
}

impl Case {
    pub(crate) fn subscribers(&self) -> usize {
        if let Spread::Subscribers(count) = self.spread { count } else { 1 }
    }

    pub(crate) fn services(&self) -> usize {
        if let Spread::Services(count) = self.spread { count } else { 1 }
    }

    /// Returns the minimum time of the load before the window, in milliseconds: a node repeats its announcement of new services
    /// after a second (RFC 6762, section 8.3), which is not a cost of messages.
    pub(crate) fn settling_ms(&self) -> u64 {
        if let Spread::Services(_) = self.spread { 3_000 } else { 0 }
    }

    pub(crate) fn links(&self) -> usize {
        if let Spread::Links(count) = self.spread { count } else { 1 }
    }
}
