//! The schedule of questions: quick rounds while a lookup is pending, and long intervals for watchers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::families::RecentQuestions;
use super::schedule::{self, ScheduleStep};
use super::{Families, NETWORK_KNOWN_ANSWERS, Question};

/// The intervals between a watcher's questions, of which the last is repeated. They find services whose announcement and its
/// repetition were lost. Known services need no refresh, because their liveness is monitored over TCP.
const WATCH_INTERVALS: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(50), Duration::from_secs(600)];
/// The fraction by which intervals are randomly longer or shorter, so that nodes that started together do not stay in step.
const JITTER: f32 = 0.25;
/// The minimum time between two answers to an ordinary question by each responder (RFC 6762 §6), for any sender.
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// The kind of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryMode {
    /// From a port of its own, answered to that port at once (RFC 6762 §5.1, §6.7).
    OneShot,
    /// From port 5353, answered by multicast (RFC 6762 §5.2).
    Ordinary,
}

/// A question that is due now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueQuery {
    /// The question.
    pub question: Question,
    /// Its kind.
    pub mode: QueryMode,
    /// The families in which it is asked.
    pub families: Families,
}

/// The questions of one node, with their times. Nothing here waits: call [`QuerySchedule::due`] at [`QuerySchedule::next_at`].
#[derive(Debug, Default)]
pub struct QuerySchedule {
    searches: BTreeMap<Question, QueryReasons>,
}

/// The reasons for one question.
#[derive(Debug, Default)]
struct QueryReasons {
    quick: Option<QuickRounds>,
    watch: Option<WatchedAnswers>,
    /// The time at which any host on the network last asked this as an ordinary question.
    ordinary_at: LastQueried,
}

/// The times of the last ordinary question, by family.
#[derive(Debug, Default)]
struct LastQueried {
    v4: Option<Instant>,
    v6: Option<Instant>,
}

#[derive(Debug)]
struct QuickRounds {
    started: Instant,
    /// The number of completed rounds.
    completed: usize,
    others: OtherHosts,
}

/// The replies of other hosts since quick rounds began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OtherHosts {
    None,
    ByMulticast,
    /// Replies arrive directly.
    Directly,
}

#[derive(Debug)]
struct WatchedAnswers {
    /// The interval before `due`, as an index of [`WATCH_INTERVALS`].
    interval_index: usize,
    due: Instant,
    /// The next family, where they alternate.
    next: Families,
}

impl QuerySchedule {
    /// Begins the quick rounds, unless they have begun within the last `merge`.
    pub fn begin(&mut self, question: Question, merge: Duration, now: Instant) {
        let search = self.searches.entry(question).or_default();
        let is_recent = |quick: &QuickRounds| now.saturating_duration_since(quick.started) < merge;
        if !search.quick.as_ref().is_some_and(is_recent) {
            search.quick = Some(QuickRounds { started: now, completed: 0, others: OtherHosts::None });
        }
    }

    /// Ends the quick rounds: the instance was found, or no lookup is pending any longer.
    pub fn end(&mut self, question: Question) {
        self.change(question, |search| search.quick = None);
    }

    /// Returns true while quick rounds of a question are under way.
    pub fn is_asking(&self, question: Question) -> bool {
        self.searches.get(&question).is_some_and(|search| search.quick.is_some())
    }

    /// Begins a watch: the question is asked again after a while, and then ever more rarely. `random` is from 0 to 1.
    pub fn watch(&mut self, question: Question, now: Instant, random: f32) {
        let search = self.searches.entry(question).or_default();
        search.watch.get_or_insert_with(|| WatchedAnswers {
            interval_index: 0,
            due: now + jittered(WATCH_INTERVALS[0], random),
            next: Families::First,
        });
    }

    /// Keeps only the watches for which `is_wanted` returns true.
    pub fn retain_watches(&mut self, is_wanted: impl Fn(Question) -> bool) {
        self.searches.retain(|question, search| {
            if !is_wanted(*question) {
                search.watch = None;
            }
            search.is_wanted()
        });
    }

