//! The threads of a baseline under tokio: those of a runtime of its own, or this one.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The workers of a runtime: tokio's default on two cores, and enough for a connection, where one task writes.
const WORKERS: usize = 2;

/// The threads on which the tasks of a baseline run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// This thread, with everything else of this process.
    One,
    /// The workers of a runtime of its own, as in most programs that use tokio.
    Workers,
}

/// A runtime with workers. Dropping it ends its tasks and does not wait for them.
#[derive(Debug)]
pub(super) struct Workers(Option<Runtime>);

impl Workers {
    pub(super) fn start() -> io::Result<Self> {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(WORKERS).thread_name("bare tokio").enable_io().enable_time();
        Ok(Self(Some(runtime.build()?)))
    }

    /// Returns the handle for spawning on it.
    pub(super) fn handle(&self) -> Handle {
        // The runtime is there until it is dropped.
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // To wait is forbidden under tokio, where it is dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Threads {
    /// Returns how a baseline on these threads is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "bare TCP, tokio, one thread",
            Self::Workers => "bare TCP, tokio",
        }
    }

    /// Runs `work` as a task of these threads and waits for its end.
    ///
    /// # Errors
    /// Those of `work`, or the system refuses a thread.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let ended = match self {
            Self::One => tokio::spawn(work).await,
            Self::Workers => Workers::start()?.handle().spawn(work).await,
        };
        ended.map_err(io::Error::other)?
    }
}
