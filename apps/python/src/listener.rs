//! A subscription as an object of Python.

use std::future::Future;
use std::sync::Arc;

use meshzero::News;
use meshzero::value::Packed;
use meshzero::zero::{ZeroError, future};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::sync::Mutex;

use crate::addresses;
use crate::errors;
use crate::later::Later;
use crate::process::Own;
use crate::unpack;
use crate::wait::{until, wait};

/// News of some addresses under some prefixes, until it is dropped or closed.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Listener {
    /// One wait at a time: two threads that share it take turns.
    listener: Arc<Mutex<Option<Own<future::Listener>>>>,
}

type Next = Result<Option<News<Packed>>, ZeroError>;

#[pymethods]
impl Listener {
    #[new]
    fn new(py: Python<'_>, addresses: Vec<String>, prefixes: Vec<String>) -> PyResult<Self> {
        let addresses = addresses::parse_all(py, &addresses)?;
        let listener = py
            .detach(|| future::Listener::new(addresses, prefixes))
            .map_err(|error| errors::of(py, error))?;
        Ok(Self { listener: Arc::new(Mutex::new(Some(Own::new(listener)))) })
    }

    /// Waits for the next item: `(topic, data)`, or None when none came in time.
    fn next<'py>(&self, py: Python<'py>, wait_for_s: Option<f64>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        // What is there already needs no waiting.
        if let Ok(mut listener) = self.listener.try_lock()
            && let Some(listener) = listener.as_mut().and_then(Own::get)
            && let Some(news) = py.detach(|| listener.next_now()).map_err(|error| errors::of(py, error))?
        {
            return Ok(Some(show(py, &news)?));
        }
        show_next(py, wait(py, self.next_until(wait_for_s))?)
    }

    /// As `next`, to be waited for later.
    fn next_later(&self, wait_for_s: Option<f64>) -> Later {
        Later::new(self.next_until(wait_for_s), |py, next| show_next(py, next)?.into_py_any(py))
    }

    /// Ends the subscription.
    fn close(&self) {
        // Whoever waits at the moment ends it when it is done.
        if let Ok(mut listener) = self.listener.try_lock() {
            drop(listener.take());
        }
    }
}

impl Listener {
    fn next_until(&self, wait_for_s: Option<f64>) -> impl Future<Output = Next> + Send + 'static {
        let listener = Arc::clone(&self.listener);
        async move {
            match listener.lock().await.as_mut().and_then(Own::get) {
                Some(listener) => listener.next(until(wait_for_s)).await,
                None => Err(ZeroError::Closed),
            }
        }
    }
}

fn show_next(py: Python<'_>, next: Next) -> PyResult<Option<Bound<'_, PyTuple>>> {
    next.map_err(|error| errors::of(py, error))?.map(|news| show(py, &news)).transpose()
}

/// What the program gets of an item.
fn show<'py>(py: Python<'py>, news: &News<Packed>) -> PyResult<Bound<'py, PyTuple>> {
    (news.topic.as_str(), unpack::to_object(py, news.item.bytes())?).into_pyobject(py)
}
