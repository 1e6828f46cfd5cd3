//! The measured window: its beginning, its end, and the number of messages between.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Control, Plan};

/// The interval of polling for the first message.
const GLANCE: Duration = Duration::from_millis(1);

/// Waits for the first message and the warm-up, then counts for as long as the plan requires. It belongs on a thread of its own,
/// which sleeps nearly always, so that no message pays for reading a clock.
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
