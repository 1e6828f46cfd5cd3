//! A subscription as an object of Python.

use std::future::Future;

use meshzero::News;
use meshzero::value::Packed;
use meshzero::zero::future::{self, Item};
use meshzero::zero::{Wait, ZeroError};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::addresses;
use crate::awaitable::Awaitable;
use crate::errors::{self, ExceptionKind};
use crate::process::ForkGuarded;
use crate::unpack;
use crate::wait::{until, wait};

/// A subscription to the news of some addresses under some prefixes. Any number of threads and tasks may wait for it.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Listener(ForkGuarded<future::Listener>);

#[pymethods]
impl Listener {
    #[new]
    fn new(py: Python<'_>, addresses: Vec<String>, prefixes: Vec<String>) -> PyResult<Self> {
        let addresses = addresses::parse_all(py, &addresses)?;
        let listener = py
            .detach(|| future::Listener::new(addresses, prefixes))
            .map_err(|error| errors::of(py, error))?;
        Ok(Self(ForkGuarded::new(listener)))
    }

    /// Waits until every connected publisher has confirmed the subscription.
    fn confirmed(&self, py: Python<'_>) -> PyResult<()> {
        let confirmed = self.get(py)?.confirmed();
        wait(py, confirmed)?.map_err(|error| errors::of(py, error))
    }

    /// Waits like `confirmed`, for asyncio.
    fn confirmed_async(&self, py: Python<'_>) -> PyResult<Awaitable> {
        let confirmed = self.get(py)?.confirmed();
        Ok(Awaitable::new(confirmed, |py, confirmed| {
            confirmed.map_err(|error| errors::of(py, error))?;
            Ok(py.None())
        }))
    }

    /// Waits for the next item: `(topic, data)`, or None if none arrived in time.
    fn next<'py>(&self, py: Python<'py>, wait_for_s: Option<f64>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let listener = self.get(py)?;
        // Before anything is taken, which would be lost if a signal handler raised.
        py.check_signals()?;
        // An item that is there already needs no wait.
        if let Some(news) = py.detach(|| listener.next_now()).map_err(|error| errors::of(py, error))? {
            return Ok(Some(show(py, &news)?));
        }
        show_next(py, wait(py, next(listener, until(wait_for_s)))?)
    }

    /// Waits like `next`, for asyncio.
    fn next_async(&self, py: Python<'_>, wait_for_s: Option<f64>) -> PyResult<Awaitable> {
        let next = next(self.get(py)?, until(wait_for_s));
        Ok(Awaitable::new(next, |py, next| show_next(py, next)?.into_py_any(py)))
    }

    /// Ends the subscription, and every wait for it.
    fn close(&self, py: Python<'_>) {
        if let Some(listener) = self.0.get() {
            py.detach(|| listener.close());
        }
    }
}

impl Listener {
    fn get(&self, py: Python<'_>) -> PyResult<&future::Listener> {
        // A subscription of another process counts as closed.
        self.0.get().ok_or_else(|| errors::raise(py, ExceptionKind::Closed, ZeroError::Closed.to_string()))
    }
}

type Next = Result<Option<Item>, ZeroError>;

fn next(listener: &future::Listener, wait: Wait) -> impl Future<Output = Next> + Send + 'static {
    listener.next(wait)
}

fn show_next(py: Python<'_>, next: Next) -> PyResult<Option<Bound<'_, PyTuple>>> {
    let taken = next.and_then(|next| next.map(Item::take).transpose());
    taken.map_err(|error| errors::of(py, error))?.map(|news| show(py, &news)).transpose()
}

/// An item as Python's `(topic, data)`.
fn show<'py>(py: Python<'py>, news: &News<Packed>) -> PyResult<Bound<'py, PyTuple>> {
    (news.topic.as_str(), unpack::to_object(py, news.item.bytes())?).into_pyobject(py)
}
