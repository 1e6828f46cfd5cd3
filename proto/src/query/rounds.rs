//! The schedule of questions: quick rounds while somebody waits for the answer, and long intervals for watchers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Question;

/// The rounds for a name, in milliseconds after the first. At 10 % loss one question in five goes unanswered, so the
/// second follows soon. The third is an ordinary one: a firewall of the usual kind lets no reply to a one-shot question
/// in. Programs of earlier versions answer the question for all services only.
const FOR_A_NAME: [(u64, Step); 8] = [
    (0, Step::OneShot),
    (60, Step::OneShot),
    (150, Step::Ordinary),
    (300, Step::OneShot),
    (600, Step::OneShotForAll),
    (1_200, Step::Ordinary),
    (2_400, Step::OneShot),
    (4_800, Step::OneShotForAll),
];
/// The rounds for all services. Everybody answers with all that it has, so they are few. An ordinary question goes unanswered
/// where somebody else's was answered less than a second before, so there are two.
const FOR_ALL: [(u64, Step); 5] = [
    (0, Step::OneShot),
    (150, Step::OneShot),
    (200, Step::OrdinaryUnlessAnswered),
    (600, Step::OneShot),
    (1_250, Step::OrdinaryUnlessAnswered),
];
/// When a list of the answers is worth showing: after the second round, or 150 ms after the ordinary question where that is
/// needed, because RFC 6762 §6 has responders wait for up to 120 ms.
const SETTLED: Duration = Duration::from_millis(150);
const SETTLED_BY_MULTICAST: Duration = Duration::from_millis(350);

/// When a watcher asks again, for what both an announcement and its repetition failed to tell: pauses between questions, of
/// which the last is repeated. Nothing that is known needs to be refreshed, because its liveness comes from TCP.
const WATCH: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(50), Duration::from_secs(600)];
/// Pauses are this part longer or shorter at random, so that those who started together do not stay in step.
const JITTER: f32 = 0.25;
/// An ordinary question is answered at most once a second by each responder (RFC 6762 §6), whoever asks it.
const SAME_ANSWER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    OneShot,
    OneShotForAll,
    Ordinary,
    OrdinaryUnlessAnswered,
}

/// How a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// From a port of its own, and answered to that at once (RFC 6762 §5.1, §6.7).
    OneShot,
    /// From port 5353, and answered by multicast (RFC 6762 §5.2).
    Ordinary,
}

/// A question that is to be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The question.
    pub question: Question,
    /// How.
    pub manner: Manner,
}

/// The questions of one node, with their times. Nothing here waits: ask for what is due at [`Rounds::next_at`].
#[derive(Debug, Default)]
pub struct Rounds {
    searches: BTreeMap<Question, Search>,
}

/// The reasons for one question.
#[derive(Debug, Default)]
struct Search {
    quick: Option<Quick>,
    watch: Option<Watch>,
    /// When anybody on the network last asked this as an ordinary question.
    ordinary_at: Option<Instant>,
}

#[derive(Debug)]
struct Quick {
    begun: Instant,
    /// The rounds that are over.
    done: usize,
    answered: bool,
}

#[derive(Debug)]
struct Watch {
    /// The pause before `due`, by its place in [`WATCH`].
    pause: usize,
    due: Instant,
}

impl Rounds {
    /// Begins the quick rounds, unless they have begun within the last `merge`.
    pub fn begin(&mut self, question: Question, merge: Duration, now: Instant) {
        let search = self.searches.entry(question).or_default();
        let running = |quick: &Quick| now.saturating_duration_since(quick.begun) < merge;
        if !search.quick.as_ref().is_some_and(running) {
            search.quick = Some(Quick { begun: now, done: 0, answered: false });
        }
    }

    /// Ends the quick rounds: what they look for is found, or nobody waits for it any longer.
    pub fn end(&mut self, question: Question) {
        self.change(question, |search| search.quick = None);
    }

    /// Begins to watch: the question is asked again after a while, and then less and less often. `random` is from 0 to 1.
    pub fn watch(&mut self, question: Question, now: Instant, random: f32) {
        let search = self.searches.entry(question).or_default();
        search.watch.get_or_insert_with(|| Watch { pause: 0, due: now + jittered(WATCH[0], random) });
    }

    /// Keeps watching only what `wanted` says.
    pub fn retain_watches(&mut self, wanted: impl Fn(Question) -> bool) {
        self.searches.retain(|question, search| {
            if !wanted(*question) {
                search.watch = None;
            }
            search.is_wanted()
        });
    }

    /// Another host answered the quick rounds for all services with a direct reply, so such replies do arrive.
    pub fn answered(&mut self) {
        if let Some(Search { quick: Some(quick), .. }) = self.searches.get_mut(&Question::All) {
            quick.answered = true;
        }
    }

