//! A listener's record of the age of the newest state.

use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::now;

/// The largest age of the newest state, in nanoseconds.
#[derive(Clone, Default)]
pub(crate) struct Ages {
    worst: Arc<AtomicU64>,
    newest: Arc<AtomicU64>,
}

impl Ages {
    /// Prints the record whenever the bench asks, and ends the process with the bench.
    pub(crate) fn serve(&self) {
        let ages = self.clone();
        thread::spawn(move || {
            for line in stdin().lines() {
                if line.is_ok_and(|line| line == "worst") {
                    ages.update();
                    println!("worst {}", ages.worst.swap(0, Ordering::Relaxed) / 1_000_000);
                }
            }
            std::process::exit(0);
        });
    }

    /// Records that a state has arrived that was sent at this time.
    pub(crate) fn arrive(&self, sent: u64) {
        self.update();
        self.newest.fetch_max(sent, Ordering::Relaxed);
    }

    /// Records the current age of the newest state.
    fn update(&self) {
        let newest = self.newest.load(Ordering::Relaxed);
        if newest > 0 {
            self.worst.fetch_max(now().saturating_sub(newest), Ordering::Relaxed);
        }
    }
}
