//! Blocking work that may take forever, on a thread that is never joined.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Runs `work` on a new thread called `name`, and waits for its result. The runtime would join one of its own threads
/// when it ends.
///
/// # Errors
/// The system cannot start a thread, or `work` panicked.
///
/// # Cancel safety
/// This function is not cancel safe: dropping the future loses the result. The thread continues.
pub(crate) async fn detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (result_tx, result) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // The receiver may be gone.
        let _ = result_tx.send(work());
    })?;
    result.await.map_err(|_| io::Error::other("the thread panicked"))
}
