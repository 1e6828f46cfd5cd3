//! A progress bar on standard error, if that is a terminal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time;

/// The interval between two movements of the bar.
const TICK: Duration = Duration::from_millis(100);

/// A bar of the elapsed time of a run; hidden unless standard error is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The time up to which the bar has moved.
    shown: Cell<Instant>,
}

impl Progress {
    /// Creates a bar for a run of about this duration.
    pub(crate) fn new(run: Duration) -> Self {
        let bar = ProgressBar::new(run.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        Self { bar, shown: Cell::new(Instant::now()) }
    }

    /// Sets the name of the current stage.
    pub(crate) fn stage(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
        self.shown.set(Instant::now());
    }

    /// Waits until `then`, moving the bar.
    pub(crate) async fn wait_until(&self, then: Instant) {
        loop {
            let now = Instant::now();
            self.bar.inc((now - self.shown.get()).as_millis() as u64);
            self.shown.set(now);
            if now >= then {
                return;
            }
            let next = if self.bar.is_hidden() { then } else { then.min(now + TICK) };
            time::sleep_until(next.into()).await;
        }
    }

    /// Moves the bar by a time that has passed elsewhere.
    pub(crate) fn skip(&self, time: Duration) {
        self.bar.inc(time.as_millis() as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
