//! A moment that comes once: the end of a service or of a node, for all who wait for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// An end that is told once and heard by everybody, also by who asks afterwards.
#[derive(Debug)]
pub struct Ending {
    /// Never has a permit: whoever waits for one waits for the closing.
    gate: Semaphore,
}

impl Default for Ending {
    fn default() -> Self {
        Self { gate: Semaphore::new(0) }
    }
}

impl Ending {
    /// It is over.
    pub fn tell(&self) {
        self.gate.close();
    }

    /// Whether it is over.
    pub fn has_come(&self) -> bool {
        self.gate.is_closed()
    }

    /// Waits until it is over.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn come(&self) {
        // Only ever closed.
        let _ = self.gate.acquire().await;
    }
}

/// Tells an end when it is dropped, be it that the thread ends on which it was to be told.
#[derive(Debug)]
pub(crate) struct Last(pub(crate) Arc<Ending>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.tell();
    }
}
