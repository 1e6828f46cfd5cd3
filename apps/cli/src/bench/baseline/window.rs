//! The measured time of a baseline, after a warm-up.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::time;

/// The measured time. Senders read its phase, so that none reads a clock for a packet.
#[derive(Debug, Default)]
pub(super) struct Window(AtomicU8);

const MEASURED: u8 = 1;
const OVER: u8 = 2;

impl Window {
    /// Returns the time before a measured time of `time`.
    pub(super) fn warm_up(time: Duration) -> Duration {
        time / 4
    }

    /// Passes through all phases and returns the duration of the measured one.
    ///
    /// This method is not cancel safe: senders do not end when it is dropped.
    pub(super) async fn pass(&self, time: Duration) -> Duration {
        time::sleep(Self::warm_up(time)).await;
        let begun = Instant::now();
        self.0.store(MEASURED, Ordering::Relaxed);
        time::sleep(time).await;
        self.0.store(OVER, Ordering::Relaxed);
        begun.elapsed()
    }

    /// Returns whether a packet of now counts.
    pub(super) fn is_measured(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MEASURED
    }

    /// Returns whether senders have to end.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OVER
    }
}
