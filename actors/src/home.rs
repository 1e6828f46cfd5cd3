//! The thread that a node lives on: an actix arbiter, the caller's own or one that the node brought, or a `LocalSet`.

use std::future::Future;
use std::thread::{self, ThreadId};

use actix::{Arbiter, ArbiterHandle, System};
use tokio::sync::{mpsc, oneshot};
use tokio::task;

/// Where a node's actors and connections run. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Home {
    way: Way,
    thread: ThreadId,
}

/// The way to a thread.
#[derive(Debug, Clone)]
enum Way {
    Arbiter(ArbiterHandle),
    /// To the `LocalSet` where somebody takes up what comes. No more waits there than those wait for who sent it.
    Local(mpsc::UnboundedSender<Task>),
}

/// What is to be done on a thread.
type Task = Box<dyn FnOnce() + Send>;

/// The node's thread has ended, or could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread that this mesh lives on has ended")]
pub struct Gone;

impl Home {
    /// The current thread's arbiter where there is one; otherwise a new thread with an actix System of its own,
    /// which ends when its [`Lodging`] is dropped.
    ///
    /// # Errors
    /// [`Gone`] when the new thread could not be started.
    pub fn find_or_start() -> Result<(Self, Lodging), Gone> {
        match Arbiter::try_current() {
            Some(arbiter) => Ok((Self::at(arbiter, thread::current().id()), Lodging::Guest)),
            None => Self::start(),
        }
    }

    /// A new thread with an actix System of its own, whatever the current thread is.
    ///
    /// # Errors
    /// [`Gone`] when the new thread could not be started.
    pub fn start() -> Result<(Self, Lodging), Gone> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("meshzero".into())
            .spawn(move || {
                let system = System::new();
                let started = tell.send((System::current(), Arbiter::current()));
                if started.is_ok()
                    && let Err(error) = system.run()
                {
                    tracing::error!(%error, "the thread of the mesh ended in an error");
                }
            })
            .map_err(|_| Gone)?;
        let (system, arbiter) = told.recv().map_err(|_| Gone)?;
        let thread = thread.thread().id();
        Ok((Self::at(arbiter, thread), Lodging::Owner(system)))
    }

    /// The `LocalSet` that this is called in, for as long as that lives: for runtimes that are not actix's.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    pub fn local() -> (Self, Lodging) {
        let (sender, mut tasks) = mpsc::unbounded_channel::<Task>();
        task::spawn_local(async move {
            while let Some(task) = tasks.recv().await {
                task();
            }
        });
        (Self { way: Way::Local(sender), thread: thread::current().id() }, Lodging::Guest)
    }

    fn at(arbiter: ArbiterHandle, thread: ThreadId) -> Self {
        Self { way: Way::Arbiter(arbiter), thread }
    }

    /// The thread of an arbiter that the user runs.
    ///
    /// # Errors
    /// [`Gone`] when the arbiter has stopped.
    pub async fn on(arbiter: ArbiterHandle) -> Result<Self, Gone> {
        let (tell, told) = oneshot::channel();
        let say = move || {
            // Nobody waits any more when this fails.
            let _ = tell.send(thread::current().id());
        };
        if !arbiter.spawn_fn(say) {
            return Err(Gone);
        }
        let thread = told.await.map_err(|_| Gone)?;
        Ok(Self::at(arbiter, thread))
    }

    /// Runs `task` on the node's thread.
    ///
    /// # Errors
    /// [`Gone`] when the thread has ended; the task is dropped.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<(), Gone> {
        let is_taken = match &self.way {
            Way::Arbiter(arbiter) => arbiter.spawn_fn(task),
            Way::Local(tasks) => tasks.send(Box::new(task)).is_ok(),
        };
        if is_taken { Ok(()) } else { Err(Gone) }
    }

    /// Runs the future that `start` makes on the node's thread. The future itself need not be `Send`.
    ///
    /// # Errors
    /// [`Gone`] when the thread has ended.
    pub fn spawn<F: Future<Output = ()> + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), Gone> {
        self.run(move || drop(actix::spawn(start())))
    }

    /// Runs a future on the node's thread and waits for what it gives, on any executor.
    ///
    /// # Errors
    /// [`Gone`] when the thread has ended before the future did.
    ///
    /// # Cancel safety
    /// Dropping this stops waiting; the future goes on.
    pub async fn ask<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, Gone> {
        let (tell, told) = oneshot::channel();
        self.spawn(move || async move {
            // Nobody waits any more when this fails, and then nobody misses the answer.
            let _ = tell.send(start().await);
        })?;
        told.await.map_err(|_| Gone)
    }

    /// Whether the current thread is the node's.
    pub fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }
}

/// Whose thread a node lives on.
#[derive(Debug)]
pub enum Lodging {
    /// The user's: it outlives the node.
    Guest,
    /// The node's own: it ends when this is dropped.
    Owner(System),
}

impl Drop for Lodging {
    /// Ends the thread if it is the node's own.
    fn drop(&mut self) {
        if let Self::Owner(system) = self {
            system.stop();
        }
    }
}
