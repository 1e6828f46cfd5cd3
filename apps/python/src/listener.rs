//! A subscription as an object of Python.

use std::future::Future;
use std::sync::Arc;

use meshzero::value::Packed;
use meshzero::zero::{self, ZeroError, future};
use meshzero::{News, NewsError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::sync::Mutex;

use crate::addresses;
use crate::errors;
use crate::later::{Later, Outcome};
use crate::process::Own;
use crate::unpack;
use crate::verbs::until;
use crate::wait::wait;

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
        let next = wait(py, self.next_until(wait_for_s))?.map_err(|error| errors::of(py, error))?;
        next.map(|news| show(py, &news)).transpose()
    }

    /// As `next`, to be waited for later.
    fn next_later(&self, wait_for_s: Option<f64>) -> Later {
        let next = self.next_until(wait_for_s);
        Later::new(async move { next.await.map_or_else(Outcome::Failed, Outcome::News) })
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

/// What the program gets of an item.
pub(crate) fn show<'py>(py: Python<'py>, news: &News<Packed>) -> PyResult<Bound<'py, PyTuple>> {
    (news.topic.as_str(), unpack::to_object(py, news.item.bytes())?).into_pyobject(py)
}

/// How many items an error says are missing.
pub(crate) fn missed(error: &zero::ZeroError) -> Option<u64> {
    match error {
        ZeroError::News(NewsError::Missed { count, .. }) => Some(*count),
        _ => None,
    }
}
