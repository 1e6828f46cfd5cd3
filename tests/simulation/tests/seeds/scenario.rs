//! The scenario of one simulation, drawn from its seed.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;
use meshzero_simulation::Ends;

/// The programs and faults of one simulation.
#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub hosts: Vec<Program>,
    /// True if no link ends: no fault lasts so long that one would be given up.
    pub is_gentle: bool,
    pub faults: Vec<Fault>,
    /// The most bytes of one segment.
    pub most_in_segment: usize,
    /// The most segments in flight on one connection.
    pub pieces: usize,
    pub latency: Duration,
    /// The time at which all faults are undone.
    pub healed: Duration,
}

/// The program of a host.
#[derive(Debug, Clone)]
pub struct Program {
    /// True if it offers services.
    pub serves: bool,
    /// The interval of its news, if it serves.
    pub publishes_every: Duration,
    /// The targets of its calls.
    pub calls: Vec<Target>,
    /// The hosts whose news it subscribes to, each with a policy.
    pub subscriptions: Vec<(usize, Policy)>,
    /// The longest pause between two messages.
    pub pause: Duration,
}

/// The target of a call.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The instance on a host, by its address.
    At(usize),
    /// Any instance of the common name.
    Named,
}

/// The policy of a subscription.
#[derive(Debug, Clone, Copy)]
pub enum Policy {
    All,
    Keep(u32),
    Latest,
    Last(u32),
    /// At most this many items a second.
    Rate(u32),
    /// The publisher waits for this subscriber.
    Wait(u32),
}

/// A fault that is undone after a while.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub at: Duration,
    pub lasts: Duration,
    pub what: FaultKind,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy)]
pub enum FaultKind {
    /// Nothing passes between two hosts.
    Hold(usize, usize),
    /// Nothing passes between one host and all others.
    Isolate(usize),
    /// The connections between two hosts are reset.
    Reset(usize, usize, Ends),
    /// The latency between two hosts grows.
    Slow(usize, usize, Duration),
    /// The program of a host dies, and another is started afterwards.
    Kill(usize),
    /// A host loses its power, and no other host is notified.
    PowerLoss(usize),
}

impl Scenario {
    pub fn draw(seed: u64) -> Self {
        let dice = &mut Rng::with_seed(seed);
        let count = dice.usize(2..=4);
        let servers = dice.usize(1..=count.min(2));
        let hosts = (0..count).map(|host| Program::draw(host, servers, count, dice)).collect();
        let is_gentle = dice.u8(..3) == 0;
        let end = millis(dice, 4_000..=9_000);
        let mut faults: Vec<Fault> =
            (0..dice.usize(1..=8)).map(|_| Fault::draw(count, is_gentle, end, dice)).collect();
        faults.sort_by_key(|fault| fault.at);
        let healed = faults.iter().map(|fault| fault.at + fault.lasts).max().unwrap_or(end);
        Self {
            seed,
            hosts,
            is_gentle,
            faults,
            most_in_segment: 1 << dice.u8(8..=16),
            pieces: 1 << dice.u8(6..=9),
            latency: millis(dice, 1..=30),
            healed,
        }
    }
}

impl Program {
    fn draw(host: usize, servers: usize, count: usize, dice: &mut Rng) -> Self {
        let serves = host < servers;
        let is_idle = serves && count > servers && dice.bool();
        let (mut calls, mut subscriptions) = (Vec::new(), Vec::new());
        if !is_idle {
            for _ in 0..dice.usize(1..=2) {
                calls.push(match dice.bool() {
                    true => Target::At(dice.usize(..servers)),
                    false => Target::Named,
                });
            }
            for _ in 0..dice.usize(..=2) {
                let hearing = match dice.u8(..6) {
                    0 => Policy::All,
                    1 => Policy::Keep(dice.u32(1..=300)),
                    2 => Policy::Last(dice.u32(2..=20)),
                    3 => Policy::Rate(dice.u32(1..=100)),
                    4 => Policy::Wait(dice.u32(1..=300)),
                    _ => Policy::Latest,
                };
                subscriptions.push((dice.usize(..servers), hearing));
            }
        }
        let publishes_every = millis(dice, 5..=80);
        Self { serves, publishes_every, calls, subscriptions, pause: millis(dice, 5..=60) }
    }
}

impl Fault {
    fn draw(count: usize, is_gentle: bool, end: Duration, dice: &mut Rng) -> Self {
        let (first, second) = (dice.usize(..count), dice.usize(..count - 1));
        let second = if second >= first { second + 1 } else { second };
        let kinds = if is_gentle { 4 } else { 6 };
        let what = match dice.u8(..kinds) {
            0 => FaultKind::Hold(first, second),
            1 => FaultKind::Reset(first, second, if dice.bool() { Ends::First } else { Ends::Both }),
            2 => FaultKind::Slow(first, second, millis(dice, 1..=400)),
            3 if is_gentle => FaultKind::Reset(first, second, Ends::Both),
            3 => FaultKind::Isolate(first),
            4 => FaultKind::Kill(first),
            _ => FaultKind::PowerLoss(first),
        };
        let longest = if is_gentle { 2_500 } else { 9_000 };
        Self {
            at: Duration::from_millis(dice.u64(500..end.as_millis() as u64)),
            lasts: millis(dice, 20..=longest),
            what,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, lasts, what } = self;
        write!(f, "{:.3} for {:.3}: {what:?}", at.as_secs_f64(), lasts.as_secs_f64())
    }
}

/// The address of a host.
pub fn ip(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host as u8 + 1)
}

fn millis(dice: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(dice.u64(range))
}