    /// Somebody else asked an ordinary question, with no known answer that this node would not give as well. Its answers come
    /// here too, so this node need not ask (RFC 6762 §7.3).
    pub fn heard(&mut self, question: Question, now: Instant, random: f32) {
        if let Some(search) = self.searches.get_mut(&question) {
            search.ordinary_at = Some(now);
            if let Some(watch) = &mut search.watch
                && now + WATCH[watch.pause] / 2 >= watch.due
            {
                watch.advance(now, random);
            }
        }
    }

    /// The time at which something is due next.
    pub fn next_at(&self) -> Option<Instant> {
        let times = |(question, search): (&Question, &Search)| {
            let quick = search.quick.as_ref().and_then(|quick| quick.next_at(*question));
            quick.into_iter().chain(search.watch.as_ref().map(|watch| watch.due)).min()
        };
        self.searches.iter().filter_map(times).min()
    }

    /// The questions to ask at `now`. `random` gives numbers from 0 to 1.
    pub fn due(&mut self, now: Instant, mut random: impl FnMut() -> f32) -> Vec<Due> {
        let mut due = Vec::new();
        for (question, search) in &mut self.searches {
            while let Some(step) = search.next_step(*question, now) {
                let one_shot = |question| Some(Due { question, manner: Manner::OneShot });
                due.extend(match step {
                    Step::OneShot => one_shot(*question),
                    Step::OneShotForAll => one_shot(Question::All),
                    Step::OrdinaryUnlessAnswered
                        if search.quick.as_ref().is_some_and(|quick| quick.answered) =>
                    {
                        None
                    }
                    Step::Ordinary | Step::OrdinaryUnlessAnswered => search.ordinary(*question, now),
                });
            }
            if search.watch.as_ref().is_some_and(|watch| watch.due <= now) {
                due.extend(search.ordinary(*question, now));
                if let Some(watch) = &mut search.watch {
                    watch.advance(now, random());
                }
            }
        }
        self.searches.retain(|_, search| search.is_wanted());
        // A search for a name and one for all may come to ask the same.
        let mut unique: Vec<Due> = Vec::with_capacity(due.len());
        for one in due {
            if !unique.contains(&one) {
                unique.push(one);
            }
        }
        unique
    }

    /// Returns whether enough rounds of a question are over at `now` for a list of the answers to be worth showing; without quick
    /// rounds they are.
    pub fn is_settled(&self, question: Question, now: Instant) -> bool {
        let quick = self.searches.get(&question).and_then(|search| search.quick.as_ref());
        quick.is_none_or(|quick| {
            let by_multicast = question == Question::All && !quick.answered;
            now >= quick.begun + if by_multicast { SETTLED_BY_MULTICAST } else { SETTLED }
        })
    }

    fn change(&mut self, question: Question, change: impl FnOnce(&mut Search)) {
        if let Some(search) = self.searches.get_mut(&question) {
            change(search);
            if !search.is_wanted() {
                self.searches.remove(&question);
            }
        }
    }
}

impl Search {
    fn is_wanted(&self) -> bool {
        self.quick.is_some() || self.watch.is_some()
    }

    /// The next step of the quick rounds that is due, which counts as done.
    fn next_step(&mut self, question: Question, now: Instant) -> Option<Step> {
        let quick = self.quick.as_mut()?;
        match quick.next_at(question) {
            Some(at) if at <= now => {
                let (_, step) = quick_rounds(question)[quick.done];
                quick.done += 1;
                Some(step)
            }
            Some(_) => None,
            None => {
                self.quick = None;
                None
            }
        }
    }

    /// The ordinary question, unless its answers have just been asked for.
    fn ordinary(&mut self, question: Question, now: Instant) -> Option<Due> {
        let recent = |at: Instant| now.saturating_duration_since(at) < SAME_ANSWER;
        if self.ordinary_at.is_some_and(recent) {
            return None;
        }
        self.ordinary_at = Some(now);
        Some(Due { question, manner: Manner::Ordinary })
    }
}

impl Quick {
    fn next_at(&self, question: Question) -> Option<Instant> {
        let (at, _) = quick_rounds(question).get(self.done)?;
        Some(self.begun + Duration::from_millis(*at))
    }
}

impl Watch {
    fn advance(&mut self, now: Instant, random: f32) {
        self.pause = (self.pause + 1).min(WATCH.len() - 1);
        self.due = now + jittered(WATCH[self.pause], random);
    }
}

fn quick_rounds(question: Question) -> &'static [(u64, Step)] {
    match question {
        Question::All => &FOR_ALL,
        Question::Name(_) => &FOR_A_NAME,
    }
}

