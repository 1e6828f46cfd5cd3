//! How far a run is, on standard error while that is a terminal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// A bar that shows time: how much of the run is over. It is not there unless standard error is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Up to where time has been shown.
    shown: Cell<Instant>,
}

impl Progress {
    /// A bar for a run that takes about so long.
    pub(crate) fn new(run: Duration) -> Self {
        let bar = ProgressBar::new(run.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
            bar.set_style(style);
        }
        Self { bar, shown: Cell::new(Instant::now()) }
    }

    /// What goes on from here.
    pub(crate) fn stage(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
        self.shown.set(Instant::now());
    }

    /// Waits until then, and shows it.
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

    /// Shows that so much is over which nobody watched.
    pub(crate) fn skip(&self, time: Duration) {
        self.bar.inc(time.as_millis() as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
