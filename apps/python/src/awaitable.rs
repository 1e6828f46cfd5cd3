//! Waits for asyncio: futures that run on one thread of their own, so that they block no event loop and the mesh never waits for the
//! interpreter.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::prelude::*;
use tokio::runtime::{self, Handle};
use tokio::task::AbortHandle;

use crate::errors;
use crate::process::ForkGuarded;

/// The thread that runs the futures, started with the first of them.
static RUNNER: Mutex<Option<Handle>> = Mutex::new(None);

/// A wait that Python starts, and whose result it takes.
///
/// The result stays here until it is taken, in the very step in which the waiting task continues. Between the end of a wait and that
/// step the task may be cancelled, or its loop closed: then the result is dropped here, and goes back to its queue.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Awaitable {
    state: ForkGuarded<Arc<Mutex<State>>>,
}

/// Converts the result to an object, with the interpreter. Dropping it puts the result back.
type Finish = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

enum State {
    New(Pin<Box<dyn Future<Output = Finish> + Send>>),
    /// With the callback, which is here so that it is dropped with the interpreter.
    Running(AbortHandle, Py<PyAny>),
    Done(Finish),
    Ended,
}

impl Awaitable {
    /// A wait for `future`; `finish` converts its output to an object or an exception.
    pub(crate) fn new<F, S>(future: F, finish: S) -> Self
    where
        F: Future<Output: Send + 'static> + Send + 'static,
        S: FnOnce(Python<'_>, F::Output) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let finished = async move {
            let output = future.await;
            Box::new(move |py: Python<'_>| finish(py, output)) as Finish
        };
        Self { state: ForkGuarded::new(Arc::new(Mutex::new(State::New(Box::pin(finished))))) }
    }

    fn get(&self) -> PyResult<&Arc<Mutex<State>>> {
        self.state
            .get()
            .ok_or_else(|| errors::runtime_error("this wait belongs to the process that was forked"))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Awaitable {
    /// Starts the wait. Calls `done` once, without arguments and on another thread, when there is a result to take; not if the wait is
    /// cancelled before.
    fn start(&self, done: Py<PyAny>) -> PyResult<()> {
        let shared = Arc::clone(self.get()?);
        let mut state = lock(&shared);
        let State::New(future) = std::mem::replace(&mut *state, State::Ended) else {
            return Err(errors::runtime_error("this wait has begun already"));
        };
        let result = Arc::clone(&shared);
        let task = runner()?.spawn(async move {
            let finish = future.await;
            if let Some(done) = store(&result, finish) {
                // While the interpreter ends nothing waits.
                Python::try_attach(|py| tell(done.into_bound(py)));
            }
        });
        *state = State::Running(task.abort_handle(), done);
        Ok(())
    }

    /// Returns the result, or raises the exception; once, after `done` was called.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // Before the result is taken: an exception of a signal handler when this returns would lose it.
        py.check_signals()?;
        let mut state = lock(self.get()?);
        match std::mem::replace(&mut *state, State::Ended) {
            State::Done(finish) => {
                drop(state);
                finish(py)
            }
            other => {
                *state = other;
                Err(errors::runtime_error("this wait has not ended, or was taken"))
            }
        }
    }

    /// Cancels the wait: a call is cancelled at the other end as well, and a result that was not taken goes back to its queue.
    fn cancel(&self) {
        let Some(state) = self.state.get() else { return };
        let state = std::mem::replace(&mut *lock(state), State::Ended);
        if let State::Running(task, _) = &state {
            task.abort();
        }
    }
}

/// Stores a result, and returns the callback to notify. If the wait was cancelled meanwhile, the result goes back to its queue.
fn store(state: &Mutex<State>, finish: Finish) -> Option<Py<PyAny>> {
    let mut state = lock(state);
    match std::mem::replace(&mut *state, State::Ended) {
        State::Running(_, done) => {
            *state = State::Done(finish);
            Some(done)
        }
        // The result is dropped after this, when nothing is locked.
        _ => None,
    }
}

fn tell(done: Bound<'_, PyAny>) {
    if let Err(error) = done.call0() {
        error.write_unraisable(done.py(), Some(&done));
    }
}

fn runner() -> PyResult<Handle> {
    let mut runner = slot();
    if let Some(handle) = &*runner {
        return Ok(handle.clone());
    }
    let made = runtime::Builder::new_current_thread().build()?;
    let handle = made.handle().clone();
    // The thread ends with the process.
    thread::Builder::new().name("meshzero asyncio".into()).spawn(move || made.block_on(pending::<()>()))?;
    *runner = Some(handle.clone());
    Ok(handle)
}

/// The lock on the thread that runs the futures.
pub(crate) type Slot = MutexGuard<'static, Option<Handle>>;

pub(crate) fn slot() -> Slot {
    RUNNER.lock().unwrap_or_else(PoisonError::into_inner)
}