fn jittered(pause: Duration, random: f32) -> Duration {
    pause.mul_f32(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{MeshName, ServiceName};
    use crate::query::Subtype;

    const MERGE: Duration = Duration::from_millis(50);

    fn name(text: &str) -> Question {
        Question::Name(Subtype::new(&MeshName::default(), &ServiceName::new(text).expect("a name")))
    }

    /// Everything that is asked until `end`, with the milliseconds after `begun`.
    fn run(rounds: &mut Rounds, begun: Instant, end: Duration) -> Vec<(u64, Question, Manner)> {
        let mut asked = Vec::new();
        while let Some(at) = rounds.next_at().filter(|at| *at < begun + end) {
            let ms = u64::try_from((at - begun).as_millis()).expect("a short time");
            asked.extend(rounds.due(at, || 0.5).into_iter().map(|due| (ms, due.question, due.manner)));
        }
        asked
    }

    #[test]
    fn a_name_is_asked_for_until_it_is_found() {
        use Manner::{OneShot, Ordinary};
        let (mut rounds, begun, arm) = (Rounds::default(), Instant::now(), name("robot/arm"));
        rounds.begin(arm, MERGE, begun);
        let expected = [
            (0, arm, OneShot),
            (60, arm, OneShot),
            (150, arm, Ordinary),
            (300, arm, OneShot),
            (600, Question::All, OneShot),
            (1_200, arm, Ordinary),
            (2_400, arm, OneShot),
            (4_800, Question::All, OneShot),
        ];
        assert_eq!(run(&mut rounds, begun, Duration::from_secs(60)), expected);
        assert!(rounds.searches.is_empty());
        rounds.begin(arm, MERGE, begun);
        assert_eq!(run(&mut rounds, begun, Duration::from_millis(100)), expected[..2]);
        rounds.end(arm);
        assert_eq!(rounds.next_at(), None);
    }

    #[test]
    fn the_ordinary_question_for_all_is_asked_where_no_reply_arrives() {
        let (mut rounds, begun) = (Rounds::default(), Instant::now());
        rounds.begin(Question::All, MERGE, begun);
        let ordinary = (200, Question::All, Manner::Ordinary);
        assert!(run(&mut rounds, begun, Duration::from_secs(2)).contains(&ordinary));
        rounds.begin(Question::All, MERGE, begun);
        rounds.answered();
        assert!(rounds.is_settled(Question::All, begun + SETTLED));
        assert!(
            run(&mut rounds, begun, Duration::from_secs(2))
                .iter()
                .all(|(.., manner)| *manner == Manner::OneShot)
        );
    }

    #[test]
    fn questions_that_begin_together_are_one() {
        let (mut rounds, begun) = (Rounds::default(), Instant::now());
        rounds.begin(Question::All, MERGE, begun);
        assert_eq!(rounds.due(begun, || 0.5).len(), 1);
        rounds.begin(Question::All, MERGE, begun + MERGE / 2);
        assert!(rounds.due(begun + MERGE / 2, || 0.5).is_empty());
        rounds.begin(Question::All, MERGE, begun + MERGE);
        assert_eq!(rounds.due(begun + MERGE, || 0.5).len(), 1);
    }

    #[test]
    fn watchers_ask_seldom_and_not_together() {
        let begun = Instant::now();
        let mut rounds = Rounds::default();
        rounds.watch(Question::All, begun, 0.5);
        let times: Vec<u64> =
            run(&mut rounds, begun, Duration::from_secs(1_300)).into_iter().map(|(at, ..)| at).collect();
        assert_eq!(times, [10_000, 60_000, 660_000, 1_260_000]);
        for random in [0.0, 0.3, 1.0] {
            let mut rounds = Rounds::default();
            rounds.watch(Question::All, begun, random);
            let first = rounds.next_at().expect("it is asked") - begun;
            assert!(
                (Duration::from_millis(7_500)..=Duration::from_millis(12_500)).contains(&first),
                "{first:?}"
            );
        }
        rounds.retain_watches(|question| question != Question::All);
        assert_eq!(rounds.next_at(), None);
    }

    #[test]
    fn a_question_that_somebody_else_asks_is_not_asked_again() {
        let begun = Instant::now();
        let mut rounds = Rounds::default();
        rounds.watch(Question::All, begun, 0.5);
        // Too early: what comes until it is due may be missing from those answers.
        rounds.heard(Question::All, begun + Duration::from_secs(4), 0.5);
        assert_eq!(rounds.next_at(), Some(begun + Duration::from_secs(10)));
        rounds.heard(Question::All, begun + Duration::from_secs(8), 0.5);
        assert_eq!(rounds.next_at(), Some(begun + Duration::from_secs(58)));
        let arm = name("robot/arm");
        rounds.begin(arm, MERGE, begun);
        rounds.heard(arm, begun + Duration::from_millis(100), 0.5);
        let asked = run(&mut rounds, begun, Duration::from_secs(1));
        assert!(asked.iter().all(|(.., manner)| *manner == Manner::OneShot), "{asked:?}");
    }
}
