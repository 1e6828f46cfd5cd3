//! What asyncio waits for: futures that run on one thread of their own, so that no event loop is held up and the mesh waits
//! for no interpreter.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use meshzero::News;
use meshzero::value::Packed;
use meshzero::zero::{Address, ZeroError, future};
use pyo3::prelude::*;
use tokio::runtime::{self, Handle};
use tokio::task::AbortHandle;

use crate::errors;
use crate::listener;
use crate::request::Request;
use crate::unpack;

/// The thread that runs them, from the first that is started.
static RUNNER: Mutex<Option<Handle>> = Mutex::new(None);

/// What a wait ends in, on its way to the interpreter.
pub(crate) enum Outcome {
    Failed(ZeroError),
    /// A call that failed, with the seconds it was allowed and whether they are over.
    Late(ZeroError, Option<f64>, bool),
    Address(Option<Address>),
    Services(Vec<(String, Address)>),
    Reply(Packed),
    Request(Option<future::Request>),
    News(Option<News<Packed>>),
}

/// Something to wait for that has not begun.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Later {
    state: Mutex<State>,
}

enum State {
    New(Pin<Box<dyn Future<Output = Outcome> + Send>>),
    Begun(AbortHandle),
    Over,
}

impl Later {
    pub(crate) fn new(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self { state: Mutex::new(State::New(Box::pin(future))) }
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
            let outcome = future.await;
            // An interpreter that ends has nobody who waits.
            Python::try_attach(|py| tell(py, outcome, &done));
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

fn tell(py: Python<'_>, outcome: Outcome, done: &Py<PyAny>) {
    let told = match object(py, outcome) {
        Ok(value) => done.call1(py, (value, py.None())),
        Err(error) => done.call1(py, (py.None(), error.into_value(py))),
    };
    if let Err(error) = told {
        // The event loop has been closed, most likely.
        error.write_unraisable(py, Some(done.bind(py)));
    }
}

fn object(py: Python<'_>, outcome: Outcome) -> PyResult<Py<PyAny>> {
    Ok(match outcome {
        Outcome::Failed(error) => return Err(errors::of(py, error)),
        Outcome::Late(error, wait, is_over) => return Err(errors::of_late(py, error, wait, is_over)),
        Outcome::Address(address) => address.map(|address| address.to_string()).into_pyobject(py)?.unbind(),
        Outcome::Services(services) => shown(services).into_pyobject(py)?.unbind(),
        Outcome::Reply(reply) => unpack::to_object(py, reply.bytes())?.unbind(),
        Outcome::Request(None) | Outcome::News(None) => py.None(),
        // One that cannot be shown is refused, and is none for who waits.
        Outcome::Request(Some(request)) => match Request::new(py, request)? {
            Some(request) => Bound::new(py, request)?.into_any().unbind(),
            None => py.None(),
        },
        Outcome::News(Some(news)) => listener::show(py, &news)?.into_any().unbind(),
    })
}

/// Names with their addresses as text.
pub(crate) fn shown(services: Vec<(String, Address)>) -> Vec<(String, String)> {
    services.into_iter().map(|(name, address)| (name, address.to_string())).collect()
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