    /// Records that another host replied directly to a one-shot question, in the family that is asked first, so such replies do
    /// arrive.
    pub fn record_direct_reply(&mut self) {
        self.record_hosts(OtherHosts::Directly);
    }

    /// Records that a service of another host was received by multicast, or that other hosts are known to exist.
    pub fn record_others(&mut self) {
        self.record_hosts(OtherHosts::ByMulticast);
    }

    /// Returns true if quick rounds of a question are under way, and no other host has been received since they began.
    pub fn has_no_others(&self, question: Question) -> bool {
        let quick = self.searches.get(&question).and_then(|search| search.quick.as_ref());
        quick.is_some_and(|quick| quick.others == OtherHosts::None)
    }

    fn record_hosts(&mut self, received: OtherHosts) {
        for quick in self.searches.values_mut().filter_map(|search| search.quick.as_mut()) {
            quick.others = quick.others.max(received);
        }
    }

    /// Records an ordinary question from `from`, whose known answers this node knows as well. Its answers arrive
    /// here too, so this node need not ask in the same family (RFC 6762 §7.3).
    pub fn record_question(&mut self, question: Question, from: IpAddr, now: Instant) {
        if let Some(search) = self.searches.get_mut(&question) {
            let families = if from.is_ipv4() { Families::V4 } else { Families::V6 };
            search.ordinary_at.record(families, now);
        }
    }

    /// Returns the time at which the next question is due.
    pub fn next_at(&self) -> Option<Instant> {
        let times = |(question, search): (&Question, &QueryReasons)| {
            let quick = search.quick.as_ref().and_then(|quick| quick.next_at(*question));
            quick.into_iter().chain(search.watch.as_ref().map(|watch| watch.due)).min()
        };
        self.searches.iter().filter_map(times).min()
    }

    /// Returns the questions to ask at `now`. `known` is the number of services that need not answer. `random` gives numbers from
    /// 0 to 1.
    pub fn due(&mut self, now: Instant, known: usize, mut random: impl FnMut() -> f32) -> Vec<DueQuery> {
        let is_crowded = known > NETWORK_KNOWN_ANSWERS;
        let mut due = Vec::new();
        for (&question, search) in &mut self.searches {
            while let Some(step) = search.next_step(question, now) {
                due.extend(search.ask(question, step, is_crowded, now));
            }
            if let Some(watch) = search.watch.as_mut().filter(|watch| watch.due <= now) {
                let families =
                    if is_crowded && question == Question::All { watch.next } else { Families::Both };
                let interval = WATCH_INTERVALS[watch.interval_index] / 2;
                watch.advance(now, random());
                due.extend(search.ordinary(question, families, interval, now));
            }
        }
        self.searches.retain(|_, search| search.is_wanted());
        // A search for a name and one for all may yield the same question.
        let mut unique: Vec<DueQuery> = Vec::with_capacity(due.len());
        for query in due {
            let is_same =
                |other: &&mut DueQuery| (other.question, other.mode) == (query.question, query.mode);
            match unique.iter_mut().find(is_same) {
                Some(other) => other.families = other.families.and(query.families),
                None => unique.push(query),
            }
        }
        unique
    }

    /// Returns true if enough rounds of a question are over at `now` for a list of the answers to be shown, or there are no
    /// quick rounds.
    pub fn is_settled(&self, question: Question, now: Instant) -> bool {
        let quick = self.searches.get(&question).and_then(|search| search.quick.as_ref());
        quick.is_none_or(|quick| {
            let times = schedule::settled(question);
            let delay = match quick.others {
                OtherHosts::Directly => times.answered,
                OtherHosts::None => times.alone,
                OtherHosts::ByMulticast => times.by_multicast,
            };
            now >= quick.started + delay
        })
    }

