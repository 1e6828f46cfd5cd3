//! The queries of this node to the network: the times at which questions are sent, and the known answers that are sent along.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use meshzero_proto::discovery::directory::{Directory, Filter, Instance};
use meshzero_proto::discovery::query::{
    DueQuery, Families, ForeignQuestions, QueryMode, QuerySchedule, Question, Subtype,
};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::{MeshName, ServiceName};

use crate::discovery::effect::Effect;

/// The time within which equal questions count as one.
const DEDUPLICATION_TIME: Duration = Duration::from_millis(50);
/// The time for which the system's answer about other hosts is reused.
const NEIGHBOURS_CACHE_TIME: Duration = Duration::from_secs(1);

/// The questions of this node, and the time at which the next is sent.
#[derive(Default)]
pub(crate) struct QueryRounds {
    rounds: QuerySchedule,
    /// The time for which a timer is set.
    timer_at: Option<Instant>,
    /// The last answer about whether other hosts are known, and its time.
    others: Option<(Instant, bool)>,
}

/// Questions that are due and are sent together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) mode: QueryMode,
    pub(crate) families: Families,
    pub(crate) questions: Vec<Question>,
}

impl QueryRounds {
    /// Begins the quick rounds of a question. They are due at once.
    pub(crate) fn begin(&mut self, question: Question, now: Instant) {
        self.rounds.begin(question, DEDUPLICATION_TIME, now);
    }

    /// Repeats a question at long intervals, for a watcher.
    pub(crate) fn repeat(&mut self, question: Question, now: Instant) {
        self.rounds.watch(question, now, fastrand::f32());
    }

    /// Stops the repeated questions that are no longer watched.
    pub(crate) fn retain_repeated(&mut self, is_watched: impl Fn(Question) -> bool) {
        self.rounds.retain_watches(is_watched);
    }

    /// Ends the quick rounds of a question: the answers are known, or no longer wanted.
    pub(crate) fn end(&mut self, question: Question) {
        self.rounds.end(question);
    }

    /// Returns whether the quick rounds of a question are under way.
    pub(crate) fn is_asking(&self, question: Question) -> bool {
        self.rounds.is_asking(question)
    }

    /// Returns the questions that are due, grouped by mode and families. `known` is the number of known answers to
    /// the question for all services.
    pub(crate) fn due(&mut self, known: usize, now: Instant) -> Vec<Round> {
        let mut due = self.rounds.due(now, known, fastrand::f32);
        let mut rounds = Vec::new();
        while let Some(&DueQuery { mode, families, .. }) = due.first() {
            let is_same_kind = |due: &DueQuery| due.mode == mode && due.families == families;
            let (questions, rest) = due.into_iter().partition::<Vec<_>, _>(is_same_kind);
            due = rest;
            let questions = questions.into_iter().map(|due| due.question).collect();
            rounds.push(Round { mode, families, questions });
        }
        rounds
    }

    /// Sets the timer for the next question, unless it is set already.
    pub(crate) fn plan(&mut self) -> Option<Effect> {
        let next = self.rounds.next_at();
        if self.timer_at == next {
            return None;
        }
        self.timer_at = next;
        Some(Effect::SendQuestionsAt(next))
    }

    /// Records that the timer has fired or is gone.
    pub(crate) fn forget_plan(&mut self) {
        self.timer_at = None;
    }

    /// Records that another host replied directly, in the family that is asked first.
    pub(crate) fn record_direct_reply(&mut self) {
        self.rounds.record_direct_reply();
    }

    /// Records that a service of another host was announced by multicast.
    pub(crate) fn record_others(&mut self) {
        self.rounds.record_others();
    }

    /// Records questions that another program asked, which need not be repeated here.
    pub(crate) fn record_foreign_questions(
        &mut self,
        from: IpAddr,
        asked: &ForeignQuestions,
        directory: &Directory,
        now: Instant,
    ) {
        for question in &asked.questions {
            // The question suppresses known answers, so all of them must be known here.
            if asked.known.iter().all(|instance| directory.is_shown(*instance)) {
                self.rounds.record_question(*question, from, now);
            }
        }
    }

