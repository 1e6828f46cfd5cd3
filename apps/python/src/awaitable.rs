//! Waits for asyncio: futures that run on one thread of their own, so that no event loop is held up and the mesh waits
//! for no interpreter.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::prelude::*;
use tokio::runtime::{self, Handle};
use tokio::task::AbortHandle;

use crate::errors;
use crate::process::ForkGuarded;

/// The thread that runs them, from the first that is started.
static RUNNER: Mutex<Option<Handle>> = Mutex::new(None);

/// Something to wait for that has not begun.
///
/// The result stays here until it is taken, in the very step in which the task that waited goes on. Between the end of a wait and
/// that step the task may be cancelled, or its loop closed: then the result is dropped here, and goes back to where it was.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Awaitable {
    state: ForkGuarded<Arc<Mutex<State>>>,
}

/// Makes an object of the result, once there is an interpreter. Dropping it gives the result back.
type Finish = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

enum State {
    New(Pin<Box<dyn Future<Output = Finish> + Send>>),
    /// With what is called at the end; here, so that it is dropped where there is an interpreter.
    Running(AbortHandle, Py<PyAny>),
    Done(Finish),
    Ended,
}

impl Awaitable {
    /// A wait for `future`; `finish` makes an object of what comes of it, or an exception.
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
    /// Begins. `done` is called once, without arguments and on another thread, when there is something to take; not if it is
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
                // An interpreter that ends has nobody who waits.
                Python::try_attach(|py| tell(done.into_bound(py)));
            }
        });
        *state = State::Running(task.abort_handle(), done);
        Ok(())
    }

    /// The result, or the exception; once, after `done` was called.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // Before it is taken: what a signal handler raises when this returns would lose it.
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

    /// Gives it up: a call is cancelled at the other end as well, and what has arrived and was not taken goes back to where
    /// it was.
    fn cancel(&self) {
        let Some(state) = self.state.get() else { return };
        let state = std::mem::replace(&mut *lock(state), State::Ended);
        if let State::Running(task, _) = &state {
            task.abort();
        }
    }
}

/// Keeps what has come for who waits, who is to be told. If it was cancelled meanwhile, what has come goes back.
fn store(state: &Mutex<State>, finish: Finish) -> Option<Py<PyAny>> {
    let mut state = lock(state);
    match std::mem::replace(&mut *state, State::Ended) {
        State::Running(_, done) => {
            *state = State::Done(finish);
            Some(done)
        }
        // What has come is dropped after this, when nothing is locked any more.
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
    // It ends with the process.
    thread::Builder::new().name("meshzero asyncio".into()).spawn(move || made.block_on(pending::<()>()))?;
    *runner = Some(handle.clone());
    Ok(handle)
}

/// The place of the thread, for one thread at a time.
pub(crate) type Slot = MutexGuard<'static, Option<Handle>>;

pub(crate) fn slot() -> Slot {
    RUNNER.lock().unwrap_or_else(PoisonError::into_inner)
}
