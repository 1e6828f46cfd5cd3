//! The mesh's delivery promises, checked from outside, whatever the transport.
//!
//! The checker is given the records of senders, services and subscribers, in any order between them, and reports broken promises:
//! acknowledged ⊆ executed at most once; order per sender; gap counts exact; every request ended in time with exactly one
//! outcome; messages that were *not sent* were never executed. It reads no clock, so that a simulated network can use it too.

mod news;
mod record;
mod sender;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use self::news::Stream;
pub use self::record::{Kind, Outcome, Record};
use self::sender::Sender;

/// The limit of broken promises that are listed; beyond it they are only counted.
const MAX_LISTED: usize = 20;

/// Checks the promises. A message is identified by its sender's number and its own, counted from 0 in the order of sending.
///
/// ```
/// # use std::time::Duration;
/// use meshzero_testing::{Kind, Outcome, Promises, Record, Links};
///
/// let mut promises = Promises::new(Duration::from_secs(1));
/// let allowed = Duration::from_secs(5);
/// promises.record(Record::Started { sender: 1, number: 0, kind: Kind::Call, allowed });
/// promises.record(Record::Executed { by: 7, sender: 1, number: 0 });
/// promises.record(Record::Executed { by: 7, sender: 1, number: 0 });
/// promises.record(Record::Ended { sender: 1, number: 0, outcome: Outcome::Reply, took: Duration::ZERO });
/// let broken = promises.verdict(Links::Lasted).expect_err("it was executed twice");
/// assert!(broken.to_string().contains("twice"), "{broken}");
/// ```
#[derive(Debug, Default)]
pub struct Promises {
    /// The tolerance of deadlines on a busy machine.
    grace: Duration,
    senders: BTreeMap<u64, Sender>,
    /// The highest message number that each incarnation of a service has executed, for each sender.
    executed: HashMap<(u64, u64), u64>,
    streams: BTreeMap<u64, Stream>,
    broken: Broken,
}

/// The state of the links during the run, on which some promises depend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// All links lasted, over however many connections: every tell was executed, and all messages in the order of sending.
    Lasted,
    /// Some links ended, because a process died or the network was gone for too long: tells may be lost, and messages that wait
    /// side by side for a new link have no order. A message that had ended before another began is still executed before it.
    Ended,
}

/// The number of messages by their outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Calls and tells that were begun.
    pub begun: u64,
    /// Calls with their reply.
    pub replies: u64,
    /// Tells that were sent.
    pub sent: u64,
    /// Messages that certainly were not executed.
    pub not_sent: u64,
    /// Messages that may have been executed.
    pub unknown: u64,
    /// Messages that were executed, or begun to be, for certain.
    pub executed: u64,
    /// Items of news that arrived.
    pub items: u64,
    /// Items of news that were missed and reported as missed.
    pub missed: u64,
    /// The number of times that a subscriber lost its publisher.
    pub lost: u64,
}

/// The promises that were broken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Broken {
    shown: Vec<String>,
    more: u64,
}

impl Promises {
    /// A checker that tolerates deadlines missed by `grace`, because the machine is busy.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, ..Self::default() }
    }

    /// Adds a record.
    pub fn record(&mut self, record: Record) {
        match record {
            Record::Started { sender, number, kind, allowed } => {
                let begun = self.senders.entry(sender).or_default().begin(number, kind, allowed);
                self.broken.check(begun, || format!("message {number} of {sender}"));
            }
            Record::Ended { sender, number, outcome, took } => {
                let ended = self.senders.entry(sender).or_default().end(number, outcome, took, self.grace);
                self.broken.check(ended, || format!("message {number} of {sender}"));
            }
            Record::Executed { by, sender, number } => {
                let executed = self.senders.entry(sender).or_default().execute(number);
                self.broken.check(executed, || format!("message {number} of {sender}"));
                let latest = self.executed.entry((by, sender)).or_default();
                if *latest > number {
                    self.senders.entry(sender).or_default().overtaken(number, *latest);
                }
                *latest = number.max(*latest);
            }
            Record::Died { sender } => self.senders.entry(sender).or_default().die(),
            Record::Subscribed { stream, by, next } => self.stream(stream).subscribe(by, next),
            Record::Item { stream, by, number, skipped } => {
                let item = self.stream(stream).item(by, number, skipped);
                self.broken.check(item, || format!("news {stream}"));
            }
            Record::Missed { stream, count } => self.stream(stream).miss(count),
            Record::Lost { stream } => self.stream(stream).lose(),
        }
    }

    /// Adds every line that is a record, and skips all others.
    pub fn record_lines(&mut self, text: &str) {
        text.lines().filter_map(|line| line.parse().ok()).for_each(|record| self.record(record));
    }

    /// The number of the next item of a stream of news, if it is known.
    #[must_use]
    pub fn next_item(&self, stream: u64) -> Option<u64> {
        self.streams.get(&stream)?.next()
    }

    /// The number of messages that have not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.senders.values().map(Sender::open).sum()
    }

    /// The current tally.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.senders.values().for_each(|sender| sender.count(&mut tally));
        self.streams.values().for_each(|stream| stream.count(&mut tally));
        tally
    }

    /// The promises broken so far, before the run is over.
    #[must_use]
    pub fn broken(&self) -> &Broken {
        &self.broken
    }

    /// The verdict, when all records have been added.
    ///
    /// # Errors
    /// The broken promises.
    pub fn verdict(&self, links: Links) -> Result<Tally, Broken> {
        let mut broken = self.broken.clone();
        for (name, sender) in &self.senders {
            sender.check(links, |number, reason| broken.add(format!("message {number} of {name}: {reason}")));
        }
        if broken == Broken::default() { Ok(self.tally()) } else { Err(broken) }
    }

    fn stream(&mut self, stream: u64) -> &mut Stream {
        self.streams.entry(stream).or_default()
    }
}

impl Broken {
    /// The number of broken promises.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shown.len() as u64 + self.more
    }

    fn check(&mut self, kept: Result<(), String>, what: impl FnOnce() -> String) {
        if let Err(reason) = kept {
            self.add(format!("{}: {reason}", what()));
        }
    }

    fn add(&mut self, what: String) {
        if self.shown.len() < MAX_LISTED {
            self.shown.push(what);
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} broken promises", self.count())?;
        self.shown.iter().try_for_each(|what| writeln!(f, "- {what}"))?;
        if self.more > 0 { writeln!(f, "- and {} more", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests;
