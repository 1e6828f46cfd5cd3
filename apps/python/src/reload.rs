//! Objects that stay the same when the package is loaded again, as in notebooks and tests.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

/// The objects by name. This half of the package is loaded once, however often the other is.
static KEPT: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// Stores `object` under `name`, and returns the object that was first stored under it.
#[pyfunction]
pub(crate) fn keep_across_reloads<'py>(
    name: &Bound<'py, PyString>,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = name.py();
    KEPT.get_or_init(py, || PyDict::new(py).unbind()).bind(py).call_method1("setdefault", (name, object))
}
