use super::*;

const KEEP_ALIVE: Duration = Duration::from_millis(2_500);
const ACK: u64 = 16;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A link on a network of the test's own, with a clock that advances in steps of a millisecond.
struct Line {
    stall: StallDetector,
    begun: Instant,
    now: Duration,
    seen: ReceivedSoFar,
    expects: Expectation,
    /// The time to an answer; `None` during an outage.
    round_trip: Option<Duration>,
    /// The times at which acknowledgements arrive.
    answers: Vec<Duration>,
    pings: Vec<Duration>,
    dials: Vec<Duration>,
}

impl Line {
    fn new(expects: Expectation) -> Self {
        let begun = Instant::now();
        Self {
            stall: StallDetector::new(begun, Some(ms(2)), KEEP_ALIVE, 0.0),
            begun,
            now: Duration::ZERO,
            seen: ReceivedSoFar::default(),
            expects,
            round_trip: Some(ms(2)),
            answers: Vec::new(),
            pings: Vec::new(),
            dials: Vec::new(),
        }
    }

    fn look(&mut self) {
        loop {
            let now = self.begun + self.now;
            match self.stall.poll(now, self.seen, self.expects) {
                StallAction::Ping => {
                    self.pings.push(self.now);
                    self.answers.extend(self.round_trip.map(|round_trip| self.now + round_trip));
                }
                StallAction::Race => self.dials.push(self.now),
                StallAction::Wait(until) => {
                    assert!(until > now, "it waits for what is over");
                    return;
                }
                StallAction::Rest => return,
            }
        }
    }

    /// Receives `bytes`.
    fn arrive(&mut self, bytes: u64) {
        self.seen.bytes += bytes;
        self.seen.reads += 1;
    }

    /// Lets time pass, during which bytes arrive at intervals of `every`.
    fn run(&mut self, time: Duration, every: Option<Duration>) {
        let until = self.now + time;
        while self.now < until {
            self.now += ms(1);
            if every.is_some_and(|every| self.now.as_millis().is_multiple_of(every.as_millis())) {
                self.arrive(300);
            }
            let now = self.now;
            let before = self.answers.len();
            self.answers.retain(|at| *at > now);
            for _ in self.answers.len()..before {
                self.arrive(ACK);
                self.seen.acks += 1;
            }
            self.look();
        }
    }

    /// Returns the numbers of actions since the last call.
    fn done(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.pings).len(), std::mem::take(&mut self.dials).len())
    }
}

#[test]
fn a_link_that_expects_nothing_does_nothing() {
    let mut line = Line::new(Expectation::Nothing);
    line.run(ms(60_000), None);
    assert_eq!(line.done(), (0, 0));
}

#[test]
fn news_at_a_steady_rate_costs_nothing_and_its_silence_is_detected_after_some_periods() {
    for (every, noticed) in [(16, 300), (100, 900), (400, 3_700)] {
        let mut line = Line::new(Expectation::News);
        line.run(ms(20_000), Some(ms(every)));
        line.done();
        line.run(ms(20_000), Some(ms(every)));
        let (pings, dials) = line.done();
        assert!(pings <= 8 && dials == 0, "every {every} ms: {pings} pings, {dials} dials");
        line.round_trip = None;
        let cut = line.now;
        line.run(ms(5_000), None);
        let first = line.dials.first().copied().expect("it is raced") - cut;
        assert!(first <= ms(noticed), "every {every} ms: {first:?}");
    }
}

#[test]
fn a_subscription_without_news_costs_a_ping_every_keep_alive() {
    let mut line = Line::new(Expectation::News);
    line.run(ms(10_000), None);
    line.done();
    line.run(ms(60_000), None);
    let (pings, dials) = line.done();
    assert!((23..=25).contains(&pings) && dials == 0, "{pings} pings, {dials} dials");
}

#[test]
fn a_link_waiting_for_a_long_reply_pings_twice_a_second() {
    let mut line = Line::new(Expectation::Reply);
    line.run(ms(2_000), None);
    line.done();
    line.run(ms(10_000), None);
    let (pings, dials) = line.done();
    assert!((18..=21).contains(&pings) && dials == 0, "{pings} pings, {dials} dials");
}

#[test]
fn a_call_in_an_outage_is_noticed_soon_and_dialled_for_ten_times_in_a_second() {
    let mut line = Line::new(Expectation::Nothing);
    line.run(ms(10_000), None);
    line.round_trip = None;
    line.expects = Expectation::Reply;
    let begun = line.now;
    line.run(ms(5_000), None);
    assert_eq!(line.pings.len(), 1);
    let first = line.dials[0] - begun;
    assert!(first <= ms(160), "{first:?}");
    assert!((45..=50).contains(&line.dials.len()), "{} dials", line.dials.len());
    line.done();
    line.arrive(50);
    line.expects = Expectation::Nothing;
    line.run(ms(5_000), None);
    assert_eq!(line.done(), (0, 0), "it has come alive");
}

