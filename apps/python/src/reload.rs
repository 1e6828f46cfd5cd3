//! Objects that stay the same when the package is loaded again, as notebooks and tests do.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

/// By their names. This half of the package is loaded once, however often the other is.
static KEPT: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// Keeps `object` under `name`, and returns what was kept under it first.
#[pyfunction]
pub(crate) fn keep_across_reloads<'py>(
    name: &Bound<'py, PyString>,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = name.py();
    KEPT.get_or_init(py, || PyDict::new(py).unbind()).bind(py).call_method1("setdefault", (name, object))
}
