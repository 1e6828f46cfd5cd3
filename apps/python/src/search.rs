//! The search for a name, with a hint in between on why nothing was found so far.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use meshzero::DiscoverError;
use meshzero::zero::{Address, ZeroError, future};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::awaitable::Awaitable;
use crate::errors;
use crate::wait::{until, wait};

/// Waits until a program advertises the name, or answers at the address; None at the timeout. Calls `warn` with hints for the user
/// meanwhile; an exception that it raises ends the wait.
#[pyfunction]
pub(crate) fn discover(
    py: Python<'_>,
    name: String,
    wait_for_s: Option<f64>,
    warn: &Bound<'_, PyAny>,
) -> PyResult<Option<String>> {
    let mut search = Search::new(name, wait_for_s);
    let found = search.wait(py, warn)?;
    let (found, missed) = search.or_none(found, wait_for_s);
    if let Some(missed) = missed {
        warn.call1((missed,))?;
    }
    found.map(|found| found.map(|address| address.to_string())).map_err(|error| errors::of(py, error))
}

/// Searches like `discover`, for asyncio. Calls `warn` on another thread.
#[pyfunction]
pub(crate) fn discover_async(name: String, wait_for_s: Option<f64>, warn: Py<PyAny>) -> Awaitable {
    let found = async move {
        let mut search = Search::new(name, wait_for_s);
        let found = search.wait_async(&warn).await;
        let (found, missed) = search.or_none(found, wait_for_s);
        if let Some(missed) = missed {
            tell(&warn, missed);
        }
        found
    };
    Awaitable::new(found, |py, found: Result<Option<Address>, ZeroError>| {
        let found = found.map_err(|error| errors::of(py, error))?;
        found.map(|address| address.to_string()).into_py_any(py)
    })
}

/// Searches like `discover`, and raises NotSent at the timeout, with the reason.
#[pyfunction]
pub(crate) fn find(
    py: Python<'_>,
    name: String,
    wait_for_s: Option<f64>,
    warn: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let found = Search::new(name, wait_for_s).wait(py, warn)?;
    found.map(|address| address.to_string()).map_err(|error| errors::of(py, error))
}

/// Searches like `find`, for asyncio. Calls `warn` on another thread.
#[pyfunction]
pub(crate) fn find_async(name: String, wait_for_s: Option<f64>, warn: Py<PyAny>) -> Awaitable {
    let found = async move { Search::new(name, wait_for_s).wait_async(&warn).await };
    Awaitable::new(found, |py, found: Result<Address, ZeroError>| {
        found.map_err(|error| errors::of(py, error))?.to_string().into_py_any(py)
    })
}

/// The seconds below which a wait is a poll, and needs no explanation.
const POLL: f64 = 1.0;

type Found = Result<Address, ZeroError>;

/// A search in progress. Its hint is handed out between two polls, because reporting it runs code of the program.
struct Search {
    found: Pin<Box<dyn Future<Output = Found> + Send>>,
    hint: Arc<Mutex<Option<String>>>,
    is_explained: bool,
}

enum Step {
    Hint(String),
    Ended(Found),
}

impl Search {
    fn new(name: String, wait_for_s: Option<f64>) -> Self {
        let hint = Arc::<Mutex<Option<String>>>::default();
        let noted = Arc::clone(&hint);
        let note = move |reason: &ZeroError| {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("still looking: {reason}"));
        };
        let found = async move { future::discover(&name, until(wait_for_s), note).await };
        Self { found: Box::pin(found), hint, is_explained: false }
    }

    async fn step(&mut self) -> Step {
        poll_fn(|task| {
            if let Poll::Ready(found) = self.found.as_mut().poll(task) {
                return Poll::Ready(Step::Ended(found));
            }
            match self.hint.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(hint) => Poll::Ready(Step::Hint(hint)),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn wait(&mut self, py: Python<'_>, warn: &Bound<'_, PyAny>) -> PyResult<Found> {
        loop {
            match wait(py, self.step())? {
                Step::Hint(hint) => warn.call1((hint,))?,
                Step::Ended(found) => return Ok(found),
            };
            self.is_explained = true;
        }
    }

    async fn wait_async(&mut self, warn: &Py<PyAny>) -> Found {
        loop {
            match self.step().await {
                Step::Hint(hint) => tell(warn, hint),
                Step::Ended(found) => return found,
            }
            self.is_explained = true;
        }
    }

    /// Turns a search that found nothing in time into `None`, with the explanation that was not reported yet.
    fn or_none(
        &self,
        found: Found,
        wait_for_s: Option<f64>,
    ) -> (Result<Option<Address>, ZeroError>, Option<String>) {
        match found {
            Ok(address) => (Ok(Some(address)), None),
            Err(ZeroError::Discover(
                missed @ (DiscoverError::NotFound(_) | DiscoverError::Unreachable { .. }),
            )) => {
                let is_poll = wait_for_s.is_some_and(|seconds| seconds < POLL);
                let is_known = self.is_explained || is_poll;
                (Ok(None), (!is_known).then(|| missed.to_string()))
            }
            Err(error) => (Err(error), None),
        }
    }
}

/// Calls `warn`, which passes the text to the event loop. Does nothing while the interpreter ends.
fn tell(warn: &Py<PyAny>, text: String) {
    Python::try_attach(|py| {
        if let Err(error) = warn.call1(py, (text,)) {
            error.write_unraisable(py, None);
        }
    });
}
