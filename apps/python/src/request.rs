//! A message that a Python program has taken, and has to reply to.

use std::sync::{Mutex, PoisonError};

use meshzero::Refusal;
use meshzero::value::Packed;
use meshzero::zero::future::{self, Arrival};
use pyo3::prelude::*;

use crate::errors::{self, ExceptionKind};
use crate::pack;
use crate::process::ForkGuarded;
use crate::unpack;

/// A message with its reply handle. If it is dropped without a reply, its sender gets an error.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Request {
    /// The name under which it was sent.
    #[pyo3(get)]
    name: String,
    /// The content of the message.
    #[pyo3(get)]
    message: Py<PyAny>,
    request: Mutex<Option<ForkGuarded<future::Request>>>,
}

impl Request {
    /// A message that has arrived; `None` if it cannot be converted to an object, and was refused.
    pub(crate) fn new(py: Python<'_>, arrival: Arrival) -> PyResult<Option<Self>> {
        let request = arrival.take();
        match unpack::to_object(py, request.message().bytes()) {
            Ok(message) => Ok(Some(Self {
                name: request.name().to_owned(),
                message: message.unbind(),
                request: Mutex::new(Some(ForkGuarded::new(request))),
            })),
            Err(error) => {
                let (message, problem) = (request.name().to_owned(), error.value(py).to_string());
                py.detach(|| request.refuse(Refusal::Undecodable { message, problem }));
                Ok(None)
            }
        }
    }

    fn take(&self, py: Python<'_>) -> PyResult<future::Request> {
        let taken = self.request.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.and_then(ForkGuarded::take).ok_or_else(|| {
            errors::raise(py, ExceptionKind::General, "this message has been replied to".to_owned())
        })
    }
}

#[pymethods]
impl Request {
    /// Replies. Does nothing if the sender has given up. A reply that cannot be sent is an error, also for the sender.
    fn reply(&self, py: Python<'_>, reply: &Bound<'_, PyAny>) -> PyResult<()> {
        let request = self.take(py)?;
        match pack::to_bytes("reply", reply) {
            Ok(bytes) => {
                py.detach(|| request.reply(&Packed::from(bytes)));
                Ok(())
            }
            Err(error) => {
                let problem = error.value(py).to_string();
                py.detach(|| request.refuse(Refusal::BadReply { problem }));
                Err(error)
            }
        }
    }

    /// Refuses the message because handling it failed.
    fn fail(&self, py: Python<'_>, problem: String) -> PyResult<()> {
        let request = self.take(py)?;
        py.detach(|| request.refuse(Refusal::Failed { problem }));
        Ok(())
    }

    /// Refuses the message because it does not fit its handler.
    fn undecodable(&self, py: Python<'_>, problem: String) -> PyResult<()> {
        let request = self.take(py)?;
        let message = self.name.clone();
        py.detach(|| request.refuse(Refusal::Undecodable { message, problem }));
        Ok(())
    }

    /// Refuses the message because the service handles only others.
    fn not_handled(&self, py: Python<'_>, handles: Vec<String>) -> PyResult<()> {
        let request = self.take(py)?;
        let message = self.name.clone();
        py.detach(|| request.refuse(Refusal::NoHandler { message, handles }));
        Ok(())
    }

    /// Returns true while the sender waits for a reply.
    #[getter]
    fn is_wanted(&self) -> bool {
        let request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        request.as_ref().and_then(ForkGuarded::get).is_some_and(|request| request.is_wanted())
    }
}
