//! A message that a program of Python has taken, and owes a reply.

use std::sync::{Mutex, PoisonError};

use meshzero::Refusal;
use meshzero::value::Packed;
use meshzero::zero::future::{self, Arrival};
use pyo3::prelude::*;

use crate::errors::{self, ExceptionKind};
use crate::pack;
use crate::process::ForkGuarded;
use crate::unpack;

/// A message and the way back. When it is dropped without a reply, its sender is told that none will come.
#[pyclass(module = "meshzero._meshzero", frozen)]
pub(crate) struct Request {
    /// The name that it was sent under.
    #[pyo3(get)]
    name: String,
    /// What it says.
    #[pyo3(get)]
    message: Py<PyAny>,
    way: Mutex<Option<ForkGuarded<future::Request>>>,
}

impl Request {
    /// One that has arrived; `None` if it cannot be shown, and its sender has been told.
    pub(crate) fn new(py: Python<'_>, arrival: Arrival) -> PyResult<Option<Self>> {
        let request = arrival.take();
        match unpack::to_object(py, request.message().bytes()) {
            Ok(message) => Ok(Some(Self {
                name: request.name().to_owned(),
                message: message.unbind(),
                way: Mutex::new(Some(ForkGuarded::new(request))),
            })),
            Err(error) => {
                let (message, problem) = (request.name().to_owned(), error.value(py).to_string());
                py.detach(|| request.refuse(Refusal::Undecodable { message, problem }));
                Ok(None)
            }
        }
    }

    fn take(&self, py: Python<'_>) -> PyResult<future::Request> {
        let taken = self.way.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.and_then(ForkGuarded::take).ok_or_else(|| {
            errors::raise(py, ExceptionKind::General, "this message has been replied to".to_owned())
        })
    }
}

#[pymethods]
impl Request {
    /// Replies. A sender that has given up is no error; a reply that cannot travel is, and the sender is told.
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

    /// Tells the sender that the message could not be handled, and why.
    fn fail(&self, py: Python<'_>, problem: String) -> PyResult<()> {
        let request = self.take(py)?;
        py.detach(|| request.refuse(Refusal::Failed { problem }));
        Ok(())
    }

    /// Tells the sender that the message is none that the service understands.
    fn misunderstand(&self, py: Python<'_>, problem: String) -> PyResult<()> {
        let request = self.take(py)?;
        let message = self.name.clone();
        py.detach(|| request.refuse(Refusal::Undecodable { message, problem }));
        Ok(())
    }

    /// Tells the sender that the service handles no such message, but others.
    fn not_handled(&self, py: Python<'_>, handles: Vec<String>) -> PyResult<()> {
        let request = self.take(py)?;
        let message = self.name.clone();
        py.detach(|| request.refuse(Refusal::NoHandler { message, handles }));
        Ok(())
    }

    /// Whether the sender still waits for a reply.
    #[getter]
    fn is_wanted(&self) -> bool {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        way.as_ref().and_then(ForkGuarded::get).is_some_and(|request| request.is_wanted())
    }
}
