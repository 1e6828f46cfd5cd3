//! The mesh's promises as somebody from outside can check them, whatever carried the messages.
//!
//! It is told what senders, services and subscribers see, in any order between them, and says what was broken:
//! acknowledged ⊆ executed at most once; order per sender; gap counts exact; every request ended in time with exactly one
//! outcome; what was *not sent* was never executed. It reads no clock, so that a simulated network can use it too.

mod news;
mod record;
mod sender;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use self::news::Stream;
pub use self::record::{Kind, Outcome, Record};
use self::sender::Sender;

/// Broken promises that are told one by one; of more only the number is kept.
const SHOWN: usize = 20;

/// Checks the promises. Every message has the number of its sender and, of that, its own, counted from 0 in the order in
/// which they set out.
///
/// ```
/// # use std::time::Duration;
/// use meshzero_testing::{Kind, Outcome, Promises, Record, Links};
///
/// let mut promises = Promises::new(Duration::from_secs(1));
/// let allowed = Duration::from_secs(5);
/// promises.note(Record::Begun { sender: 1, number: 0, kind: Kind::Call, allowed });
/// promises.note(Record::Executed { by: 7, sender: 1, number: 0 });
/// promises.note(Record::Executed { by: 7, sender: 1, number: 0 });
/// promises.note(Record::Ended { sender: 1, number: 0, outcome: Outcome::Reply, took: Duration::ZERO });
/// let broken = promises.verdict(Links::Lasted).expect_err("it was executed twice");
/// assert!(broken.to_string().contains("twice"), "{broken}");
/// ```
#[derive(Debug, Default)]
pub struct Promises {
    /// What a deadline may be late by on a busy machine.
    grace: Duration,
    senders: BTreeMap<u64, Sender>,
    /// The highest number that each incarnation of a service has executed, for each sender.
    executed: HashMap<(u64, u64), u64>,
    streams: BTreeMap<u64, Stream>,
    broken: Broken,
}

/// What the links have gone through, on which some promises depend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// All lasted, over however many connections: what was told was executed, and everything in the order in which it was
    /// sent.
    Lasted,
    /// Some ended, because a process died or the network was gone for too long: tells may be lost, and of messages that wait
    /// side by side for another link nobody knows which is first. One that had ended before another began still is.
    Ended,
}

/// How the messages ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Calls and tells that were begun.
    pub begun: u64,
    /// Calls with their reply.
    pub replies: u64,
    /// Links that set out.
    pub told: u64,
    /// Messages that certainly were not executed.
    pub not_sent: u64,
    /// Messages that may have been executed.
    pub unknown: u64,
    /// Messages that are known to have been executed, or to have been begun to be.
    pub executed: u64,
    /// Items of news that arrived.
    pub items: u64,
    /// Items of news that were missed, and said to be.
    pub missed: u64,
    /// How often a subscriber was told that its publisher is gone.
    pub lost: u64,
}

/// The promises that were broken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Broken {
    shown: Vec<String>,
    more: u64,
}

impl Promises {
    /// A deadline may be late by `grace`, because the machine is busy.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, ..Self::default() }
    }

    /// Takes note of what somebody saw.
    pub fn note(&mut self, record: Record) {
        match record {
            Record::Begun { sender, number, kind, allowed } => {
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

    /// Takes note of every line that is a record, and passes over all others.
    pub fn note_lines(&mut self, text: &str) {
        text.lines().filter_map(|line| line.parse().ok()).for_each(|record| self.note(record));
    }

    /// The number of the item that a stream of news comes to next, if that is known.
    #[must_use]
    pub fn next_item(&self, stream: u64) -> Option<u64> {
        self.streams.get(&stream)?.next()
    }

    /// How many messages have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.senders.values().map(Sender::open).sum()
    }

    /// How it stands.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.senders.values().for_each(|sender| sender.count(&mut tally));
        self.streams.values().for_each(|stream| stream.count(&mut tally));
        tally
    }

    /// What has been broken so far, before all is over.
    #[must_use]
    pub fn broken(&self) -> &Broken {
        &self.broken
    }

    /// The last word, when everybody has said everything.
    ///
    /// # Errors
    /// What was broken.
    pub fn verdict(&self, links: Links) -> Result<Tally, Broken> {
        let mut broken = self.broken.clone();
        for (name, sender) in &self.senders {
            sender.judge(links, |number, why| broken.add(format!("message {number} of {name}: {why}")));
        }
        if broken == Broken::default() { Ok(self.tally()) } else { Err(broken) }
    }

    fn stream(&mut self, stream: u64) -> &mut Stream {
        self.streams.entry(stream).or_default()
    }
}

impl Broken {
    /// How many times a promise was broken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shown.len() as u64 + self.more
    }

    fn check(&mut self, kept: Result<(), String>, what: impl FnOnce() -> String) {
        if let Err(why) = kept {
            self.add(format!("{}: {why}", what()));
        }
    }

    fn add(&mut self, what: String) {
        if self.shown.len() < SHOWN {
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
