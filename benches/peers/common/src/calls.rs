//! Many calls in flight at once: numbers for them, and the clock that counts those with the right reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::{Control, Outcome, Plan, window};

#[derive(Debug, Default)]
#[repr(align(128))]
struct Answers {
    right: AtomicU64,
    wrong: AtomicU64,
}

/// All callers, and the clock that watches them.
#[derive(Debug)]
pub struct Callers {
    answers: Vec<Arc<Answers>>,
}

/// A caller: the numbers and results of its calls.
#[derive(Debug)]
pub struct Caller {
    control: Control,
    next: u64,
    right: u64,
    answers: Arc<Answers>,
}

impl Callers {
    /// Starts the clock and returns this many callers. The clock sends the outcome; the process runs until [`Control::over`].
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(plan: &Plan, control: &Control, callers: usize) -> crate::Result<Vec<Caller>> {
        let answers: Vec<Arc<Answers>> = (0..callers).map(|_| Arc::default()).collect();
        // Numbers of different callers differ, so that a reply to another call is detected.
        let caller = |(index, answers): (usize, &Arc<Answers>)| Caller {
            control: control.clone(),
            next: (index as u64) << 40,
            right: 0,
            answers: Arc::clone(answers),
        };
        let given = answers.iter().enumerate().map(caller).collect();
        let (callers, plan, control) = (Self { answers }, plan.clone(), control.clone());
        thread::Builder::new().name("clock".to_owned()).spawn(move || callers.run(&plan, &control))?;
        Ok(given)
    }

    fn run(&self, plan: &Plan, control: &Control) {
        let (messages, seconds) = window::measure(plan, control, || self.sum(|answers| &answers.right));
        let lost = self.sum(|answers| &answers.wrong);
        control.outcome(Outcome { messages, seconds, lost, ..Outcome::default() });
    }

    fn sum(&self, which: impl Fn(&Answers) -> &AtomicU64) -> u64 {
        self.answers.iter().map(|answers| which(answers).load(Ordering::Relaxed)).sum()
    }
}

impl Caller {
    /// The number for the next call, or `None` when enough calls were made.
    #[inline]
    pub fn next_number(&mut self) -> Option<u64> {
        if self.control.stopped() {
            return None;
        }
        let number = self.next;
        self.next += 1;
        Some(number)
    }

    /// Records that the call of that number returned `answer`; `None` if it failed.
    #[inline]
    pub fn answered(&mut self, number: u64, answer: Option<u64>) {
        if answer == Some(number) {
            self.right += 1;
            self.answers.right.store(self.right, Ordering::Relaxed);
        } else {
            self.answers.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }
}
