//! One call at a time, with its duration.

use std::time::{Duration, Instant};

use crate::{Control, Outcome, Plan};

/// The limit of stored round trips; those beyond are counted and not timed.
const KEPT: usize = 4_000_000;

/// Times one call after the other.
#[derive(Debug)]
pub struct RoundTrips {
    control: Control,
    warm_up: Duration,
    measure: Duration,
    number: u64,
    wrong: u64,
    first: Option<Instant>,
    begun: Option<Instant>,
    called: Instant,
    nanos: Vec<u32>,
    counted: u64,
    seconds: f64,
}

impl RoundTrips {
    /// The clock starts with the first call.
    pub fn new(plan: &Plan, control: &Control) -> Self {
        Self {
            control: control.clone(),
            warm_up: plan.warm_up(),
            measure: plan.measure(),
            number: 0,
            wrong: 0,
            first: None,
            begun: None,
            called: Instant::now(),
            nanos: Vec::new(),
            counted: 0,
            seconds: 0.0,
        }
    }

    /// The number for the next call, which begins now, or `None` when enough calls were made.
    pub fn next_number(&mut self) -> Option<u64> {
        let now = Instant::now();
        let first = *self.first.get_or_insert(now);
        match self.begun {
            None if now - first >= self.warm_up => {
                self.control.begin();
                self.begun = Some(Instant::now());
            }
            Some(begun) if now - begun >= self.measure => {
                self.seconds = (now - begun).as_secs_f64();
                self.control.end();
                return None;
            }
            _ => {}
        }
        if self.control.stopped() {
            return None;
        }
        self.number += 1;
        self.called = Instant::now();
        Some(self.number)
    }

    /// Records that the call returned `answer`; `None` if it failed.
    pub fn answered(&mut self, answer: Option<u64>) {
        let took = self.called.elapsed();
        if answer != Some(self.number) {
            self.wrong += 1;
        } else if self.begun.is_some() {
            self.counted += 1;
            if self.nanos.len() < KEPT {
                self.nanos.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
            }
        }
    }

    /// Sends the outcome.
    pub fn tell(mut self) {
        self.nanos.sort_unstable();
        let outcome = Outcome {
            messages: self.counted,
            seconds: self.seconds,
            p50_us: self.percentile(50),
            p99_us: self.percentile(99),
            lost: self.wrong,
            ..Outcome::default()
        };
        self.control.outcome(outcome);
    }

    fn percentile(&self, percent: usize) -> Option<f64> {
        let nanos = self.nanos.get(self.nanos.len() * percent / 100)?;
        Some(f64::from(*nanos) / 1_000.0)
    }
}
