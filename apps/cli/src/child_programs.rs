//! The programs that run for messages, so that they can be ended with the command that started them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The programs that run for messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ChildPrograms {
    stage: Arc<watch::Sender<Stage>>,
}

/// The stages of the command that started them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Accepted messages are finished until then, if there is an end to that. From then on this command ends links.
    Leaving {
        until: Option<Instant>,
    },
    Over,
}

/// One program's view of it: each that runs holds one.
#[derive(Debug)]
pub(crate) struct ProgramGuard(watch::Receiver<Stage>);

impl ChildPrograms {
    pub(crate) fn new() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Serving)) }
    }

    /// Notes that the command is about to end, with whatever they have not finished within `drain`.
    pub(crate) fn leave(&self, drain: Duration) {
        self.stage.send_replace(Stage::Leaving { until: Instant::now().checked_add(drain) });
    }

    /// Returns whether the command may have ended the links of those who called.
    pub(crate) fn are_cut_off(&self) -> bool {
        match *self.stage.borrow() {
            Stage::Serving => false,
            Stage::Leaving { until } => until.is_some_and(|until| until <= Instant::now()),
            Stage::Over => true,
        }
    }

    /// Waits until they have to end.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn over(&self) {
        ProgramGuard(self.stage.subscribe()).begun().await;
    }

    /// Ends all of them, and waits until they have ended. No other begins.
    pub(crate) async fn end(&self) {
        self.stage.send_replace(Stage::Over);
        self.stage.closed().await;
    }

    /// For one that is about to begin; `None` if it must not any more.
    pub(crate) fn ending(&self) -> Option<ProgramGuard> {
        let stage = self.stage.subscribe();
        let is_open = *stage.borrow() != Stage::Over;
        is_open.then_some(ProgramGuard(stage))
    }
}

impl ProgramGuard {
    /// Waits until the program has to end.
    pub(crate) async fn begun(&mut self) {
        // Without anybody to say so, it is over as well.
        let _ = self.0.wait_for(|stage| *stage == Stage::Over).await;
    }
}
