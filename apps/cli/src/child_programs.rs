//! The running programs of `--exec`, which end with the command that started them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The running programs of `--exec`. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ChildPrograms {
    stage: Arc<watch::Sender<Stage>>,
}

/// The lifecycle of the command that started them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// Accepted messages are finished until then, if there is a limit. After that the command closes links.
    Leaving {
        until: Option<Instant>,
    },
    Over,
}

/// A guard that each running program holds, with the request to end.
#[derive(Debug)]
pub(crate) struct ProgramGuard(watch::Receiver<Stage>);

impl ChildPrograms {
    pub(crate) fn new() -> Self {
        Self { stage: Arc::new(watch::Sender::new(Stage::Serving)) }
    }

    /// Notes that the command is shutting down and closes links after `drain`.
    pub(crate) fn begin_drain(&self, drain: Duration) {
        self.stage.send_replace(Stage::Leaving { until: Instant::now().checked_add(drain) });
    }

    /// Returns whether the command may have closed the links of callers.
    pub(crate) fn has_closed_links(&self) -> bool {
        match *self.stage.borrow() {
            Stage::Serving => false,
            Stage::Leaving { until } => until.is_some_and(|until| until <= Instant::now()),
            Stage::Over => true,
        }
    }

    /// Waits until the programs have to end.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn wait_for_shutdown(&self) {
        ProgramGuard(self.stage.subscribe()).shutdown().await;
    }

    /// Ends all programs, and waits until they have ended. No other starts.
    pub(crate) async fn shut_down(&self) {
        self.stage.send_replace(Stage::Over);
        self.stage.closed().await;
    }

    /// Returns the guard of a program about to start; `None` if it must not any more.
    pub(crate) fn register(&self) -> Option<ProgramGuard> {
        let stage = self.stage.subscribe();
        let is_open = *stage.borrow() != Stage::Over;
        is_open.then_some(ProgramGuard(stage))
    }
}

impl ProgramGuard {
    /// Waits until the program has to end.
    pub(crate) async fn shutdown(&mut self) {
        // Without a sender it is over as well.
        let _ = self.0.wait_for(|stage| *stage == Stage::Over).await;
    }
}
