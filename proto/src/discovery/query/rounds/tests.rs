use super::*;
use crate::discovery::query::Subtype;
use crate::name::{MeshName, ServiceName};

const MERGE: Duration = Duration::from_millis(50);
const FEW: usize = NETWORK_KNOWN_ANSWERS;
const MANY: usize = NETWORK_KNOWN_ANSWERS + 1;
const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

fn name(text: &str) -> Question {
    Question::Name(Subtype::new(&MeshName::default(), &ServiceName::new(text).expect("a name")))
}

/// Returns all questions until `end`, with the milliseconds after `started`.
fn run(rounds: &mut QuerySchedule, started: Instant, end: Duration, known: usize) -> Vec<(u64, DueQuery)> {
    let mut queries = Vec::new();
    while let Some(at) = rounds.next_at().filter(|at| *at < started + end) {
        let ms = u64::try_from((at - started).as_millis()).expect("a short time");
        queries.extend(rounds.due(at, known, || 0.5).into_iter().map(|due| (ms, due)));
    }
    queries
}

fn one_shot(ms: u64, question: Question, families: Families) -> (u64, DueQuery) {
    (ms, DueQuery { question, mode: QueryMode::OneShot, families })
}

fn ordinary(ms: u64, question: Question, families: Families) -> (u64, DueQuery) {
    (ms, DueQuery { question, mode: QueryMode::Ordinary, families })
}

#[test]
fn a_name_is_queried_until_it_is_found() {
    use Families::{Both, First};
    let (mut rounds, started, arm) = (QuerySchedule::default(), Instant::now(), name("robot/arm"));
    rounds.begin(arm, MERGE, started);
    let expected = [
        one_shot(0, arm, First),
        one_shot(60, arm, Both),
        ordinary(150, arm, Both),
        one_shot(300, Question::All, First),
        one_shot(600, arm, Both),
        ordinary(1_200, arm, Both),
        one_shot(2_400, arm, Both),
        one_shot(4_800, Question::All, First),
    ];
    assert_eq!(run(&mut rounds, started, Duration::from_secs(60), MANY), expected);
    assert!(rounds.searches.is_empty());
    rounds.begin(arm, MERGE, started);
    assert_eq!(run(&mut rounds, started, Duration::from_millis(100), FEW), expected[..2]);
    rounds.end(arm);
    assert_eq!(rounds.next_at(), None);
}

#[test]
fn the_ordinary_question_for_all_is_asked_if_no_reply_arrives() {
    use Families::{Both, DualStackV6, First};
    let all = Question::All;
    let (mut rounds, started) = (QuerySchedule::default(), Instant::now());
    rounds.begin(all, MERGE, started);
    let expected = [
        one_shot(0, all, First),
        one_shot(60, all, DualStackV6),
        one_shot(150, all, First),
        ordinary(200, all, First),
        one_shot(600, all, Both),
        ordinary(1_250, all, Both),
    ];
    let end = Duration::from_secs(2);
    assert_eq!(run(&mut rounds, started, end, FEW), expected);
    rounds.begin(all, MERGE, started);
    rounds.record_direct_reply();
    let of_one_shot = expected.map(|query| Some(query).filter(|(_, due)| due.mode == QueryMode::OneShot));
    let of_one_shot: Vec<_> = of_one_shot.into_iter().flatten().collect();
    assert_eq!(run(&mut rounds, started, end, FEW), of_one_shot);
}

#[test]
fn with_many_services_two_families_do_not_double_the_answers() {
    use Families::{DualStackV6, First, Only, Second};
    let all = Question::All;
    let (mut rounds, started) = (QuerySchedule::default(), Instant::now());
    rounds.begin(all, MERGE, started);
    rounds.record_direct_reply();
    let expected = [
        one_shot(0, all, First),
        one_shot(60, all, DualStackV6),
        one_shot(150, all, Only),
        one_shot(600, all, First),
    ];
    assert_eq!(run(&mut rounds, started, Duration::from_secs(2), MANY), expected);
    rounds.watch(all, started, 0.5);
    let expected =
        [ordinary(10_000, all, First), ordinary(60_000, all, Second), ordinary(660_000, all, First)];
    assert_eq!(run(&mut rounds, started, Duration::from_secs(700), MANY), expected);
}

