//! What asyncio waits for: futures that run on one thread of their own, so that no event loop is held up and the mesh waits
//! for no interpreter.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use pyo3::prelude::*;
use tokio::runtime::{self, Handle};
use tokio::task::AbortHandle;

use crate::errors;

/// The thread that runs them, from the first that is started.
static RUNNER: Mutex<Option<Handle>> = Mutex::new(None);

/// Something to wait for that has not begun.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Later {
    state: Mutex<State>,
}

/// What a wait has ended in, as an object once there is an interpreter.
type Show = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

enum State {
    New(Pin<Box<dyn Future<Output = Show> + Send>>),
    Begun(AbortHandle),
    Over,
}

impl Later {
    /// Waits for `future` once it has begun; `show` makes an object of what comes of it, or an exception.
    pub(crate) fn new<F, S>(future: F, show: S) -> Self
    where
        F: Future<Output: Send + 'static> + Send + 'static,
        S: FnOnce(Python<'_>, F::Output) -> PyResult<Py<PyAny>> + Send + 'static,
    {
        let shown = async move {
            let output = future.await;
            Box::new(move |py: Python<'_>| show(py, output)) as Show
        };
        Self { state: Mutex::new(State::New(Box::pin(shown))) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Later {
    /// Begins. `done` is called once, on another thread, with what came of it and None, or None and the exception; not if
    /// it is cancelled before.
    fn start(&self, done: Py<PyAny>) -> PyResult<()> {
        let mut state = self.lock();
        let State::New(future) = std::mem::replace(&mut *state, State::Over) else {
            return Err(errors::broken("this wait has begun already"));
        };
        let task = runner()?.spawn(async move {
            let show = future.await;
            // An interpreter that ends has nobody who waits.
            Python::try_attach(|py| tell(py, show, &done));
        });
        *state = State::Begun(task.abort_handle());
        Ok(())
    }

    /// Gives it up: a call is cancelled at the other end as well, and nothing that has arrived is lost.
    fn cancel(&self) {
        if let State::Begun(task) = std::mem::replace(&mut *self.lock(), State::Over) {
            task.abort();
        }
    }
}

fn tell(py: Python<'_>, show: Show, done: &Py<PyAny>) {
    let told = match show(py) {
        Ok(value) => done.call1(py, (value, py.None())),
        Err(error) => done.call1(py, (py.None(), error.into_value(py))),
    };
    if let Err(error) = told {
        // The event loop has been closed, most likely.
        error.write_unraisable(py, Some(done.bind(py)));
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
