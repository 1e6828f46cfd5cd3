//! The outcomes of the messages of one sender.

use std::collections::HashMap;
use std::time::Duration;

use super::{Kind, Links, Outcome, Tally};

/// The limit of message numbers: a test that sent more would not end.
const MAX_MESSAGES: u64 = 1 << 26;

/// The limit of remembered messages out of order.
const MAX_OUT_OF_ORDER: usize = 10_000;

/// The messages of one sender: a few bytes each, because a soak sends millions.
#[derive(Debug, Default)]
pub(super) struct Sender {
    messages: Vec<Message>,
    /// The messages that have not ended, with the time allowed.
    open: HashMap<u64, Duration>,
    has_died: bool,
    /// The number of records of the sender.
    records: u32,
    /// Messages that were executed after a later one: each with the latest of those.
    out_of_order: Vec<(u64, u64)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Message {
    kind: Option<Kind>,
    outcome: Option<Outcome>,
    executed: u8,
    /// The number of the sender's records before this message began, and before it ended.
    begun_at: u32,
    ended_at: u32,
}

impl Sender {
    pub(super) fn begin(&mut self, number: u64, kind: Kind, allowed: Duration) -> Result<(), String> {
        let at = self.next_record();
        let message = self.message(number)?;
        message.begun_at = at;
        if message.kind.replace(kind).is_some() {
            return Err("begun twice".to_owned());
        }
        self.open.insert(number, allowed);
        Ok(())
    }

    pub(super) fn end(
        &mut self,
        number: u64,
        outcome: Outcome,
        took: Duration,
        grace: Duration,
    ) -> Result<(), String> {
        let at = self.next_record();
        let message = self.message(number)?;
        message.ended_at = at;
        if let Some(before) = message.outcome.replace(outcome) {
            return Err(format!("ended twice, in {before:?} and in {outcome:?}"));
        }
        if outcome == Outcome::WrongReply {
            return Err("the reply belongs to another message".to_owned());
        }
        let allowed = self.open.remove(&number).ok_or("ended without having begun")?;
        if took > allowed + grace {
            return Err(format!("ended in {outcome:?} after {took:?}, but {allowed:?} were allowed"));
        }
        Ok(())
    }

    pub(super) fn execute(&mut self, number: u64) -> Result<(), String> {
        let message = self.message(number)?;
        message.executed = message.executed.saturating_add(1);
        if message.executed > 1 { Err("executed twice".to_owned()) } else { Ok(()) }
    }

    pub(super) fn die(&mut self) {
        self.has_died = true;
        self.open.clear();
    }

    pub(super) fn overtaken(&mut self, number: u64, by: u64) {
        if self.out_of_order.len() < MAX_OUT_OF_ORDER {
            self.out_of_order.push((number, by));
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    pub(super) fn count(&self, tally: &mut Tally) {
        for message in &self.messages {
            tally.begun += u64::from(message.kind.is_some());
            tally.executed += u64::from(message.executed > 0);
            match message.outcome {
                Some(Outcome::Reply) => tally.replies += 1,
                Some(Outcome::Sent) => tally.sent += 1,
                Some(Outcome::NotSent) => tally.not_sent += 1,
                Some(Outcome::Unknown) => tally.unknown += 1,
                Some(Outcome::Failed | Outcome::WrongReply) | None => {}
            }
        }
    }

    /// Checks the promises that can be judged only when the run is over.
    pub(super) fn check(&self, links: Links, mut broken: impl FnMut(usize, &str)) {
        for (number, by) in &self.out_of_order {
            if links == Links::Lasted || self.had_ended(*number, *by) {
                broken(*number as usize, &format!("executed after {by}"));
            }
        }
        for (number, message) in self.messages.iter().enumerate() {
            let Message { kind, outcome, executed, .. } = *message;
            match (kind, outcome) {
                (None, _) if executed > 0 => broken(number, "executed, but never begun"),
                (None, _) => {}
                (Some(_), None) if self.has_died => {}
                (Some(_), None) => broken(number, "never ended"),
                (Some(Kind::Tell), Some(Outcome::Reply)) => broken(number, "a tell has no reply"),
                (Some(Kind::Call), Some(Outcome::Sent)) => broken(number, "a call ended without a reply"),
                (_, Some(Outcome::Reply)) if executed == 0 => {
                    broken(number, "acknowledged, but never executed");
                }
                (_, Some(Outcome::NotSent)) if executed > 0 => {
                    broken(number, "executed, but reported as not sent")
                }
                (_, Some(Outcome::Sent)) if executed == 0 && links == Links::Lasted => {
                    broken(number, "the tell was sent, but never executed, although no process died");
                }
                _ => {}
            }
        }
    }

    /// Returns whether a message had ended for its sender before another began.
    fn had_ended(&self, number: u64, before: u64) -> bool {
        let at = |number: u64| self.messages.get(usize::try_from(number).ok()?);
        let (Some(first), Some(second)) = (at(number), at(before)) else { return false };
        first.outcome.is_some() && first.ended_at < second.begun_at
    }

    fn next_record(&mut self) -> u32 {
        self.records = self.records.saturating_add(1);
        self.records
    }

    fn message(&mut self, number: u64) -> Result<&mut Message, String> {
        let index = usize::try_from(number)
            .ok()
            .filter(|_| number < MAX_MESSAGES)
            .ok_or("the number is out of bounds")?;
        if self.messages.len() <= index {
            self.messages.resize(index + 1, Message::default());
        }
        Ok(&mut self.messages[index])
    }
}
