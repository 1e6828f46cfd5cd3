//! The thread that a node lives on: an actix arbiter, the caller's own or one that the node brought, or a `LocalSet`.

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

/// The turns that a caller who joins leaves to others before the System of its thread counts as not running. In a System that
/// runs, the first turn is enough unless thousands of tasks are ready.
const TURNS: usize = 256;

/// Where a node's actors and connections run. Cheap to clone, usable from any thread.
///
/// One task of the thread takes up what is to be done there. It is dropped with all other tasks when the thread, its System or its
/// `LocalSet` ends, however that comes about, and then everybody who waits for the thread is told.
#[derive(Debug, Clone)]
pub struct Executor {
    /// No more waits here than those wait for who sent it.
    tasks: mpsc::UnboundedSender<SpawnFn>,
    thread: ThreadId,
    ended: Arc<ShutdownSignal>,
}

/// A piece of work for a thread.
type SpawnFn = Box<dyn FnOnce() + Send>;

/// The node's thread has ended, or could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread that this mesh lives on has ended")]
pub struct MeshClosed;

impl Executor {
    /// The current thread's arbiter where there is one that runs; otherwise a new thread with an actix System of its own,
    /// which ends when its [`ExecutorGuard`] is dropped.
    ///
    /// # Errors
    /// [`MeshClosed`] when the new thread could not be started.
    pub(crate) async fn find_or_start() -> Result<(Self, ExecutorGuard), MeshClosed> {
        match Self::current().await {
            Some(home) => Ok((home, ExecutorGuard::Guest)),
            None => Self::start(),
        }
    }

    /// The current thread's arbiter, if it is running what this is polled by. A System that has ended on this thread leaves its
    /// arbiter behind, and so does one that was made and is not running; whoever blocks the thread keeps a running one from its work.
    async fn current() -> Option<Self> {
        let arbiter = Arbiter::try_current()?;
        Handle::try_current().ok()?;
        let (tell, mut told) = oneshot::channel();
        let is_taken = arbiter.spawn_fn(move || {
            // Nobody waits any more when this fails.
            let _ = tell.send(Self::here());
        });
        let mut turns = if is_taken { TURNS } else { 0 };
        let home = poll_fn(|task| match Pin::new(&mut told).poll(task) {
            Poll::Ready(home) => Poll::Ready(home.ok()),
            Poll::Pending if turns == 0 => Poll::Ready(None),
            Poll::Pending => {
                turns -= 1;
                task.waker().wake_by_ref();
                Poll::Pending
            }
        });
        home.await.filter(Self::is_here)
    }

    /// A new thread with an actix System of its own, whatever the current thread is.
    ///
    /// # Errors
    /// [`MeshClosed`] when the new thread could not be started.
    pub(crate) fn start() -> Result<(Self, ExecutorGuard), MeshClosed> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new()
            .name("meshzero".into())
            .spawn(move || {
                let system = System::new();
                let home = system.block_on(async { Self::here() });
                let started = tell.send((System::current(), home));
                if started.is_ok()
                    && let Err(error) = system.run()
                {
                    tracing::error!(%error, "the thread of the mesh ended in an error");
                }
            })
            .map_err(|_| MeshClosed)?;
        let (system, home) = told.recv().map_err(|_| MeshClosed)?;
        Ok((home, ExecutorGuard::Owner(system)))
    }

    /// The `LocalSet` that this is called in, for as long as that lives: for runtimes that are not actix's.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    pub(crate) fn local() -> (Self, ExecutorGuard) {
        (Self::here(), ExecutorGuard::Guest)
    }

    /// The System, the arbiter or the `LocalSet` whose turn it is.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    fn here() -> Self {
        let (sender, mut tasks) = mpsc::unbounded_channel::<SpawnFn>();
        let ended = Arc::<ShutdownSignal>::default();
        let last = TriggerOnDrop(Arc::clone(&ended));
        task::spawn_local(async move {
            let _last = last;
            while let Some(task) = tasks.recv().await {
                if catch_unwind(AssertUnwindSafe(task)).is_err() {
                    tracing::error!("what was to be done on the thread of the mesh panicked");
                }
            }
        });
        Self { tasks: sender, thread: thread::current().id(), ended }
    }

    /// The thread of an arbiter that the user runs. Waits until that has its turn.
    ///
    /// # Errors
    /// [`MeshClosed`] when the arbiter has stopped.
    pub(crate) async fn on(arbiter: ArbiterHandle) -> Result<Self, MeshClosed> {
        let (tell, told) = oneshot::channel();
        let say = move || {
            // Nobody waits any more when this fails.
            let _ = tell.send(Self::here());
        };
        if !arbiter.spawn_fn(say) {
            return Err(MeshClosed);
        }
        told.await.map_err(|_| MeshClosed)
    }

    /// Returns whether the thread has ended, or has stopped running what the node is.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_triggered()
    }

    /// Waits for an `answer` that somebody on the thread is to give, on any executor.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread has ended before.
    ///
    /// # Panics
    /// When this blocks the very thread.
    ///
    /// # Cancel safety
    /// This method is as cancel safe as `answer`.
    pub(crate) async fn hear<T>(&self, answer: impl Future<Output = T>) -> Result<T, MeshClosed> {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = self.ended.triggered() => Err(MeshClosed),
            () = blocking::notice(self) => Err(MeshClosed),
        }
    }

    /// Runs `task` on the node's thread.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread has ended; the task is dropped.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<(), MeshClosed> {
        self.tasks.send(Box::new(task)).map_err(|_| MeshClosed)
    }

    /// Runs the future that `start` makes on the node's thread. The future itself need not be `Send`.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread has ended.
    pub fn spawn<F: Future<Output = ()> + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), MeshClosed> {
        self.run(move || drop(actix::spawn(start())))
    }

    /// Runs a future on the node's thread and waits for what it gives, on any executor.
    ///
    /// # Errors
    /// [`MeshClosed`] when the thread has ended before the future did.
    ///
    /// # Cancel safety
    /// Dropping this stops waiting; the future goes on.
    pub(crate) async fn run_async<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, MeshClosed> {
        let (tell, told) = oneshot::channel();
        self.spawn(move || async move {
            // Nobody waits any more when this fails, and then nobody misses the answer.
            let _ = tell.send(start().await);
        })?;
        self.hear(told).await?.map_err(|_| MeshClosed)
    }

    /// Returns whether the current thread is the node's.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }
}

/// The owner of the thread that a node lives on.
#[derive(Debug)]
pub(crate) enum ExecutorGuard {
    /// The user's: it outlives the node.
    Guest,
    /// The node's own: it ends when this is dropped.
    Owner(System),
}

impl Drop for ExecutorGuard {
    /// Ends the thread if it is the node's own.
    fn drop(&mut self) {
        if let Self::Owner(system) = self {
            system.stop();
        }
    }
}
