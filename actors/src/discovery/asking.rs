//! Queries to the network: sends the questions that are due, and schedules the next.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::directory::Filter;
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;
use meshzero_proto::query::{Asked, Due, Manner, Question, Rounds, Subtype};

use super::Discovery;
use crate::clock;
use crate::mdns::channel::Use;

/// Questions this close together are one.
const SAME_QUESTION: Duration = Duration::from_millis(50);
/// The answer to whether other hosts are there holds for so long.
const SAME_NEIGHBOURS: Duration = Duration::from_secs(1);
/// The number of questions in one datagram.
const QUESTIONS_AT_ONCE: usize = 16;

/// The questions of this node, and the timer for the next.
#[derive(Default)]
pub(super) struct Asking {
    rounds: Rounds,
    planned: Option<(Instant, SpawnHandle)>,
    /// The last answer to whether other hosts are known to be there, and when it was given.
    others: Option<(Instant, bool)>,
}

impl Asking {
    /// Another host replied directly, in the family that is asked first.
    pub(super) fn answered(&mut self) {
        self.rounds.answered();
    }

    /// A service of another host was heard of by multicast.
    pub(super) fn heard_others(&mut self) {
        self.rounds.heard_others();
    }

    /// Returns whether the answers to a question that are known now are worth showing. `has_others` says whether other hosts are known
    /// to be there; it is called once a second at most, because the system takes a while to answer.
    pub(super) fn is_settled(
        &mut self,
        question: Question,
        now: Instant,
        has_others: impl FnOnce() -> bool,
    ) -> bool {
        if self.rounds.is_settled(question, now)
            && self.rounds.has_heard_nothing(question)
            && self.has_others(now, has_others)
        {
            // They may have answered somebody else just before, and do not do so again within a second.
            self.rounds.heard_others();
        }
        self.rounds.is_settled(question, now)
    }

    fn has_others(&mut self, now: Instant, ask: impl FnOnce() -> bool) -> bool {
        match self.others {
            Some((at, has_others)) if now.saturating_duration_since(at) < SAME_NEIGHBOURS => has_others,
            _ => self.others.insert((now, ask())).1,
        }
    }

    /// Returns whether somebody waits for the answers to a question.
    pub(super) fn is_asking(&self, question: Question) -> bool {
        self.rounds.is_asking(question)
    }

    /// Nobody looks for the answers any longer, or they are known.
    pub(super) fn end(&mut self, question: Question) {
        self.rounds.end(question);
    }

    /// The timer is gone.
    pub(super) fn forget_plan(&mut self) {
        self.planned = None;
    }
}

impl Discovery {
    /// The question that the services which `filter` names answer.
    pub(super) fn question(&self, filter: &Filter) -> Question {
        match filter {
            Filter::Name(name) => self.question_for(name),
            Filter::Prefix(_) | Filter::Group { .. } => Question::All,
        }
    }

    pub(super) fn question_for(&self, name: &ServiceName) -> Question {
        Question::Name(Subtype::new(&self.config.mesh, name))
    }

    /// Begins the quick rounds of a question, where anybody can hear it.
    pub(super) fn ask_network(&mut self, question: Question, ctx: &mut Context<Self>) {
        if self.config.network.has_multicast() {
            self.asking.rounds.begin(question, SAME_QUESTION, clock::now());
            self.ask_due(ctx);
        }
    }

    /// Repeats a question at long intervals, for a watcher.
    pub(super) fn ask_now_and_then(&mut self, question: Question, ctx: &mut Context<Self>) {
        if self.config.network.has_multicast() {
            self.asking.rounds.watch(question, clock::now(), fastrand::f32());
            self.plan(ctx);
        }
    }

    /// Stops the repeated questions of watchers that have gone.
    pub(super) fn ask_for_watchers_only(&mut self) {
        let all = self.presence.is_looking();
        let watched = self.watchers.filters().map(|filter| self.question(filter)).collect::<Vec<_>>();
        self.asking
            .rounds
            .retain_watches(|question| (question == Question::All && all) || watched.contains(&question));
    }

