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

/// News of some addresses under some prefixes, until it is dropped or closed. Any number of threads and tasks may wait for it.
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

    /// Waits until every publisher that is there has confirmed the subscription.
    fn confirmed(&self, py: Python<'_>) -> PyResult<()> {
        let confirmed = self.get(py)?.confirmed();
        wait(py, confirmed)?.map_err(|error| errors::of(py, error))
    }

    /// As `confirmed`, to be waited for later.
    fn confirmed_async(&self, py: Python<'_>) -> PyResult<Awaitable> {
        let confirmed = self.get(py)?.confirmed();
        Ok(Awaitable::new(confirmed, |py, confirmed| {
            confirmed.map_err(|error| errors::of(py, error))?;
            Ok(py.None())
        }))
    }

    /// Waits for the next item: `(topic, data)`, or None when none came in time.
    fn next<'py>(&self, py: Python<'py>, wait_for_s: Option<f64>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let listener = self.get(py)?;
        // Before anything is taken, which its handler would have Python lose.
        py.check_signals()?;
        // What is there already needs no waiting.
        if let Some(news) = py.detach(|| listener.next_now()).map_err(|error| errors::of(py, error))? {
            return Ok(Some(show(py, &news)?));
        }
        show_next(py, wait(py, next(listener, until(wait_for_s)))?)
    }

    /// As `next`, to be waited for later.
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
        // One of another process is closed as well.
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

/// What the program gets of an item.
fn show<'py>(py: Python<'py>, news: &News<Packed>) -> PyResult<Bound<'py, PyTuple>> {
    (news.topic.as_str(), unpack::to_object(py, news.item.bytes())?).into_pyobject(py)
}
