//! The programs that run for messages, so that they can be ended with the command that started them.

use std::sync::Arc;

use tokio::sync::watch;

/// The programs that run for messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    stage: Arc<watch::Sender<Stage>>,
}

/// How far the command that started them is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// What was accepted is finished, for a while, and links end.
    Leaving,
    Over,
}

/// One program's view of it: each that runs holds one.
#[derive(Debug)]
pub(crate) struct Ending(watch::Receiver<Stage>);

impl Programs {
    pub(crate) fn new() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Serving)) }
    }

    /// Notes that the command is about to end, with whatever they have not finished by then.
    pub(crate) fn leave(&self) {
        self.stage.send_replace(Stage::Leaving);
    }

    /// Returns whether the command is about to end, or has ended.
    pub(crate) fn are_left(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }

    /// Ends all of them, and waits until they have ended. No other begins.
    pub(crate) async fn end(&self) {
        self.stage.send_replace(Stage::Over);
        self.stage.closed().await;
    }

    /// For one that is about to begin; `None` if it must not any more.
    pub(crate) fn ending(&self) -> Option<Ending> {
        let stage = self.stage.subscribe();
        let is_open = *stage.borrow() != Stage::Over;
        is_open.then_some(Ending(stage))
    }
}

impl Ending {
    /// Waits until the program has to end.
    pub(crate) async fn begun(&mut self) {
        // Without anybody to say so, it is over as well.
        let _ = self.0.wait_for(|stage| *stage == Stage::Over).await;
    }
}
