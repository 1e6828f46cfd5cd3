//! The measured window: when it begins, when it ends, and how many were counted between.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Control, Plan};

/// How often it is looked for the first message.
const GLANCE: Duration = Duration::from_millis(1);

/// Waits for the first message and the warm-up, then counts for as long as the plan says. It belongs on a thread of its
/// own, which sleeps nearly always, so that no message pays for looking at a clock.
pub(crate) fn measure(plan: &Plan, control: &Control, count: impl Fn() -> u64) -> (u64, f64) {
    while count() == 0 && !control.stopped() {
        thread::sleep(GLANCE);
    }
    thread::sleep(plan.warm_up());
    control.begin();
    let (before, started) = (count(), Instant::now());
    thread::sleep(plan.measure());
    let (after, seconds) = (count(), started.elapsed().as_secs_f64());
    control.end();
    (after - before, seconds)
}
