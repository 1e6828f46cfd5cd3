//! The mesh's own log, for who asks for it.

use std::fs::File;

use pyo3::prelude::*;
use tracing_subscriber::filter::LevelFilter;

/// Has all that the mesh does be written to a file from now on, after what is in it. Again it does nothing.
///
/// It is written by the thread that does it, without the interpreter, for which the mesh never waits, and without a lock, which
/// might be held for ever in a forked child: each line is one write at the end of the file.
#[pyfunction]
pub(crate) fn log_to(path: &str) -> PyResult<()> {
    let file = File::options().append(true).create(true).open(path)?;
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .with_thread_names(true)
        .with_writer(file)
        .finish();
    // Whoever was first is kept.
    let _ = tracing::subscriber::set_global_default(log);
    Ok(())
}
