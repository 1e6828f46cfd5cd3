//! The records of a run, in memory and as a line of text from another process.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The kind of a message, with or without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request with a reply.
    Call,
    /// A message without one.
    Tell,
}

/// The outcome of a message for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The reply to this message arrived.
    Reply,
    /// The reply to another message arrived, which must not happen.
    WrongReply,
    /// A tell was sent.
    Sent,
    /// It was not executed and will not be: safe to repeat.
    NotSent,
    /// It may have been executed, or may still be.
    Unknown,
    /// Its execution began, and the service failed.
    Failed,
}

/// An observation of one party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A sender is about to send a message that must end within the time allowed.
    Started {
        /// The sender.
        sender: u64,
        /// The message's number.
        number: u64,
        /// The kind of the message.
        kind: Kind,
        /// Its timeout.
        allowed: Duration,
    },
    /// A message has ended for its sender.
    Ended {
        /// The sender.
        sender: u64,
        /// The message's number.
        number: u64,
        /// The outcome.
        outcome: Outcome,
        /// The time that it took.
        took: Duration,
    },
    /// A service has begun to execute a message.
    Executed {
        /// The incarnation of the service.
        by: u64,
        /// The sender.
        sender: u64,
        /// The message's number.
        number: u64,
    },
    /// A sender's process has died with its pending messages.
    Died {
        /// The sender.
        sender: u64,
    },
    /// A subscription was confirmed before the item with this number was published.
    Subscribed {
        /// The subscription.
        stream: u64,
        /// The incarnation of the publisher.
        by: u64,
        /// The number of the item that will be published next.
        next: u64,
    },
    /// An item of news arrived.
    Item {
        /// The subscription.
        stream: u64,
        /// The incarnation of the publisher.
        by: u64,
        /// The item's number, counted from 0 by its publisher.
        number: u64,
        /// The number of older items that it replaced, as the subscriber's policy allows.
        skipped: u64,
    },
    /// A subscriber was notified of missed items.
    Missed {
        /// The subscription.
        stream: u64,
        /// The number of missed items.
        count: u64,
    },
    /// A subscriber was notified that its publisher is gone.
    Lost {
        /// The subscription.
        stream: u64,
    },
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Started { sender, number, kind, allowed } => {
                let kind = if kind == Kind::Call { "call" } else { "tell" };
                write!(f, "begun {sender} {number} {kind} {}", allowed.as_micros())
            }
            Self::Ended { sender, number, outcome, took } => {
                write!(f, "ended {sender} {number} {} {}", outcome.word(), took.as_micros())
            }
            Self::Executed { by, sender, number } => write!(f, "executed {by} {sender} {number}"),
            Self::Died { sender } => write!(f, "died {sender}"),
            Self::Subscribed { stream, by, next } => write!(f, "subscribed {stream} {by} {next}"),
            Self::Item { stream, by, number, skipped } => write!(f, "item {stream} {by} {number} {skipped}"),
            Self::Missed { stream, count } => write!(f, "missed {stream} {count}"),
            Self::Lost { stream } => write!(f, "lost {stream}"),
        }
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        parse(line).ok_or_else(|| format!("{line:?} is not a record"))
    }
}

fn parse(line: &str) -> Option<Record> {
    let mut words = line.split_ascii_whitespace();
    let what = words.next()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    Some(match what {
        "begun" => {
            let (sender, number) = (number()?, number()?);
            let kind = match words.next()? {
                "call" => Kind::Call,
                "tell" => Kind::Tell,
                _ => return None,
            };
            Record::Started { sender, number, kind, allowed: micros(words.next()?)? }
        }
        "ended" => {
            let (sender, number) = (number()?, number()?);
            let outcome = Outcome::of(words.next()?)?;
            Record::Ended { sender, number, outcome, took: micros(words.next()?)? }
        }
        "executed" => Record::Executed { by: number()?, sender: number()?, number: number()? },
        "died" => Record::Died { sender: number()? },
        "subscribed" => Record::Subscribed { stream: number()?, by: number()?, next: number()? },
        "item" => Record::Item { stream: number()?, by: number()?, number: number()?, skipped: number()? },
        "missed" => Record::Missed { stream: number()?, count: number()? },
        "lost" => Record::Lost { stream: number()? },
        _ => return None,
    })
}

fn micros(word: &str) -> Option<Duration> {
    word.parse().ok().map(Duration::from_micros)
}

impl Outcome {
    const WORDS: [(Self, &'static str); 6] = [
        (Self::Reply, "reply"),
        (Self::WrongReply, "wrong-reply"),
        (Self::Sent, "told"),
        (Self::NotSent, "not-sent"),
        (Self::Unknown, "unknown"),
        (Self::Failed, "failed"),
    ];

    fn word(self) -> &'static str {
        Self::WORDS[self as usize].1
    }

    fn of(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(outcome, _)| *outcome)
    }
}
