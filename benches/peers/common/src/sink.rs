//! One way: the numbers that a sender gives its messages, and the clock of the receivers.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Control, Counts, Outcome, Plan, Tally, window};

/// The time without arrivals, after the sender has stopped, after which the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(5);

/// The numbers for the messages of one sender, until it is told to stop.
#[derive(Debug)]
pub struct Numbers {
    control: Control,
    next: u64,
}

impl Numbers {
    /// Numbers from 0 on.
    pub fn new(control: &Control) -> Self {
        Self { control: control.clone(), next: 0 }
    }

    /// The next number, or `None` when enough messages were sent.
    #[inline]
    pub fn next_number(&mut self) -> Option<u64> {
        if self.control.stopped() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        Some(number)
    }

    /// Reports how many were sent; the receivers wait for the last.
    pub fn tell(self) {
        self.control.sent(self.next);
    }
}

/// The receivers, and the clock that watches them.
#[derive(Debug)]
pub struct Sink {
    counts: Vec<Arc<Counts>>,
}

impl Sink {
    /// Starts the clock and returns a tally for each of this many receivers. The clock sends the outcome; the process runs until
    /// [`Control::over`].
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(plan: &Plan, control: &Control, receivers: usize) -> crate::Result<Vec<Tally>> {
        let counts: Vec<Arc<Counts>> = (0..receivers).map(|_| Arc::default()).collect();
        let tallies = counts.iter().cloned().map(Tally::new).collect();
        let (sink, plan, control) = (Self { counts }, plan.clone(), control.clone());
        thread::Builder::new().name("clock".to_owned()).spawn(move || sink.run(&plan, &control))?;
        Ok(tallies)
    }

    fn run(&self, plan: &Plan, control: &Control) {
        let (messages, seconds) = window::measure(plan, control, || self.received());
        let sent = crate::block_on(control.total());
        self.wait_for_the_rest(sent);
        let mut outcome = Outcome { messages, seconds, ..Outcome::default() };
        for counts in &self.counts {
            outcome.repeated += counts.repeated();
            outcome.reordered += counts.reordered();
        }
        outcome.lost = self.missing(sent);
        control.outcome(outcome);
    }

    fn wait_for_the_rest(&self, sent: u64) {
        let (mut before, mut since) = (self.received(), Instant::now());
        while self.missing(sent) > 0 && since.elapsed() < PATIENCE {
            thread::sleep(GLANCE);
            let received = self.received();
            if received != before {
                (before, since) = (received, Instant::now());
            }
        }
    }

    fn received(&self) -> u64 {
        self.counts.iter().map(|counts| counts.received()).sum()
    }

    fn missing(&self, sent: u64) -> u64 {
        self.counts.iter().map(|counts| (sent + counts.repeated()).saturating_sub(counts.received())).sum()
    }
}