    fn change(&mut self, question: Question, change: impl FnOnce(&mut QueryReasons)) {
        if let Some(search) = self.searches.get_mut(&question) {
            change(search);
            if !search.is_wanted() {
                self.searches.remove(&question);
            }
        }
    }
}

impl QueryReasons {
    fn is_wanted(&self) -> bool {
        self.quick.is_some() || self.watch.is_some()
    }

    /// Returns the next step of the quick rounds that is due, and counts it as done.
    fn next_step(&mut self, question: Question, now: Instant) -> Option<ScheduleStep> {
        let quick = self.quick.as_mut()?;
        match quick.next_at(question) {
            Some(at) if at <= now => {
                let (_, step) = schedule::rounds(question)[quick.completed];
                quick.completed += 1;
                Some(step)
            }
            Some(_) => None,
            None => {
                self.quick = None;
                None
            }
        }
    }

    /// Returns the question of a round. With very many services the two families alternate, because all would answer in both.
    fn ask(
        &mut self,
        question: Question,
        step: ScheduleStep,
        is_crowded: bool,
        now: Instant,
    ) -> Option<DueQuery> {
        let one_shot = |question, families| Some(DueQuery { question, mode: QueryMode::OneShot, families });
        let is_answered = self.quick.as_ref().is_some_and(|quick| quick.others == OtherHosts::Directly);
        match step {
            ScheduleStep::OneShot(Families::Both) if is_crowded && question == Question::All => {
                one_shot(question, Families::First)
            }
            ScheduleStep::OneShot(families) => one_shot(question, families),
            ScheduleStep::OneShotForAll => one_shot(Question::All, Families::First),
            ScheduleStep::OneShotIfFew if is_crowded => one_shot(question, Families::Only),
            ScheduleStep::OneShotIfFew => one_shot(question, Families::First),
            ScheduleStep::OrdinaryUnlessAnswered(_) if is_answered => None,
            ScheduleStep::OrdinaryUnlessAnswered(families) => {
                self.ordinary(question, families, ANSWER_INTERVAL, now)
            }
            ScheduleStep::Ordinary => self.ordinary(question, Families::Both, ANSWER_INTERVAL, now),
            ScheduleStep::End => None,
        }
    }

    /// Returns the ordinary question, in those of the families in which it has not been asked within `interval`.
    fn ordinary(
        &mut self,
        question: Question,
        families: Families,
        interval: Duration,
        now: Instant,
    ) -> Option<DueQuery> {
        let families = families.without(self.ordinary_at.within(interval, now))?;
        self.ordinary_at.record(families, now);
        Some(DueQuery { question, mode: QueryMode::Ordinary, families })
    }
}

impl LastQueried {
    fn record(&mut self, families: Families, now: Instant) {
        // On an interface with one family the question is asked in that one instead, and received when another host asks it.
        if matches!(families, Families::First | Families::Both | Families::V4) {
            self.v4 = Some(now);
        }
        if matches!(families, Families::Second | Families::Both | Families::V6) {
            self.v6 = Some(now);
        }
    }

    /// Returns the families in which it has been asked within `time`.
    fn within(&self, time: Duration, now: Instant) -> RecentQuestions {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < time);
        RecentQuestions { v4: recent(self.v4), v6: recent(self.v6) }
    }
}

impl QuickRounds {
    fn next_at(&self, question: Question) -> Option<Instant> {
        let (at, _) = schedule::rounds(question).get(self.completed)?;
        Some(self.started + Duration::from_millis(*at))
    }
}

impl WatchedAnswers {
    fn advance(&mut self, now: Instant, random: f32) {
        self.interval_index = (self.interval_index + 1).min(WATCH_INTERVALS.len() - 1);
        self.due = now + jittered(WATCH_INTERVALS[self.interval_index], random);
        self.next = if self.next == Families::First { Families::Second } else { Families::First };
    }
}

fn jittered(delay: Duration, random: f32) -> Duration {
    delay.mul_f32(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