#[test]
fn a_tell_is_asked_after_once_and_a_new_call_is_not_kept_waiting_by_it() {
    let mut line = Line::new(Expectation::Ack);
    line.run(ms(499), None);
    assert_eq!(line.done(), (0, 0));
    line.run(ms(2), None);
    assert_eq!(line.done(), (1, 0));
    line.expects = Expectation::Nothing;
    line.run(ms(100), None);
    line.expects = Expectation::Ack;
    line.run(ms(10), None);
    line.expects = Expectation::Reply;
    line.run(ms(60), None);
    assert_eq!(line.done(), (1, 0));
}

#[test]
fn a_long_round_trip_is_not_taken_for_a_stall() {
    let mut line = Line::new(Expectation::Reply);
    line.stall = StallDetector::new(line.begun, Some(ms(200)), KEEP_ALIVE, 0.0);
    line.round_trip = Some(ms(280));
    line.run(ms(30_000), None);
    let (pings, dials) = line.done();
    assert!(pings > 20 && dials == 0, "{pings} pings, {dials} dials");
    assert!(line.stall.patience() >= ms(1_000), "{:?}", line.stall.patience());
}

#[test]
fn on_a_very_long_round_trip_arrivals_in_between_change_nothing() {
    for expects in [Expectation::Reply, Expectation::News, Expectation::Ack] {
        let mut line = Line::new(expects);
        line.stall = StallDetector::new(line.begun, Some(ms(20_000)), KEEP_ALIVE, 1.0);
        line.round_trip = Some(ms(20_000));
        line.run(ms(60_000), Some(ms(70)));
        line.run(ms(60_000), None);
        assert_eq!(line.done().1, 0);
    }
}

#[test]
fn an_end_that_was_held_up_itself_reads_first() {
    let mut line = Line::new(Expectation::Reply);
    line.run(ms(51), None);
    assert_eq!(line.done(), (1, 0));
    line.answers.clear();
    line.now += ms(20_000);
    line.look();
    assert_eq!(line.done(), (0, 0), "its thread stood still");
    line.run(ms(200), None);
    let (pings, dials) = line.done();
    assert!(pings == 0 && dials > 0, "{pings} pings, {dials} dials");
}

#[test]
fn an_outage_does_not_count_as_a_round_trip() {
    let mut line = Line::new(Expectation::News);
    line.run(ms(1_000), Some(ms(16)));
    let patience = line.stall.patience();
    line.round_trip = None;
    line.run(ms(4_000), None);
    line.seen.acks += 1;
    line.arrive(ACK);
    line.look();
    assert_eq!(line.stall.patience(), patience);
}

#[test]
fn a_repeatedly_busy_end_is_given_more_time_until_it_answers_in_time() {
    let mut line = Line::new(Expectation::Reply);
    let patience = line.stall.patience();
    (0..10).for_each(|_| line.stall.record_busy());
    assert_eq!(line.stall.patience(), patience * MAX_BUSY_FACTOR);
    line.run(ms(5_000), None);
    assert!(line.stall.patience() <= patience * 2, "{:?}", line.stall.patience());
}

#[test]
fn connections_without_data_are_not_replaced_one_after_the_other_forever() {
    let mut line = Line::new(Expectation::Reply);
    for _ in 0..6 {
        line.stall.record_move(line.begun + line.now, line.seen);
    }
    assert!(line.stall.patience() > ms(1_000));
    line.arrive(1);
    line.stall.record_move(line.begun + line.now, line.seen);
    assert!(line.stall.patience() <= ms(100));
}

#[test]
fn all_links_together_dial_no_more_than_is_allowed() {
    let begun = Instant::now();
    let mut allowance = DialBudget::new(100, begun);
    let taken =
        |allowance: &mut DialBudget, at: u64| (0..1_000).filter(|_| allowance.take(begun + ms(at))).count();
    assert_eq!(taken(&mut allowance, 0), 25);
    assert_eq!(taken(&mut allowance, 100), 10);
    assert_eq!((1..=100).map(|tick| taken(&mut allowance, 100 + tick * 100)).sum::<usize>(), 1_000);
    assert_eq!(taken(&mut allowance, 100_000), 25);
    assert_eq!(taken(&mut DialBudget::new(0, begun), 5_000), 0);
    assert_eq!(taken(&mut DialBudget::new(1, begun), 0), 1);
}
