//! The thread on which a node runs: an actix arbiter, the caller's own or one that the node started, or a `LocalSet`.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{self, ThreadId};

use actix::{Arbiter, ArbiterHandle, System};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task;

use crate::runtime::blocking;
use crate::runtime::shutdown::{ShutdownSignal, TriggerOnDrop};

/// The number of turns that joining leaves to other tasks before the System of its thread counts as not running. In a running
/// System the first turn is enough unless thousands of tasks are ready.
const MAX_YIELDS: usize = 256;

/// The executor of a node's actors and connections. Cheap to clone, usable from any thread.
///
/// One task on the thread receives the work. It is dropped with all other tasks when the thread, its System or its `LocalSet`
/// ends, for whatever reason, and everything that waits for the thread is notified.
#[derive(Debug, Clone)]
pub struct Executor {
    /// Unbounded: every entry has a sender that waits for it, so the number of senders bounds it.
    tasks: mpsc::UnboundedSender<SpawnFn>,
    thread: ThreadId,
    ended: Arc<ShutdownSignal>,
}

/// A unit of work for a thread.
type SpawnFn = Box<dyn FnOnce() + Send>;

/// The mesh has been closed, its thread has ended, or the thread could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mesh has been closed, or its thread has ended")]
pub struct MeshClosed;

impl Executor {
    /// Returns the current thread's arbiter if it is running; otherwise a new thread with its own actix System, which ends when
    /// its [`ExecutorGuard`] is dropped.
    ///
    /// # Errors
    /// [`MeshClosed`] when the new thread could not be started.
    pub(crate) async fn find_or_start() -> Result<(Self, ExecutorGuard), MeshClosed> {
        match Self::current().await {
            Some(executor) => Ok((executor, ExecutorGuard::Borrowed)),
            None => Self::start(),
        }
    }

    /// Returns the current thread's arbiter, if it runs the task that polls this. A System that has ended on this thread, or
    /// that was created and is not running, leaves its arbiter behind; and while a task blocks the thread, even a running
    /// arbiter makes no progress.
    async fn current() -> Option<Self> {
        let arbiter = Arbiter::try_current()?;
        Handle::try_current().ok()?;
        let (tx, mut rx) = oneshot::channel();
        let is_accepted = arbiter.spawn_fn(move || {
            // The receiver may be gone.
            let _ = tx.send(Self::here());
        });
        let mut yields_left = if is_accepted { MAX_YIELDS } else { 0 };
        let executor = poll_fn(|task| match Pin::new(&mut rx).poll(task) {
            Poll::Ready(executor) => Poll::Ready(executor.ok()),
            Poll::Pending if yields_left == 0 => Poll::Ready(None),
            Poll::Pending => {
                yields_left -= 1;
                task.waker().wake_by_ref();
                Poll::Pending
            }
        });
        executor.await.filter(Self::is_here)
    }

    /// Starts a new thread with its own actix System, whatever the current thread runs.
    ///
    /// # Errors
    /// [`MeshClosed`] when the new thread could not be started.
    pub(crate) fn start() -> Result<(Self, ExecutorGuard), MeshClosed> {
        let (tx, rx) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new()
            .name("meshzero".into())
            .spawn(move || {
                let system = System::new();
                let executor = system.block_on(async { Self::here() });
                let started = tx.send((System::current(), executor));
                if started.is_ok()
                    && let Err(error) = system.run()
                {
                    tracing::error!(%error, "the mesh's thread ended with an error");
                }
            })
            .map_err(|_| MeshClosed)?;
        let (system, executor) = rx.recv().map_err(|_| MeshClosed)?;
        Ok((executor, ExecutorGuard::Owned(system)))
    }

    /// Returns the executor of the `LocalSet` in which this is called: for runtimes other than actix's.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    pub(crate) fn local() -> (Self, ExecutorGuard) {
        (Self::here(), ExecutorGuard::Borrowed)
    }

    /// Returns the executor of the System, the arbiter or the `LocalSet` that is running.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    fn here() -> Self {
        let (sender, mut tasks) = mpsc::unbounded_channel::<SpawnFn>();
        let ended = Arc::<ShutdownSignal>::default();
        let trigger_on_drop = TriggerOnDrop(Arc::clone(&ended));
        task::spawn_local(async move {
            let _trigger_on_drop = trigger_on_drop;
            while let Some(task) = tasks.recv().await {
                if catch_unwind(AssertUnwindSafe(task)).is_err() {
                    tracing::error!("a task for the mesh's thread panicked");
                }
            }
        });
        Self { tasks: sender, thread: thread::current().id(), ended }
    }

    /// Returns the executor of an arbiter that the user runs, once that has executed a task.
    ///
    /// # Errors
    /// [`MeshClosed`] when the arbiter has stopped.
    pub(crate) async fn on(arbiter: ArbiterHandle) -> Result<Self, MeshClosed> {
        let (tx, rx) = oneshot::channel();
        let send_executor = move || {
            // The receiver may be gone.
            let _ = tx.send(Self::here());
        };
        if !arbiter.spawn_fn(send_executor) {
            return Err(MeshClosed);
        }
        rx.await.map_err(|_| MeshClosed)
    }

    /// Returns whether the thread has ended, or has stopped running the node's tasks.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_triggered()
    }

    /// Waits, on any executor, for a `future` whose output a task on the thread provides.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread ended first.
    ///
    /// # Panics
    /// When this blocks that very thread.
    ///
    /// # Cancel safety
    /// This method is cancel safe if `future` is.
    pub(crate) async fn wait_for<T>(&self, future: impl Future<Output = T>) -> Result<T, MeshClosed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.ended.triggered() => Err(MeshClosed),
            () = blocking::detect_blocking(self) => Err(MeshClosed),
        }
    }

    /// Runs `task` on the node's thread.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread has ended; the task is dropped.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<(), MeshClosed> {
        self.tasks.send(Box::new(task)).map_err(|_| MeshClosed)
    }

    /// Runs the future that `start` creates on the node's thread. The future itself need not be `Send`.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread has ended.
    pub fn spawn<F: Future<Output = ()> + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), MeshClosed> {
        self.run(move || drop(actix::spawn(start())))
    }

    /// Runs a future on the node's thread and waits for its output, on any executor.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread ended before the future did.
    ///
    /// # Cancel safety
    /// This method is not cancel safe: dropping the future loses the output. The work continues.
    pub(crate) async fn run_async<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, MeshClosed> {
        let (tx, rx) = oneshot::channel();
        self.run(move || {
            spawn_boxed(Box::pin(async move {
                // The receiver may be gone, and then the output does not matter.
                let _ = tx.send(start().await);
            }));
        })?;
        self.wait_for(rx).await?.map_err(|_| MeshClosed)
    }

    /// Returns whether the current thread is the node's.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }
}

/// Runs a boxed future on the current thread's arbiter or `LocalSet`, so that tokio's code for tasks is not compiled for each type
/// of future. For tasks that start rarely and are seldom polled.
pub(crate) fn spawn_boxed(future: Pin<Box<dyn Future<Output = ()>>>) {
    actix::spawn(future);
}

/// The owner of the thread on which a node runs.
#[derive(Debug)]
pub(crate) enum ExecutorGuard {
    /// The user: the thread outlives the node.
    Borrowed,
    /// The node: the thread ends when this is dropped.
    Owned(System),
}

impl Drop for ExecutorGuard {
    /// Ends the thread if the node owns it.
    fn drop(&mut self) {
        if let Self::Owned(system) = self {
            system.stop();
        }
    }
}
