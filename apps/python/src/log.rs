//! The mesh's own log in a file, on request.

use std::fs::File;

use pyo3::prelude::*;
use tracing_subscriber::filter::LevelFilter;

/// Appends the mesh's log to a file from now on. A second call does nothing.
///
/// Each thread writes its own lines, without the interpreter, for which the mesh never waits, and without a lock, which might be held
/// forever in a forked child: each line is one write at the end of the file.
#[pyfunction]
pub(crate) fn log_to(path: &str) -> PyResult<()> {
    let file = File::options().append(true).create(true).open(path)?;
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .with_thread_names(true)
        .with_writer(file)
        .finish();
    // The first subscriber is kept.
    let _ = tracing::subscriber::set_global_default(log);
    Ok(())
}
