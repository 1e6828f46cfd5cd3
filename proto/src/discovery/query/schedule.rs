//! The schedule by which a question is repeated while a lookup is pending.

use std::time::Duration;

use super::{Families, Question};

/// One round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScheduleStep {
    /// A one-shot question.
    OneShot(Families),
    /// A one-shot question for all services.
    OneShotForAll,
    /// A one-shot question in the first family. If more services are known than fit into a question as known answers, it is asked
    /// only on interfaces with one family: all others would answer again.
    OneShotIfFew,
    /// An ordinary question.
    Ordinary,
    /// An ordinary question, unless another host has replied directly.
    OrdinaryUnlessAnswered(Families),
    /// No question: the answers to the last round have arrived.
    End,
}

/// The rounds for a name, in milliseconds after the first. Only its instances answer. The first is in IPv4 alone, which is enough
/// for nearly all. At 10 % loss one question in five goes unanswered, so the second follows soon. The third is an ordinary one,
/// because a typical firewall drops replies to one-shot questions. Programs of earlier versions answer the question for all
/// services only, and in the first family.
const FOR_A_NAME: [(u64, ScheduleStep); 8] = [
    (0, ScheduleStep::OneShot(Families::First)),
    (60, ScheduleStep::OneShot(Families::Both)),
    (150, ScheduleStep::Ordinary),
    (300, ScheduleStep::OneShotForAll),
    (600, ScheduleStep::OneShot(Families::Both)),
    (1_200, ScheduleStep::Ordinary),
    (2_400, ScheduleStep::OneShot(Families::Both)),
    (4_800, ScheduleStep::OneShotForAll),
];
/// The rounds for all services. Every node answers with all its services, so the rounds are few. An ordinary question goes
/// unanswered where another host's was answered less than a second before, so there are two: the answers to that earlier question
/// were received.
const FOR_ALL: [(u64, ScheduleStep); 7] = [
    (0, ScheduleStep::OneShot(Families::First)),
    (60, ScheduleStep::OneShot(Families::DualStackV6)),
    (150, ScheduleStep::OneShotIfFew),
    (200, ScheduleStep::OrdinaryUnlessAnswered(Families::First)),
    (600, ScheduleStep::OneShot(Families::Both)),
    (1_250, ScheduleStep::OrdinaryUnlessAnswered(Families::Both)),
    (1_400, ScheduleStep::End),
];

/// The time after the first round at which a list of the answers is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SettleTime {
    /// The time where direct replies arrive: after the second round.
    pub(super) answered: Duration,
    /// The time if no other host is received: 150 ms after the ordinary question, because RFC 6762 §6 has responders wait for up
    /// to 120 ms.
    pub(super) alone: Duration,
    /// The time if other hosts are received and direct replies do not arrive: as long after the second ordinary question.
    pub(super) by_multicast: Duration,
}

const NAME_SETTLED: SettleTime = SettleTime {
    answered: Duration::from_millis(150),
    alone: Duration::from_millis(150),
    by_multicast: Duration::from_millis(1_350),
};
const ALL_SETTLED: SettleTime = SettleTime {
    answered: Duration::from_millis(150),
    alone: Duration::from_millis(350),
    by_multicast: Duration::from_millis(1_400),
};

/// Returns the rounds of a question, each with its time after the first in milliseconds.
pub(super) fn rounds(question: Question) -> &'static [(u64, ScheduleStep)] {
    match question {
        Question::All => &FOR_ALL,
        Question::Name(_) => &FOR_A_NAME,
    }
}

/// Returns the times at which the answers to a question are shown.
pub(super) fn settled(question: Question) -> SettleTime {
    match question {
        Question::All => ALL_SETTLED,
        Question::Name(_) => NAME_SETTLED,
    }
}