    /// A question was heard, which somebody at `from` asked.
    pub(super) fn hear_question(&mut self, from: IpAddr, asked: &Asked, now: Instant) {
        // Who asks on loopback may ask there only.
        if from.is_loopback() && self.multicast.leads_out() {
            return;
        }
        for question in &asked.questions {
            // What it does not want to hear again must not be what is unknown here.
            if asked.known.iter().all(|instance| self.directory.is_shown(*instance)) {
                self.asking.rounds.heard(*question, from, now);
            }
        }
    }

    /// Sends what is due.
    pub(super) fn ask_due(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let known = self.known_answers(&[Question::All], now).len();
        let mut due = self.asking.rounds.due(now, known, fastrand::f32);
        while let Some(&Due { manner, families, .. }) = due.first() {
            let together = |due: &Due| due.manner == manner && due.families == families;
            let (questions, rest) = due.into_iter().partition::<Vec<_>, _>(together);
            due = rest;
            let questions: Vec<Question> = questions.into_iter().map(|due| due.question).collect();
            let purpose = match manner {
                Manner::OneShot => Use::OneShot,
                Manner::Ordinary => Use::Multicast,
            };
            if purpose == Use::OneShot {
                self.open_one_shot(now, ctx);
            }
            let known = self.known_answers(&questions, now);
            for questions in questions.chunks(QUESTIONS_AT_ONCE) {
                self.multicast.ask(purpose, families, |bytes| {
                    Question::encode(questions, known.iter().copied(), bytes)
                });
            }
        }
        self.plan(ctx);
    }

    /// The instances that need not answer, in random order, because not all may fit into a datagram.
    fn known_answers(&self, questions: &[Question], now: Instant) -> Vec<InstanceId> {
        let asked = |name: &ServiceName| {
            questions.contains(&Question::All) || questions.contains(&self.question_for(name))
        };
        let mut known = self.directory.select(&Filter::everything());
        known.retain(|instance| asked(&instance.service) && self.is_alive(instance, now));
        fastrand::shuffle(&mut known);
        known.into_iter().map(|instance| instance.id).collect()
    }

    fn plan(&mut self, ctx: &mut Context<Self>) {
        let next = self.asking.rounds.next_at();
        if self.asking.planned.map(|(at, _)| at) == next {
            return;
        }
        if let Some((_, timer)) = self.asking.planned.take() {
            ctx.cancel_future(timer);
        }
        self.asking.planned = next.map(|at| {
            let timer = ctx.run_later(at.saturating_duration_since(clock::now()), |this, ctx| {
                this.asking.planned = None;
                this.ask_due(ctx);
            });
            (at, timer)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search whose list is settled if nobody else is there, and not if somebody is.
    fn searching(now: Instant) -> (Asking, Instant) {
        let mut asking = Asking::default();
        asking.rounds.begin(Question::All, SAME_QUESTION, now);
        (asking, now + Duration::from_millis(400))
    }

    #[test]
    fn the_system_is_asked_for_other_hosts_once_a_second_however_many_lists_wait() {
        let (mut asking, settled) = searching(Instant::now());
        let mut asked = 0;
        for step in 0..100 {
            let now = settled + step * Duration::from_millis(10);
            let is_settled = asking.is_settled(Question::All, now, || {
                asked += 1;
                false
            });
            assert!(is_settled, "nobody else is there");
        }
        assert_eq!(asked, 1);
        let later = settled + SAME_NEIGHBOURS;
        asking.rounds.begin(Question::All, SAME_QUESTION, later - Duration::from_millis(400));
        assert!(!asking.is_settled(Question::All, later, || true), "somebody has come");
    }

    #[test]
    fn the_system_is_asked_for_other_hosts_only_where_that_matters() {
        let begun = Instant::now();
        let (mut asking, settled) = searching(begun);
        assert!(!asking.is_settled(Question::All, begun, || unreachable!("the rounds are not over")));
        asking.answered();
        assert!(asking.is_settled(Question::All, settled, || unreachable!("another host replied")));
    }
}
