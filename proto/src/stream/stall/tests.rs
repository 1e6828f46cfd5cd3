use super::*;

const KEEP_ALIVE: Duration = Duration::from_millis(2_500);
const ACK: u64 = 16;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A simulated link, with a clock that advances in steps of a millisecond.
struct Line {
    stall: StallDetector,
    started_at: Instant,
    now: Duration,
    received: ReceivedSoFar,
    expectation: Expectation,
    /// The time to an answer; `None` during an outage.
    round_trip: Option<Duration>,
    /// The times at which acknowledgements arrive.
    answers: Vec<Duration>,
    pings: Vec<Duration>,
    dials: Vec<Duration>,
}

impl Line {
    fn new(expectation: Expectation) -> Self {
        let started_at = Instant::now();
        Self {
            stall: StallDetector::new(started_at, Some(ms(2)), KEEP_ALIVE, 0.0),
            started_at,
            now: Duration::ZERO,
            received: ReceivedSoFar::default(),
            expectation,
            round_trip: Some(ms(2)),
            answers: Vec::new(),
            pings: Vec::new(),
            dials: Vec::new(),
        }
    }

    fn poll(&mut self) {
        loop {
            let now = self.started_at + self.now;
            match self.stall.poll(now, self.received, self.expectation) {
                StallAction::Ping => {
                    self.pings.push(self.now);
                    self.answers.extend(self.round_trip.map(|round_trip| self.now + round_trip));
                }
                StallAction::Race => self.dials.push(self.now),
                StallAction::Wait(until) => {
                    assert!(until > now, "it waits for a time that has passed");
                    return;
                }
                StallAction::Rest => return,
            }
        }
    }

    /// Receives `bytes`.
    fn arrive(&mut self, bytes: u64) {
        self.received.bytes += bytes;
        self.received.reads += 1;
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
            let pending_answers = self.answers.len();
            self.answers.retain(|at| *at > now);
            for _ in self.answers.len()..pending_answers {
                self.arrive(ACK);
                self.received.acks += 1;
            }
            self.poll();
        }
    }

    /// Returns the numbers of actions since the last call.
    fn take_actions(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.pings).len(), std::mem::take(&mut self.dials).len())
    }
}

#[test]
fn a_link_that_expects_nothing_does_nothing() {
    let mut line = Line::new(Expectation::Nothing);
    line.run(ms(60_000), None);
    assert_eq!(line.take_actions(), (0, 0));
}

#[test]
fn steady_news_costs_few_pings_and_its_silence_is_detected_after_some_periods() {
    for (every, max_ms) in [(16, 300), (100, 900), (400, 3_700)] {
        let mut line = Line::new(Expectation::News);
        line.run(ms(20_000), Some(ms(every)));
        line.take_actions();
        line.run(ms(20_000), Some(ms(every)));
        let (pings, dials) = line.take_actions();
        assert!(pings <= 8 && dials == 0, "every {every} ms: {pings} pings, {dials} dials");
        line.round_trip = None;
        let cut = line.now;
        line.run(ms(5_000), None);
        let first = line.dials.first().copied().expect("it is raced") - cut;
        assert!(first <= ms(max_ms), "every {every} ms: {first:?}");
    }
}

#[test]
fn a_subscription_without_news_costs_a_ping_every_keep_alive() {
    let mut line = Line::new(Expectation::News);
    line.run(ms(10_000), None);
    line.take_actions();
    line.run(ms(60_000), None);
    let (pings, dials) = line.take_actions();
    assert!((23..=25).contains(&pings) && dials == 0, "{pings} pings, {dials} dials");
}

#[test]
fn a_link_waiting_for_a_long_reply_pings_twice_a_second() {
    let mut line = Line::new(Expectation::Reply);
    line.run(ms(2_000), None);
    line.take_actions();
    line.run(ms(10_000), None);
    let (pings, dials) = line.take_actions();
    assert!((18..=21).contains(&pings) && dials == 0, "{pings} pings, {dials} dials");
}

#[test]
fn a_call_in_an_outage_soon_starts_ten_dials_a_second() {
    let mut line = Line::new(Expectation::Nothing);
    line.run(ms(10_000), None);
    line.round_trip = None;
    line.expectation = Expectation::Reply;
    let started_at = line.now;
    line.run(ms(5_000), None);
    assert_eq!(line.pings.len(), 1);
    let first = line.dials[0] - started_at;
    assert!(first <= ms(160), "{first:?}");
    assert!((45..=50).contains(&line.dials.len()), "{} dials", line.dials.len());
    line.take_actions();
    line.arrive(50);
    line.expectation = Expectation::Nothing;
    line.run(ms(5_000), None);
    assert_eq!(line.take_actions(), (0, 0), "it is alive again");
}

