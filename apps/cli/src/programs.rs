//! The programs that run for messages, so that they can be ended with the command that started them.

use std::sync::Arc;

use tokio::sync::watch;

/// The programs that run for messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    ending: Arc<watch::Sender<bool>>,
}

/// One program's view of it: each that runs holds one.
#[derive(Debug)]
pub(crate) struct Ending(watch::Receiver<bool>);

impl Programs {
    pub(crate) fn new() -> Self {
        Self { ending: Arc::new(watch::Sender::new(false)) }
    }

    /// Ends all of them, and waits until they have ended. No other begins.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        self.ending.closed().await;
    }

    /// For one that is about to begin; `None` if it must not any more.
    pub(crate) fn ending(&self) -> Option<Ending> {
        let ending = self.ending.subscribe();
        let is_open = !*ending.borrow();
        is_open.then_some(Ending(ending))
    }
}

impl Ending {
    /// Waits until the program has to end.
    pub(crate) async fn begun(&mut self) {
        // Without anybody to say so, it is over as well.
        let _ = self.0.wait_for(|ending| *ending).await;
    }
}