#[test]
fn a_list_is_settled_when_all_possible_answers_have_arrived() {
    let ms = Duration::from_millis;
    let (arm, all) = (name("robot/arm"), Question::All);
    for (question, answered, alone, by_multicast) in [(arm, 150, 150, 1_350), (all, 150, 350, 1_400)] {
        let settled_at = |record: fn(&mut QuerySchedule)| {
            let (mut rounds, started) = (QuerySchedule::default(), Instant::now());
            rounds.begin(question, MERGE, started);
            record(&mut rounds);
            (0..2_000).step_by(10).find(|at| {
                let now = started + ms(*at);
                while rounds.next_at().is_some_and(|next| next <= now) {
                    let _ = rounds.due(now, FEW, || 0.5);
                }
                rounds.is_settled(question, now)
            })
        };
        assert_eq!(settled_at(|_| ()), Some(alone), "{question:?}");
        assert_eq!(settled_at(QuerySchedule::record_others), Some(by_multicast), "{question:?}");
        assert_eq!(settled_at(QuerySchedule::record_direct_reply), Some(answered), "{question:?}");
        let both = |rounds: &mut QuerySchedule| {
            rounds.record_direct_reply();
            rounds.record_others();
        };
        assert_eq!(settled_at(both), Some(answered), "{question:?}");
    }
}

#[test]
fn questions_that_begin_at_the_same_time_are_merged() {
    let (mut rounds, started) = (QuerySchedule::default(), Instant::now());
    rounds.begin(Question::All, MERGE, started);
    assert_eq!(rounds.due(started, FEW, || 0.5).len(), 1);
    rounds.begin(Question::All, MERGE, started + MERGE / 2);
    assert!(rounds.due(started + MERGE / 2, FEW, || 0.5).is_empty());
    rounds.begin(Question::All, MERGE, started + MERGE);
    assert_eq!(rounds.due(started + MERGE, FEW, || 0.5).len(), 1);
}

#[test]
fn watchers_ask_rarely_and_at_random_times() {
    let started = Instant::now();
    let mut rounds = QuerySchedule::default();
    rounds.watch(Question::All, started, 0.5);
    let expected = [10_000, 60_000, 660_000, 1_260_000].map(|at| ordinary(at, Question::All, Families::Both));
    assert_eq!(run(&mut rounds, started, Duration::from_secs(1_300), FEW), expected);
    for random in [0.0, 0.3, 1.0] {
        let mut rounds = QuerySchedule::default();
        rounds.watch(Question::All, started, random);
        let first = rounds.next_at().expect("it is asked") - started;
        assert!((Duration::from_millis(7_500)..=Duration::from_millis(12_500)).contains(&first), "{first:?}");
    }
    rounds.retain_watches(|question| question != Question::All);
    assert_eq!(rounds.next_at(), None);
}

#[test]
fn a_question_of_another_host_is_not_asked_again() {
    let (all, started) = (Question::All, Instant::now());
    let at = |seconds| started + Duration::from_secs(seconds);
    let queries = |questions: &[(IpAddr, u64)]| {
        let mut rounds = QuerySchedule::default();
        rounds.watch(all, started, 0.5);
        for (from, seconds) in questions {
            rounds.record_question(all, *from, at(*seconds));
        }
        run(&mut rounds, started, Duration::from_secs(100), FEW)
    };
    let second = ordinary(60_000, all, Families::Both);
    let first = |families| ordinary(10_000, all, families);
    // Too early: services that are added before it is due may be missing from those answers.
    assert_eq!(queries(&[(V4, 4), (V6, 4)]), [first(Families::Both), second]);
    assert_eq!(queries(&[(V4, 8), (V6, 8)]), [second]);
    // A host with one family does not receive from hosts that only have the other one.
    assert_eq!(queries(&[(V4, 8)]), [first(Families::V6), second]);
    assert_eq!(queries(&[(V6, 8)]), [first(Families::V4), second]);
    let (mut rounds, arm) = (QuerySchedule::default(), name("robot/arm"));
    rounds.begin(arm, MERGE, started);
    for from in [V4, V6] {
        rounds.record_question(arm, from, started + Duration::from_millis(100));
    }
    let queries = run(&mut rounds, started, Duration::from_secs(1), FEW);
    assert!(queries.iter().all(|(_, due)| due.mode == QueryMode::OneShot), "{queries:?}");
}