#[test]
fn an_unacknowledged_tell_is_followed_by_one_ping_and_does_not_delay_that_of_a_call() {
    let mut line = Line::new(Expectation::Ack);
    line.run(ms(499), None);
    assert_eq!(line.take_actions(), (0, 0));
    line.run(ms(2), None);
    assert_eq!(line.take_actions(), (1, 0));
    line.expectation = Expectation::Nothing;
    line.run(ms(100), None);
    line.expectation = Expectation::Ack;
    line.run(ms(10), None);
    line.expectation = Expectation::Reply;
    line.run(ms(60), None);
    assert_eq!(line.take_actions(), (1, 0));
}

#[test]
fn a_long_round_trip_is_not_taken_for_a_stall() {
    let mut line = Line::new(Expectation::Reply);
    line.stall = StallDetector::new(line.started_at, Some(ms(200)), KEEP_ALIVE, 0.0);
    line.round_trip = Some(ms(280));
    line.run(ms(30_000), None);
    let (pings, dials) = line.take_actions();
    assert!(pings > 20 && dials == 0, "{pings} pings, {dials} dials");
    assert!(line.stall.ping_timeout() >= ms(1_000), "{:?}", line.stall.ping_timeout());
}

#[test]
fn on_a_very_long_round_trip_arrivals_in_between_change_nothing() {
    for expectation in [Expectation::Reply, Expectation::News, Expectation::Ack] {
        let mut line = Line::new(expectation);
        line.stall = StallDetector::new(line.started_at, Some(ms(20_000)), KEEP_ALIVE, 1.0);
        line.round_trip = Some(ms(20_000));
        line.run(ms(60_000), Some(ms(70)));
        line.run(ms(60_000), None);
        assert_eq!(line.take_actions().1, 0);
    }
}

#[test]
fn an_end_that_was_blocked_itself_reads_first() {
    let mut line = Line::new(Expectation::Reply);
    line.run(ms(51), None);
    assert_eq!(line.take_actions(), (1, 0));
    line.answers.clear();
    line.now += ms(20_000);
    line.poll();
    assert_eq!(line.take_actions(), (0, 0), "its thread stood still");
    line.run(ms(200), None);
    let (pings, dials) = line.take_actions();
    assert!(pings == 0 && dials > 0, "{pings} pings, {dials} dials");
}

#[test]
fn an_outage_does_not_count_as_a_round_trip() {
    let mut line = Line::new(Expectation::News);
    line.run(ms(1_000), Some(ms(16)));
    let ping_timeout = line.stall.ping_timeout();
    line.round_trip = None;
    line.run(ms(4_000), None);
    line.received.acks += 1;
    line.arrive(ACK);
    line.poll();
    assert_eq!(line.stall.ping_timeout(), ping_timeout);
}

#[test]
fn a_repeatedly_busy_end_is_given_more_time_until_it_answers_in_time() {
    let mut line = Line::new(Expectation::Reply);
    let ping_timeout = line.stall.ping_timeout();
    (0..10).for_each(|_| line.stall.record_busy());
    assert_eq!(line.stall.ping_timeout(), ping_timeout * MAX_BUSY_FACTOR);
    line.run(ms(5_000), None);
    assert!(line.stall.ping_timeout() <= ping_timeout * 2, "{:?}", line.stall.ping_timeout());
}

#[test]
fn connections_without_data_are_not_replaced_one_after_the_other_forever() {
    let mut line = Line::new(Expectation::Reply);
    for _ in 0..6 {
        line.stall.record_move(line.started_at + line.now, line.received);
    }
    assert!(line.stall.ping_timeout() > ms(1_000));
    line.arrive(1);
    line.stall.record_move(line.started_at + line.now, line.received);
    assert!(line.stall.ping_timeout() <= ms(100));
}

#[test]
fn all_links_together_dial_no_more_than_is_allowed() {
    let started_at = Instant::now();
    let mut budget = DialBudget::new(100, started_at);
    let taken =
        |budget: &mut DialBudget, at: u64| (0..1_000).filter(|_| budget.take(started_at + ms(at))).count();
    assert_eq!(taken(&mut budget, 0), 25);
    assert_eq!(taken(&mut budget, 100), 10);
    assert_eq!((1..=100).map(|tick| taken(&mut budget, 100 + tick * 100)).sum::<usize>(), 1_000);
    assert_eq!(taken(&mut budget, 100_000), 25);
    assert_eq!(taken(&mut DialBudget::new(0, started_at), 5_000), 0);
    assert_eq!(taken(&mut DialBudget::new(1, started_at), 0), 1);
}