    /// Returns whether the answers to a question that are known now are complete enough to show. `has_others` returns whether
    /// other hosts are known; it is called once a second at most, because the system takes a while to answer.
    pub(crate) fn is_settled(
        &mut self,
        question: Question,
        now: Instant,
        has_others: impl FnOnce() -> bool,
    ) -> bool {
        if self.rounds.is_settled(question, now)
            && self.rounds.has_no_others(question)
            && self.has_others(now, has_others)
        {
            // They may have just answered another program, and will not do so again within a second.
            self.rounds.record_others();
        }
        self.rounds.is_settled(question, now)
    }

    fn has_others(&mut self, now: Instant, read: impl FnOnce() -> bool) -> bool {
        match self.others {
            Some((at, has_others)) if now.saturating_duration_since(at) < NEIGHBOURS_CACHE_TIME => has_others,
            _ => self.others.insert((now, read())).1,
        }
    }
}

/// Returns the question that the services which `filter` selects answer.
pub(crate) fn question(mesh: &MeshName, filter: &Filter) -> Question {
    match filter {
        Filter::Name(name) => question_for(mesh, name),
        Filter::Prefix(_) | Filter::Group { .. } => Question::All,
    }
}

/// Returns the question that the services of this name answer.
pub(crate) fn question_for(mesh: &MeshName, name: &ServiceName) -> Question {
    Question::Name(Subtype::new(mesh, name))
}

/// Returns the instances that need not answer these questions, in random order, because not all may fit into a datagram.
pub(crate) fn known_answers(
    questions: &[Question],
    mesh: &MeshName,
    directory: &Directory,
    is_alive: impl Fn(&Instance) -> bool,
) -> Vec<InstanceId> {
    let is_asked_for = |name: &ServiceName| {
        questions.contains(&Question::All) || questions.contains(&question_for(mesh, name))
    };
    let mut known = directory.select(&Filter::everything());
    known.retain(|instance| is_asked_for(&instance.service) && is_alive(instance));
    fastrand::shuffle(&mut known);
    known.into_iter().map(|instance| instance.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns rounds, and the time from which their question is settled unless there are other hosts.
    fn settled_search(now: Instant) -> (QueryRounds, Instant) {
        let mut query = QueryRounds::default();
        query.rounds.begin(Question::All, DEDUPLICATION_TIME, now);
        (query, now + Duration::from_millis(400))
    }

    #[test]
    fn neighbours_are_read_once_a_second_however_many_lists_wait() {
        let (mut query, settled) = settled_search(Instant::now());
        let mut reads = 0;
        for step in 0..100 {
            let now = settled + step * Duration::from_millis(10);
            let is_settled = query.is_settled(Question::All, now, || {
                reads += 1;
                false
            });
            assert!(is_settled, "nobody else is there");
        }
        assert_eq!(reads, 1);
        let later = settled + NEIGHBOURS_CACHE_TIME;
        query.rounds.begin(Question::All, DEDUPLICATION_TIME, later - Duration::from_millis(400));
        assert!(!query.is_settled(Question::All, later, || true), "another host has appeared");
    }

    #[test]
    fn neighbours_are_read_only_where_they_decide() {
        let started = Instant::now();
        let (mut query, settled) = settled_search(started);
        assert!(!query.is_settled(Question::All, started, || unreachable!("the rounds are not over")));
        query.record_direct_reply();
        assert!(query.is_settled(Question::All, settled, || unreachable!("another host replied")));
    }

    #[test]
    fn the_timer_is_set_once_for_each_time_at_which_a_question_is_due() {
        let (mut query, now) = (QueryRounds::default(), Instant::now());
        assert_eq!(query.plan(), None, "nothing is asked");
        query.begin(Question::All, now);
        assert_eq!(query.plan(), Some(Effect::SendQuestionsAt(Some(now))));
        assert_eq!(query.plan(), None, "it is set");
        query.forget_plan();
        let [Round { mode: QueryMode::OneShot, questions, .. }] = &query.due(0, now)[..] else {
            panic!("one question is due")
        };
        assert_eq!(questions, &[Question::All]);
        let Some(Effect::SendQuestionsAt(Some(next))) = query.plan() else { panic!("another round follows") };
        assert!(next > now);
        query.end(Question::All);
        assert_eq!(query.plan(), Some(Effect::SendQuestionsAt(None)), "the timer is cancelled");
    }
}
